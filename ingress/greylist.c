// SPDX-License-Identifier: Apache-2.0
#include "ingress/greylist.h"
#include "ingress/aging.h"
#include "ingress/limits.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS (24 * 3600 * (int64_t)1000)

enum { PASSED_DAYS = 36, KEY_SIZE = 16, TEXT_MOST = 1200 };

struct greylist {
    struct aging *triples; // first: first try; last: last pass, 0 before
};

struct greylist *greylist_new(size_t most)
{
    struct greylist *self = allocate(sizeof(*self));
    self->triples = aging_new(most);
    return self;
}

void greylist_destroy(struct greylist **self)
{
    if (!*self)
        return;
    aging_destroy(&(*self)->triples);
    free(*self);
    *self = NULL;
}

static size_t add_lower(uint8_t *text, size_t at, struct span part)
{
    for (size_t i = 0; i < part.size && at + 1 < TEXT_MOST; i++) {
        char byte = part.data[i];
        text[at++] = (uint8_t)(byte >= 'A' && byte <= 'Z' ? byte - 'A' + 'a' : byte);
    }
    text[at++] = 0;
    return at;
}

// Big senders retry from a neighbour: an IPv4 client stands for its /24.
static void make_key(const char *client, struct span sender, struct span recipient,
                     uint8_t ret_key[KEY_SIZE])
{
    uint8_t text[TEXT_MOST] = {0}, digest[SHA256_DIGEST_LENGTH];
    size_t size = client_key(client, text);
    if (size == 4)
        text[3] = 0;
    size = add_lower(text, CLIENT_KEY_MOST, sender);
    size = add_lower(text, size, recipient);
    SHA256(text, size, digest);
    memcpy(ret_key, digest, KEY_SIZE);
}

int greylist_passes(struct greylist *self, const char *client, struct span sender,
                    struct span recipient, unsigned delay_s, int64_t now_ms)
{
    uint8_t key[KEY_SIZE];
    make_key(client, sender, recipient, key);
    struct aging_entry *entry = aging_get(self->triples, key, sizeof(key));
    int expired =
        entry->last ? now_ms - entry->last > PASSED_DAYS * DAY_MS : now_ms - entry->first > DAY_MS;
    if (!entry->first || expired)
        *entry = (struct aging_entry){.first = now_ms};
    if (!entry->last && now_ms - entry->first < (int64_t)delay_s * 1000)
        return 0;
    entry->last = now_ms;
    return 1;
}
