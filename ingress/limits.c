// SPDX-License-Identifier: Apache-2.0
#include "ingress/limits.h"
#include "core/base/table.h"
#include "ingress/aging.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RATES_MOST = 100000, SPENT_MOST = 10000, MINUTE_MS = 60000 };

struct limits {
    struct table *open; // client → number of connections; bounded by the connections in all
    struct aging *rates;
    struct table *spent; // client → microseconds, the number itself
};

size_t client_key(const char *address, uint8_t ret_key[CLIENT_KEY_MOST])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    uint8_t bytes[16];
    if (inet_pton(AF_INET, address, ret_key) == 1)
        return 4;
    if (inet_pton(AF_INET6, address, bytes) != 1)
        return 0; // all clients without an address (a Unix socket) are one
    if (!memcmp(bytes, mapped, sizeof(mapped))) {
        memcpy(ret_key, bytes + sizeof(mapped), 4);
        return 4;
    }
    memcpy(ret_key, bytes, 8);
    return 8;
}

void client_name(const char *prefix, const uint8_t *key, size_t size,
                 char ret_name[CLIENT_NAME_SIZE])
{
    size_t at = (size_t)snprintf(ret_name, CLIENT_NAME_SIZE - 2 * CLIENT_KEY_MOST, "%s", prefix);
    for (size_t byte = 0; byte < size; byte++, at += 2)
        snprintf(ret_name + at, 3, "%02x", key[byte]);
}

struct limits *limits_new(void)
{
    struct limits *self = allocate(sizeof(*self));
    self->open = table_new();
    self->rates = aging_new(RATES_MOST);
    self->spent = table_new();
    return self;
}

void limits_destroy(struct limits **self)
{
    if (!*self)
        return;
    table_destroy(&(*self)->open);
    aging_destroy(&(*self)->rates);
    table_destroy(&(*self)->spent);
    free(*self);
    *self = NULL;
}

int limits_open(struct limits *self, const char *address, unsigned most)
{
    uint8_t key[CLIENT_KEY_MOST];
    size_t size = client_key(address, key);
    uintptr_t count = (uintptr_t)table_get(self->open, key, size); // the number itself
    if (count >= most)
        return 0;
    (void)table_put(self->open, key, size, (void *)(count + 1));
    return 1;
}

void limits_close(struct limits *self, const char *address)
{
    uint8_t key[CLIENT_KEY_MOST];
    size_t size = client_key(address, key);
    uintptr_t count = (uintptr_t)table_get(self->open, key, size);
    if (count > 1)
        (void)table_put(self->open, key, size, (void *)(count - 1));
    else
        (void)table_remove(self->open, key, size);
}

static void note_spent(struct limits *self, const uint8_t *key, size_t size, int64_t cost_us)
{
    uintptr_t spent = (uintptr_t)table_get(self->spent, key, size);
    if (spent || table_count(self->spent) < SPENT_MOST)
        (void)table_put(self->spent, key, size, (void *)(spent + (uintptr_t)cost_us));
}

// The generic cell rate algorithm: `last` is when the allowance would be whole again.
int limits_message(struct limits *self, const char *address, unsigned per_minute, int64_t now_ms)
{
    uint8_t key[CLIENT_KEY_MOST];
    if (!per_minute)
        return 1;
    size_t size = client_key(address, key);
    struct aging_entry *entry = aging_get(self->rates, key, size);
    int64_t whole_us = entry->last; // microseconds: rates go beyond one a millisecond
    int64_t now_us = now_ms * 1000;
    int64_t cost_us = (int64_t)MINUTE_MS * 1000 / per_minute;
    if (whole_us < now_us)
        whole_us = now_us;
    if (whole_us + cost_us > now_us + (int64_t)MINUTE_MS * 1000)
        return 0;
    entry->last = whole_us + cost_us;
    note_spent(self, key, size, cost_us);
    return 1;
}

struct taking {
    struct limits *limits;
    struct limits_spent *rows;
    size_t count, most;
};

static int take_spent(const void *key, size_t size, void *value, void *context)
{
    struct taking *self = context;
    struct limits_spent *row = &self->rows[self->count++];
    memcpy(row->key, key, size);
    row->key_size = (uint8_t)size;
    row->spent_us = (int64_t)(uintptr_t)value;
    (void)table_remove(self->limits->spent, row->key, size);
    return self->count == self->most;
}

size_t limits_spent(struct limits *self, struct limits_spent *ret, size_t most)
{
    struct taking taking = {self, ret, 0, most};
    (void)table_each(self->spent, take_spent, &taking);
    return taking.count;
}

// What was spent here since the question stands in `spent` again, and is not known to the others.
void limits_learn(struct limits *self, const struct limits_spent *client, int64_t now_ms)
{
    struct aging_entry *entry = aging_get(self->rates, client->key, client->key_size);
    int64_t since_us = (int64_t)(uintptr_t)table_get(self->spent, client->key, client->key_size);
    entry->last = now_ms * 1000 + client->spent_us + since_us;
}
