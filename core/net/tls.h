// SPDX-License-Identifier: Apache-2.0
#pragma once

// TLS contexts: what a server shows, what a client trusts. TLS 1.2 and later, no renegotiation, no
// compression, buffers released while idle.
#include "core/base/base.h"

struct tls;

// `certificate` is a PEM chain. NULL with a sentence in ret_error.
struct tls *tls_server_new(const char *certificate, const char *key, char *ret_error,
                           size_t error_size);
int64_t
tls_server_expires_s(const struct tls *self); // Unix time of its certificate's end; 0: not known
// Trusts `authorities` (a PEM file), or the system's when NULL.
struct tls *tls_client_new(const char *authorities, char *ret_error, size_t error_size);
struct tls *tls_retain(struct tls *self); // shared by reference count (one thread)
void tls_release(struct tls **self);

// For connection.c: one stream over a descriptor.
struct tls_stream;
enum tls_result { TLS_DONE, TLS_WANTS_READ, TLS_WANTS_WRITE, TLS_END, TLS_FAILED };

// `host` and `verify` as in connection_secure. NULL when `host` cannot be set.
struct tls_stream *tls_stream_new(struct tls *tls, int fd, const char *host, int verify);
void tls_stream_destroy(struct tls_stream **self);
enum tls_result tls_stream_handshake(struct tls_stream *self);
enum tls_result tls_stream_read(struct tls_stream *self, char *data, size_t room, size_t *ret_size);
enum tls_result tls_stream_write(struct tls_stream *self, const char *data, size_t size,
                                 size_t *ret_size);
void tls_stream_goodbye(struct tls_stream *self);      // close_notify, once, without waiting
int tls_stream_pending(const struct tls_stream *self); // decrypted or raw bytes are held inside
const char *tls_stream_cipher(const struct tls_stream *self); // "TLSv1.3 TLS_AES_256_GCM_SHA384"
const char *tls_stream_error(const struct tls_stream *self);  // after TLS_FAILED
