// SPDX-License-Identifier: Apache-2.0
#include "core/stream/producer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void producer_init(struct producer *self)
{
    *self = (struct producer){0};
}

void producer_free(struct producer *self)
{
    free(self->records);
    producer_init(self);
}

void producer_add_master(struct producer *self, const char *key)
{
    assert(self->master_count < PRODUCER_MASTERS_MOST &&
           strlen(key) < sizeof(self->masters[0].key));
    struct producer_master *master = &self->masters[self->master_count++];
    *master = (struct producer_master){0};
    memcpy(master->key, key, strlen(key) + 1);
}

static void add_record(struct producer *self, const struct producer_record *record)
{
    if (self->end == self->capacity && self->start > self->capacity / 2) {
        memmove(self->records, self->records + self->start,
                (self->end - self->start) * sizeof(*self->records));
        self->end -= self->start;
        self->start = 0;
    }
    if (self->end == self->capacity) {
        self->capacity = self->capacity ? 2 * self->capacity : 64;
        self->records = reallocate(self->records, self->capacity * sizeof(*self->records));
    }
    self->records[self->end++] = *record;
}

static void end_epoch(struct producer *self)
{
    for (size_t i = self->start; i < self->end; i++)
        self->records[i].first = 0;
}

int producer_found(struct producer *self, uint64_t epoch, const struct producer_record *record)
{
    if (epoch != self->epoch) {
        end_epoch(self);
        self->epoch = epoch;
        self->last = record->first - 1;
        self->mark = 0;
    }
    // Its sync failed, it was appended again, and both reached the disk.
    if (record->first <= self->last)
        return -1;
    add_record(self, record);
    self->last = record->first + record->count - 1;
    self->mark = record->count ? record->mark : self->mark;
    return 0;
}

static struct producer_master *find_master(struct producer *self, const char *key)
{
    for (unsigned i = 0; i < self->master_count; i++)
        if (!strcmp(self->masters[i].key, key))
            return &self->masters[i];
    return NULL;
}

void producer_set_masters(struct producer *self, const char *const *keys, unsigned count)
{
    struct producer before = *self;
    self->master_count = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct producer_master *known = find_master(&before, keys[i]);
        producer_add_master(self, keys[i]);
        if (known)
            self->masters[i] = *known;
    }
}

void producer_remember(struct producer *self, const struct producer_master *master)
{
    struct producer_master *known = find_master(self, master->key);
    if (!known)
        return;
    *known = *master;
    known->greeted = 0;
}

void producer_begin(struct producer *self, uint64_t epoch)
{
    end_epoch(self);
    self->epoch = epoch;
    self->last = 0;
    self->mark = 0;
}

void producer_durable(struct producer *self, uint32_t count, uint32_t time_s, uint64_t mark,
                      struct position where)
{
    const struct producer_record record = {self->last + 1, where, count, time_s, mark};
    add_record(self, &record);
    self->last += count;
    self->mark = count ? mark : self->mark;
}

// What is no longer kept was acknowledged before, or cut: it says nothing.
static int means_others(const struct producer *self, uint64_t watermark, uint64_t mark)
{
    size_t count;
    const struct producer_record *record = producer_find(self, watermark, &count);
    return mark && watermark && record && record->first <= watermark && record->mark &&
           record->mark != mark;
}

enum producer_hello producer_hello(struct producer *self, unsigned master,
                                   const struct producer_word *word)
{
    struct producer_master *known = &self->masters[master];
    if (word->epoch == self->epoch &&
        (word->upto > self->last || means_others(self, word->upto, word->mark)))
        return PRODUCER_BEHIND;
    known->incarnation = word->incarnation;
    known->life = word->life;
    known->epoch = word->epoch;
    known->upto = word->upto;
    known->greeted = 1;
    return PRODUCER_AGREED;
}

enum producer_hello producer_acknowledge(struct producer *self, unsigned master,
                                         const struct producer_word *word)
{
    struct producer_master *known = &self->masters[master];
    if (word->incarnation != known->incarnation || word->life != known->life ||
        word->epoch != self->epoch || word->upto > self->last)
        return PRODUCER_AGREED;
    // It took frames from before our disk was put back.
    if (means_others(self, word->upto, word->mark))
        return PRODUCER_BEHIND;
    if (known->epoch == word->epoch && known->upto >= word->upto)
        return PRODUCER_AGREED;
    known->epoch = word->epoch;
    known->upto = word->upto;
    return PRODUCER_AGREED;
}

uint64_t producer_acknowledged(const struct producer *self)
{
    uint64_t least = self->master_count ? UINT64_MAX : 0;
    for (unsigned i = 0; i < self->master_count; i++) {
        const struct producer_master *master = &self->masters[i];
        uint64_t upto = master->greeted && master->epoch == self->epoch ? master->upto : 0;
        least = upto < least ? upto : least;
    }
    return least;
}

const struct producer_record *producer_oldest(const struct producer *self)
{
    return self->start < self->end ? &self->records[self->start] : NULL;
}

uint64_t producer_first_kept(const struct producer *self)
{
    for (size_t i = self->start; i < self->end; i++)
        if (self->records[i].first)
            return self->records[i].first;
    return self->last + 1;
}

int producer_trim(struct producer *self, struct position *ret_where)
{
    const struct producer_record *oldest = producer_oldest(self);
    if (self->end - self->start < 2 ||
        (oldest->first && oldest->first + oldest->count - 1 > producer_acknowledged(self)))
        return 0;
    *ret_where = oldest->where;
    self->start++;
    return 1;
}

int producer_cut(struct producer *self, struct producer_record *ret)
{
    if (self->end - self->start < 2)
        return 0;
    *ret = self->records[self->start++];
    return 1;
}

const struct producer_record *producer_find(const struct producer *self, uint64_t sequence,
                                            size_t *ret_count)
{
    size_t low = self->start, high = self->end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct producer_record *record = &self->records[middle];
        if (!record->first || record->first + record->count <= sequence)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_count = self->end - low;
    return low < self->end ? &self->records[low] : NULL;
}
