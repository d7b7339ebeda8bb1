// SPDX-License-Identifier: Apache-2.0
#include "core/base/table.h"
#include "core/base/random.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS_LEAST = 16 };

struct item {
    struct item *next;
    uint64_t hash;
    void *value;
    size_t size;
    char key[];
};

struct table {
    struct item **buckets;
    size_t bucket_count; // a power of two
    size_t count;
    uint64_t seed[2];
};

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

static void sip_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
}

// SipHash-1-3: the fewest rounds for which nobody has shown how to make collisions without the key.
static uint64_t hash_of(const struct table *self, const void *key, size_t size)
{
    uint64_t v[4] = {self->seed[0] ^ 0x736f6d6570736575u, self->seed[1] ^ 0x646f72616e646f6du,
                     self->seed[0] ^ 0x6c7967656e657261u, self->seed[1] ^ 0x7465646279746573u};
    const char *at = key;
    uint64_t word = 0;
    for (size_t left = size; left >= 8; left -= 8, at += 8) {
        memcpy(&word, at, 8);
        sip_word(v, word);
    }
    word = 0;
    if (size & 7)
        memcpy(&word, at, size & 7);
    sip_word(v, word | (uint64_t)size << 56);
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct table *table_new(void)
{
    struct table *self = allocate(sizeof(*self));
    random_bytes(self->seed, sizeof(self->seed));
    self->bucket_count = BUCKETS_LEAST;
    self->buckets = allocate(BUCKETS_LEAST * sizeof(struct item *));
    return self;
}

void table_destroy(struct table **self)
{
    struct table *table = *self;
    if (!table)
        return;
    for (size_t i = 0; i < table->bucket_count; i++) {
        struct item *next;
        for (struct item *item = table->buckets[i]; item; item = next) {
            next = item->next;
            free(item);
        }
    }
    free(table->buckets);
    free(table);
    *self = NULL;
}

// The link that points to the item, or to the NULL at the chain's end.
static struct item **find(const struct table *self, uint64_t hash, const void *key, size_t size)
{
    struct item **link = &self->buckets[hash & (self->bucket_count - 1)];
    for (; *link; link = &(*link)->next) {
        struct item *item = *link;
        if (item->hash == hash && item->size == size && (!size || !memcmp(item->key, key, size)))
            break;
    }
    return link;
}

static void grow(struct table *self)
{
    size_t bucket_count = self->bucket_count * 2;
    struct item **buckets = allocate(bucket_count * sizeof(*buckets));
    for (size_t i = 0; i < self->bucket_count; i++) {
        struct item *next;
        for (struct item *item = self->buckets[i]; item; item = next) {
            struct item **bucket = &buckets[item->hash & (bucket_count - 1)];
            next = item->next;
            item->next = *bucket;
            *bucket = item;
        }
    }
    free(self->buckets);
    self->buckets = buckets;
    self->bucket_count = bucket_count;
}

void *table_get(const struct table *self, const void *key, size_t size)
{
    const struct item *item = *find(self, hash_of(self, key, size), key, size);
    return item ? item->value : NULL;
}

void *table_put(struct table *self, const void *key, size_t size, void *value)
{
    uint64_t hash = hash_of(self, key, size);
    struct item **link = find(self, hash, key, size);
    if (*link) {
        void *old = (*link)->value;
        (*link)->value = value;
        return old;
    }
    struct item *item = allocate(sizeof(*item) + size);
    item->hash = hash;
    item->value = value;
    item->size = size;
    if (size)
        memcpy(item->key, key, size);
    *link = item;
    if (++self->count > self->bucket_count)
        grow(self);
    return NULL;
}

void *table_remove(struct table *self, const void *key, size_t size)
{
    struct item **link = find(self, hash_of(self, key, size), key, size);
    struct item *item = *link;
    if (!item)
        return NULL;
    void *value = item->value;
    *link = item->next;
    free(item);
    self->count--;
    return value;
}

size_t table_count(const struct table *self)
{
    return self->count;
}

int table_each(struct table *self, table_fn *fn, void *context)
{
    for (size_t i = 0; i < self->bucket_count; i++) {
        struct item *next;
        for (struct item *item = self->buckets[i]; item; item = next) {
            next = item->next; // `fn` may remove the item
            int result = fn(item->key, item->size, item->value, context);
            if (result)
                return result;
        }
    }
    return 0;
}
