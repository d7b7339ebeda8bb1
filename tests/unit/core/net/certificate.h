// SPDX-License-Identifier: Apache-2.0
#pragma once

// A self-signed certificate for tests: `folder`/chain.pem and `folder`/key.pem, for
// mx.test.example.
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

struct certificate {
    char folder[32], chain[64], key[64];
};

static inline void certificate_write(const struct certificate *self, X509 *x509, EVP_PKEY *key)
{
    FILE *file = fopen(self->chain, "w");
    PEM_write_X509(file, x509);
    fclose(file);
    file = fopen(self->key, "w");
    PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
}

static inline void certificate_make(struct certificate *self)
{
    snprintf(self->folder, sizeof(self->folder), "/tmp/postern-XXXXXX");
    if (!mkdtemp(self->folder))
        abort();
    snprintf(self->chain, sizeof(self->chain), "%s/chain.pem", self->folder);
    snprintf(self->key, sizeof(self->key), "%s/key.pem", self->folder);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -60);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, key);
    X509_NAME *name = X509_get_subject_name(x509);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"mx.test.example",
                               -1, -1, 0);
    X509_set_issuer_name(x509, name);
    X509_EXTENSION *names =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:mx.test.example");
    X509_add_ext(x509, names, -1);
    X509_EXTENSION_free(names);
    X509_sign(x509, key, EVP_sha256());
    certificate_write(self, x509, key);
    X509_free(x509);
    EVP_PKEY_free(key);
}

static inline void certificate_remove(const struct certificate *self)
{
    remove(self->chain);
    remove(self->key);
    remove(self->folder);
}
