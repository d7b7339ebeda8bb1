// SPDX-License-Identifier: Apache-2.0
#include "core/net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct tls {
    SSL_CTX *context;
    unsigned references;
    int server;
};

struct tls_stream {
    SSL *ssl;
    struct tls *tls;
    int failed; // OpenSSL forbids a goodbye after an error
    char cipher[96];
    char error[160];
};

static struct tls *tls_new(const SSL_METHOD *method, int server)
{
    SSL_CTX *context = SSL_CTX_new(method);
    if (!context)
        return NULL;
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1); // a record's head and body with one read
    // A cache in each process would help nobody: the next connection may go to another instance.
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    struct tls *self = allocate(sizeof(*self));
    *self = (struct tls){.context = context, .references = 1, .server = server};
    return self;
}

static void say_error(const char *what, const char *name, char *ret_error, size_t error_size)
{
    char reason[120] = "unknown reason";
    unsigned long code = ERR_peek_last_error();
    if (code)
        ERR_error_string_n(code, reason, sizeof(reason));
    snprintf(ret_error, error_size, "%s %s: %s", what, name, reason);
    ERR_clear_error();
}

struct tls *tls_server_new(const char *certificate, const char *key, char *ret_error,
                           size_t error_size)
{
    ERR_clear_error();
    struct tls *self = tls_new(TLS_server_method(), 1);
    if (!self) {
        say_error("TLS", "context", ret_error, error_size);
        return NULL;
    }
    if (SSL_CTX_use_certificate_chain_file(self->context, certificate) != 1) {
        say_error("certificate", certificate, ret_error, error_size);
        tls_release(&self);
    } else if (SSL_CTX_use_PrivateKey_file(self->context, key, SSL_FILETYPE_PEM) != 1 ||
               SSL_CTX_check_private_key(self->context) != 1) {
        say_error("private key", key, ret_error, error_size);
        tls_release(&self);
    }
    return self;
}

int64_t tls_server_expires_s(const struct tls *self)
{
    const X509 *certificate = SSL_CTX_get0_certificate(self->context);
    struct tm end;
    if (!certificate || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1)
        return 0;
    return (int64_t)timegm(&end);
}

struct tls *tls_client_new(const char *authorities, char *ret_error, size_t error_size)
{
    ERR_clear_error();
    struct tls *self = tls_new(TLS_client_method(), 0);
    int ok = self && (authorities ? SSL_CTX_load_verify_file(self->context, authorities)
                                  : SSL_CTX_set_default_verify_paths(self->context)) == 1;
    if (!ok) {
        say_error("authorities", authorities ? authorities : "of the system", ret_error,
                  error_size);
        tls_release(&self);
    }
    return self;
}

struct tls *tls_retain(struct tls *self)
{
    self->references++;
    return self;
}

void tls_release(struct tls **self)
{
    struct tls *tls = *self;
    *self = NULL;
    if (!tls || --tls->references)
        return;
    SSL_CTX_free(tls->context);
    free(tls);
}

// SNI carries names only; a certificate may also be checked against an address.
static int set_host(SSL *ssl, const char *host, int verify)
{
    X509_VERIFY_PARAM *parameters = SSL_get0_param(ssl);
    int is_address = X509_VERIFY_PARAM_set1_ip_asc(parameters, host) == 1;
    if (!is_address && SSL_set_tlsext_host_name(ssl, host) != 1)
        return -1;
    if (verify && !is_address && SSL_set1_host(ssl, host) != 1)
        return -1;
    return 0;
}

struct tls_stream *tls_stream_new(struct tls *tls, int fd, const char *host, int verify)
{
    ERR_clear_error();
    SSL *ssl = SSL_new(tls->context);
    if (!ssl)
        return NULL;
    if (SSL_set_fd(ssl, fd) != 1 || (!tls->server && host && set_host(ssl, host, verify) < 0)) {
        SSL_free(ssl);
        ERR_clear_error();
        return NULL;
    }
    if (tls->server)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    SSL_set_verify(ssl, !tls->server && verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    struct tls_stream *self = allocate(sizeof(*self));
    self->ssl = ssl;
    self->tls = tls_retain(tls);
    return self;
}

void tls_stream_destroy(struct tls_stream **self)
{
    if (!*self)
        return;
    SSL_free((*self)->ssl);
    tls_release(&(*self)->tls);
    free(*self);
    *self = NULL;
}

static void note_failure(struct tls_stream *self)
{
    unsigned long code = ERR_peek_last_error();
    long verified = SSL_get_verify_result(self->ssl);
    self->failed = 1;
    if (!self->tls->server && verified != X509_V_OK && !SSL_is_init_finished(self->ssl))
        snprintf(self->error, sizeof(self->error), "certificate: %s",
                 X509_verify_cert_error_string(verified));
    else if (code && ERR_reason_error_string(code))
        snprintf(self->error, sizeof(self->error), "TLS: %s", ERR_reason_error_string(code));
    else
        snprintf(self->error, sizeof(self->error), "TLS: connection broken");
    ERR_clear_error();
}

static enum tls_result result_of(struct tls_stream *self, int returned)
{
    switch (SSL_get_error(self->ssl, returned)) {
    case SSL_ERROR_NONE:
        return TLS_DONE;
    case SSL_ERROR_WANT_READ:
        return TLS_WANTS_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANTS_WRITE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_END;
    default:
        note_failure(self);
        return TLS_FAILED;
    }
}

enum tls_result tls_stream_handshake(struct tls_stream *self)
{
    ERR_clear_error();
    enum tls_result result = result_of(self, SSL_do_handshake(self->ssl));
    if (result == TLS_DONE)
        snprintf(self->cipher, sizeof(self->cipher), "%s %s", SSL_get_version(self->ssl),
                 SSL_get_cipher_name(self->ssl));
    if (result == TLS_END) { // before the handshake is done that is a refusal
        note_failure(self);
        return TLS_FAILED;
    }
    return result;
}

enum tls_result tls_stream_read(struct tls_stream *self, char *data, size_t room, size_t *ret_size)
{
    ERR_clear_error();
    return result_of(self, SSL_read_ex(self->ssl, data, room, ret_size));
}

enum tls_result tls_stream_write(struct tls_stream *self, const char *data, size_t size,
                                 size_t *ret_size)
{
    ERR_clear_error();
    return result_of(self, SSL_write_ex(self->ssl, data, size, ret_size));
}

void tls_stream_goodbye(struct tls_stream *self)
{
    ERR_clear_error();
    if (!self->failed && SSL_is_init_finished(self->ssl))
        SSL_shutdown(self->ssl);
    ERR_clear_error();
}

int tls_stream_pending(const struct tls_stream *self)
{
    return SSL_has_pending(self->ssl);
}

const char *tls_stream_cipher(const struct tls_stream *self)
{
    return self->cipher;
}

const char *tls_stream_error(const struct tls_stream *self)
{
    return self->error;
}
