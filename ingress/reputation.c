// SPDX-License-Identifier: Apache-2.0
#include "ingress/reputation.h"
#include "core/base/table.h"
#include "ingress/aging.h"

#include <stdlib.h>
#include <string.h>

enum { NEWS_MOST = 10000 };

struct reputation {
    struct aging *clients; // first: good mails; last: bad ones
    struct table *news;    // client → struct news, not yet told to the others
};

struct news {
    int64_t good, bad;
};

enum standing standing_of(int64_t good, int64_t bad)
{
    if (good >= REPUTATION_ENOUGH && good >= bad * REPUTATION_GOOD_FOR_BAD)
        return STANDING_GOOD;
    return bad >= REPUTATION_ENOUGH && bad > good ? STANDING_BAD : STANDING_UNKNOWN;
}

struct reputation *reputation_new(size_t most)
{
    struct reputation *self = allocate(sizeof(*self));
    self->clients = aging_new(most);
    self->news = table_new();
    return self;
}

static int free_news(const void *key, size_t size, void *value, void *context)
{
    (void)key, (void)size, (void)context;
    free(value);
    return 0;
}

void reputation_destroy(struct reputation **self)
{
    if (!*self)
        return;
    aging_destroy(&(*self)->clients);
    (void)table_each((*self)->news, free_news, NULL);
    table_destroy(&(*self)->news);
    free(*self);
    *self = NULL;
}

// News beyond the bound stay our own knowledge.
static struct news *news_of(struct reputation *self, const uint8_t *key, size_t size)
{
    struct news *news = table_get(self->news, key, size);
    if (!news && table_count(self->news) < NEWS_MOST) {
        news = allocate(sizeof(*news));
        (void)table_put(self->news, key, size, news);
    }
    return news;
}

void reputation_note(struct reputation *self, const char *client, int bad)
{
    uint8_t key[CLIENT_KEY_MOST];
    size_t size = client_key(client, key);
    struct aging_entry *entry = aging_get(self->clients, key, size);
    struct news *news = news_of(self, key, size);
    *(bad ? &entry->last : &entry->first) += 1;
    if (news)
        *(bad ? &news->bad : &news->good) += 1;
    if (entry->first + entry->last > REPUTATION_WEIGHT_MOST) {
        entry->first /= 2;
        entry->last /= 2;
    }
}

enum standing reputation_of(struct reputation *self, const char *client)
{
    uint8_t key[CLIENT_KEY_MOST];
    const struct aging_entry *entry = aging_get(self->clients, key, client_key(client, key));
    return standing_of(entry->first, entry->last);
}

struct taking {
    struct reputation *reputation;
    struct reputation_counts *rows;
    size_t count, most;
};

static int take_news(const void *key, size_t size, void *value, void *context)
{
    struct taking *self = context;
    struct news *news = value;
    struct reputation_counts *row = &self->rows[self->count++];
    memcpy(row->key, key, size);
    row->key_size = (uint8_t)size;
    row->good = news->good;
    row->bad = news->bad;
    (void)table_remove(self->reputation->news, row->key, size);
    free(news);
    return self->count == self->most;
}

size_t reputation_news(struct reputation *self, struct reputation_counts *ret, size_t most)
{
    struct taking taking = {self, ret, 0, most};
    (void)table_each(self->news, take_news, &taking);
    return taking.count;
}

// What was noted since the question is news again, and not known to the others.
void reputation_learn(struct reputation *self, const struct reputation_counts *client)
{
    struct aging_entry *entry = aging_get(self->clients, client->key, client->key_size);
    const struct news *since = table_get(self->news, client->key, client->key_size);
    entry->first = client->good + (since ? since->good : 0);
    entry->last = client->bad + (since ? since->bad : 0);
}
