// SPDX-License-Identifier: Apache-2.0
#include "master/holdings.h"
#include "core/base/buffer.h"
#include "core/base/table.h"
#include "master/store/inventory.h"
#include <stdlib.h>
#include <string.h>

struct question {
    struct store *store;
    const Postern__PeerAsk *ask;
    char node[HOLDINGS_NODE];
    struct table *limits; // "node\0epoch" -> its PeerPosition
    Postern__PeerAnswer *answer;
    size_t capacity; // of the answer's list that grows
};

int holdings_name(const ProtobufCBinaryData *data, char ret[HOLDINGS_NODE])
{
    if (data->len == 0 || data->len >= HOLDINGS_NODE || memchr(data->data, 0, data->len))
        return -1;
    memcpy(ret, data->data, data->len);
    ret[data->len] = 0;
    return 0;
}

static ProtobufCBinaryData copy_of(const void *data, size_t size)
{
    return (ProtobufCBinaryData){size, size ? duplicate_bytes(data, size) : NULL};
}

static void *grown(struct question *self, void *list, size_t count)
{
    if (count < self->capacity)
        return list;
    self->capacity = self->capacity ? 2 * self->capacity : 64;
    return reallocate(list, self->capacity * sizeof(void *));
}

static Postern__PeerDigest *add_digest(struct question *self, const struct digest *digest)
{
    Postern__PeerAnswer *answer = self->answer;
    Postern__PeerDigest *added = allocate(sizeof(*added));
    postern__peer_digest__init(added);
    added->count = digest->count;
    added->sum = digest->sum;
    answer->digests = grown(self, answer->digests, answer->n_digests);
    answer->digests[answer->n_digests++] = added;
    return added;
}

static Postern__PeerRow *add_row(struct question *self, uint64_t sequence, uint64_t hash)
{
    Postern__PeerAnswer *answer = self->answer;
    Postern__PeerRow *added = allocate(sizeof(*added));
    postern__peer_row__init(added);
    added->sequence = sequence;
    added->hash = hash;
    answer->rows = grown(self, answer->rows, answer->n_rows);
    answer->rows[answer->n_rows++] = added;
    return added;
}

// -- the streams

static size_t limit_key(char key[HOLDINGS_NODE + 8], const void *node, size_t size, uint64_t epoch)
{
    memcpy(key, &epoch, sizeof(epoch));
    memcpy(key + sizeof(epoch), node, size);
    return sizeof(epoch) + size;
}

static uint64_t limit_of(const struct question *self, const struct inventory_stream *stream)
{
    char key[HOLDINGS_NODE + 8];
    size_t size = limit_key(key, stream->node, strlen(stream->node), stream->epoch);
    const Postern__PeerPosition *limit = table_get(self->limits, key, size);
    return limit ? limit->watermark : UINT64_MAX;
}

struct streams {
    size_t count;
    struct stream_seen {
        char node[HOLDINGS_NODE];
        uint64_t epoch, last, upto;
    } list[HOLDINGS_STREAMS];
    struct question *question;
};

static void see_stream(void *context, const struct inventory_stream *stream)
{
    struct streams *self = context;
    struct stream_seen *seen = &self->list[self->count++];
    snprintf(seen->node, sizeof(seen->node), "%s", stream->node);
    seen->epoch = stream->epoch;
    seen->last = stream->last;
    seen->upto = limit_of(self->question, stream);
}

static int add_streams(struct question *self)
{
    struct streams *streams = allocate(sizeof(*streams));
    streams->question = self;
    int rc = inventory_streams(store_inventory(self->store), HOLDINGS_STREAMS, see_stream, streams);
    for (size_t i = 0; rc == 0 && i < streams->count; i++) {
        const struct stream_seen *seen = &streams->list[i];
        struct digest digest;
        rc = inventory_digest(store_inventory(self->store), seen->node, seen->epoch, seen->upto,
                              &digest);
        if (rc < 0)
            break;
        Postern__PeerDigest *added = add_digest(self, &digest);
        added->node = copy_of(seen->node, strlen(seen->node));
        added->epoch = seen->epoch;
        added->last = seen->last;
    }
    free(streams);
    return rc;
}

static int answer_summary(struct question *self)
{
    char key[HOLDINGS_NODE + 8];
    self->limits = table_new();
    for (size_t i = 0; i < self->ask->n_limits; i++) {
        Postern__PeerPosition *limit = self->ask->limits[i];
        if (limit->node.len < HOLDINGS_NODE)
            table_put(self->limits, key,
                      limit_key(key, limit->node.data, limit->node.len, limit->epoch), limit);
    }
    int rc = add_streams(self);
    table_destroy(&self->limits);
    return rc;
}

// -- one stream

static void see_range(void *context, uint64_t number, const struct digest *digest)
{
    add_digest(context, digest)->number = number;
}

static int answer_ranges(struct question *self)
{
    return inventory_ranges(store_inventory(self->store), self->node, self->ask->epoch,
                            self->ask->upto, self->ask->from, HOLDINGS_RANGES, see_range, self,
                            &self->answer->next);
}

static void see_row(void *context, uint64_t sequence, uint64_t hash)
{
    add_row(context, sequence, hash);
}

static int answer_rows(struct question *self)
{
    return inventory_rows(store_inventory(self->store), self->node, self->ask->epoch,
                          self->ask->upto, self->ask->from, see_row, self);
}

static int answer_events(struct question *self)
{
    const Postern__PeerAsk *ask = self->ask;
    struct buffer event;
    size_t total = 0;
    int found = 0;
    buffer_init(&event);
    for (size_t i = 0; i < ask->n_rows && found >= 0; i++) {
        const Postern__PeerRow *row = ask->rows[i];
        if (total >= HOLDINGS_BYTES) {
            self->answer->next = i;
            break;
        }
        buffer_clear(&event);
        found = store_read(self->store, self->node, ask->epoch, row->sequence, row->hash, &event);
        if (found == 1)
            add_row(self, row->sequence, row->hash)->event =
                copy_of(buffer_bytes(&event), buffer_size(&event));
        total += buffer_size(&event);
    }
    buffer_free(&event);
    return found < 0 ? -1 : 0;
}

static const struct {
    enum control_type type;
    int (*answer)(struct question *self);
    int of_all; // not of one stream
} kinds[] = {
    {CONTROL_PEER_SUMMARY, answer_summary, 1},
    {CONTROL_PEER_RANGES, answer_ranges, 0},
    {CONTROL_PEER_ROWS, answer_rows, 0},
    {CONTROL_PEER_EVENTS, answer_events, 0},
};

Postern__PeerAnswer *holdings_answer(struct store *store, enum control_type type,
                                     const Postern__PeerAsk *ask)
{
    struct question question = {.store = store, .ask = ask};
    size_t i = 0;
    while (i < ARRAY_LENGTH(kinds) && kinds[i].type != type)
        i++;
    if (i == ARRAY_LENGTH(kinds) ||
        (!kinds[i].of_all && holdings_name(&ask->node, question.node) < 0))
        return NULL;
    question.answer = allocate(sizeof(*question.answer));
    postern__peer_answer__init(question.answer);
    question.answer->round = ask->round;
    if (kinds[i].answer(&question) == 0)
        return question.answer;
    postern__peer_answer__free_unpacked(question.answer, NULL);
    return NULL;
}
