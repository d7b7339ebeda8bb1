// SPDX-License-Identifier: Apache-2.0
#include "master/reconcile.h"
#include "core/base/table.h"
#include "master/store/inventory.h"
#include <stdlib.h>
#include <string.h>

enum { STREAM_KEY = HOLDINGS_NODE + 8, ROWS_MOST = 2 * INVENTORY_RANGE };

struct row {
    uint64_t sequence, hash;
};

struct reconcile {
    struct reconcile_ops ops;
    uint64_t round;
    int fetch, ended;
    struct reconcile_report *report;
    struct reconcile_limit *limits;
    size_t limit_count;
    enum control_type asking; // the question at hand
    int looking;              // the peer has answered it, we have not
    Postern__PeerAnswer *theirs;
    struct reconcile_limit *streams; // that differ
    size_t stream_count, stream_at;
    uint64_t *ranges; // of streams[stream_at], that differ
    size_t range_count, range_at;
    uint64_t range_next;           // where to go on with them, 0: that was all
    struct row missing[ROWS_MOST]; // in ranges[range_at], here
    size_t missing_count, missing_at;
};

struct reconcile *reconcile_new(uint64_t round, int fetch, const struct reconcile_limit *limits,
                                size_t limit_count, const struct reconcile_ops *ops)
{
    struct reconcile *self = allocate(sizeof(*self));
    self->ops = *ops;
    self->round = round;
    self->fetch = fetch;
    self->report = allocate(sizeof(*self->report));
    self->limits = allocate((limit_count + 1) * sizeof(*limits));
    memcpy(self->limits, limits, limit_count * sizeof(*limits));
    self->limit_count = limit_count;
    self->streams = allocate((size_t)2 * HOLDINGS_STREAMS * sizeof(*self->streams));
    self->ranges = allocate((size_t)2 * (HOLDINGS_RANGES + 1) * sizeof(*self->ranges));
    return self;
}

static void drop_theirs(struct reconcile *self)
{
    if (self->theirs)
        postern__peer_answer__free_unpacked(self->theirs, NULL);
    self->theirs = NULL;
}

void reconcile_destroy(struct reconcile **self)
{
    if (!*self)
        return;
    drop_theirs(*self);
    free((*self)->report);
    free((*self)->limits);
    free((*self)->streams);
    free((*self)->ranges);
    free(*self);
    *self = NULL;
}

static void end(struct reconcile *self, int complete)
{
    if (self->ended)
        return;
    self->ended = 1;
    self->report->complete = complete;
    self->ops.done(self->ops.context, self->report);
}

void reconcile_give_up(struct reconcile *self)
{
    end(self, 0);
}

// -- questions

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static struct reconcile_limit *stream(const struct reconcile *self)
{
    return &self->streams[self->stream_at];
}

// About the stream at hand.
static Postern__PeerAsk ask_of(const struct reconcile *self)
{
    Postern__PeerAsk ask = POSTERN__PEER_ASK__INIT;
    ask.round = self->round;
    if (self->asking == CONTROL_PEER_SUMMARY)
        return ask;
    ask.node = bytes_of(stream(self)->node);
    ask.epoch = stream(self)->epoch;
    ask.upto = stream(self)->upto;
    if (self->asking == CONTROL_PEER_RANGES)
        ask.from = self->range_next;
    else
        ask.from = self->ranges[self->range_at];
    return ask;
}

// What a question lists stands beside it.
struct lists {
    Postern__PeerPosition *positions, **limits;
    Postern__PeerRow *row_list, **rows;
};

static void list_limits(const struct reconcile *self, Postern__PeerAsk *ask, struct lists *lists)
{
    lists->positions = allocate((self->limit_count + 1) * sizeof(*lists->positions));
    lists->limits = allocate((self->limit_count + 1) * sizeof(*lists->limits));
    for (size_t i = 0; i < self->limit_count; i++) {
        postern__peer_position__init(&lists->positions[i]);
        lists->positions[i].node = bytes_of(self->limits[i].node);
        lists->positions[i].epoch = self->limits[i].epoch;
        lists->positions[i].watermark = self->limits[i].upto;
        lists->limits[i] = &lists->positions[i];
    }
    ask->limits = lists->limits;
    ask->n_limits = self->limit_count;
}

static void list_rows(const struct reconcile *self, Postern__PeerAsk *ask, struct lists *lists)
{
    size_t count = self->missing_count - self->missing_at;
    lists->row_list = allocate((count + 1) * sizeof(*lists->row_list));
    lists->rows = allocate((count + 1) * sizeof(*lists->rows));
    for (size_t i = 0; i < count; i++) {
        const struct row *missing = &self->missing[self->missing_at + i];
        postern__peer_row__init(&lists->row_list[i]);
        lists->row_list[i].sequence = missing->sequence;
        lists->row_list[i].hash = missing->hash;
        lists->rows[i] = &lists->row_list[i];
    }
    ask->rows = lists->rows;
    ask->n_rows = count;
}

static int put_question(struct reconcile *self, int (*put)(void *context, enum control_type type,
                                                           const Postern__PeerAsk *ask))
{
    struct lists lists = {0};
    Postern__PeerAsk ask = ask_of(self);
    if (self->asking == CONTROL_PEER_SUMMARY)
        list_limits(self, &ask, &lists);
    else if (self->asking == CONTROL_PEER_EVENTS)
        list_rows(self, &ask, &lists);
    int rc = put(self->ops.context, self->asking, &ask);
    free(lists.positions);
    free(lists.limits);
    free(lists.row_list);
    free(lists.rows);
    return rc;
}

static void ask(struct reconcile *self, enum control_type type)
{
    self->asking = type;
    self->looking = 0;
    drop_theirs(self);
    if (put_question(self, self->ops.ask) < 0)
        end(self, 0);
}

void reconcile_start(struct reconcile *self)
{
    ask(self, CONTROL_PEER_SUMMARY);
}

// -- the way through what differs: streams, their ranges, their rows

static void next_stream(struct reconcile *self)
{
    if (self->stream_at == self->stream_count) {
        end(self, 1);
        return;
    }
    self->range_next = 0;
    ask(self, CONTROL_PEER_RANGES);
}

static void next_range(struct reconcile *self)
{
    if (self->range_at < self->range_count) {
        ask(self, CONTROL_PEER_ROWS);
    } else if (self->range_next) {
        ask(self, CONTROL_PEER_RANGES);
    } else {
        self->stream_at++;
        next_stream(self);
    }
}

static void next_events(struct reconcile *self)
{
    if (self->fetch && self->missing_at < self->missing_count) {
        ask(self, CONTROL_PEER_EVENTS);
        return;
    }
    self->range_at++;
    next_range(self);
}

// -- streams

static size_t stream_key(char key[STREAM_KEY], const Postern__PeerDigest *digest)
{
    memcpy(key, &digest->epoch, sizeof(digest->epoch));
    memcpy(key + sizeof(digest->epoch), digest->node.data, digest->node.len);
    return sizeof(digest->epoch) + digest->node.len;
}

static uint64_t limit_of(const struct reconcile *self, const struct reconcile_limit *stream_of)
{
    for (size_t i = 0; i < self->limit_count; i++)
        if (self->limits[i].epoch == stream_of->epoch &&
            strcmp(self->limits[i].node, stream_of->node) == 0)
            return self->limits[i].upto;
    return UINT64_MAX;
}

static int is_same(const Postern__PeerDigest *a, const Postern__PeerDigest *b)
{
    return a && b ? a->count == b->count && a->sum == b->sum : (a ? a : b)->count == 0;
}

// One side's digest of a stream, or both's.
static void compare_stream(struct reconcile *self, const Postern__PeerDigest *a,
                           const Postern__PeerDigest *b)
{
    const Postern__PeerDigest *known = a ? a : b;
    struct reconcile_limit found = {.epoch = known->epoch};
    uint64_t last = a && b && b->last > a->last ? b->last : known->last;
    if (holdings_name(&known->node, found.node) < 0)
        return;
    self->report->streams++;
    if (self->report->reach_count < ARRAY_LENGTH(self->report->reach)) {
        found.upto = last;
        self->report->reach[self->report->reach_count++] = found;
    }
    if (is_same(a, b) || self->stream_count == (size_t)2 * HOLDINGS_STREAMS)
        return;
    found.upto = limit_of(self, &found);
    self->streams[self->stream_count++] = found;
}

static int compare_unmatched(const void *key, size_t size, void *value, void *context)
{
    (void)key;
    (void)size;
    compare_stream(context, value, NULL);
    return 0;
}

static void compare_summaries(struct reconcile *self, const Postern__PeerAnswer *ours)
{
    struct table *table = table_new();
    char key[STREAM_KEY];
    for (size_t i = 0; i < ours->n_digests; i++)
        if (ours->digests[i]->node.len < HOLDINGS_NODE)
            table_put(table, key, stream_key(key, ours->digests[i]), ours->digests[i]);
    for (size_t i = 0; i < self->theirs->n_digests; i++) {
        const Postern__PeerDigest *digest = self->theirs->digests[i];
        if (digest->node.len < HOLDINGS_NODE)
            compare_stream(self, digest, table_remove(table, key, stream_key(key, digest)));
    }
    table_each(table, compare_unmatched, self);
    table_destroy(&table);
    next_stream(self);
}

// -- ranges

// Walks two sorted lists up to where both reach.
static void compare_ranges(struct reconcile *self, const Postern__PeerAnswer *ours)
{
    const Postern__PeerAnswer *theirs = self->theirs;
    uint64_t our_end = ours->next ? ours->next : UINT64_MAX;
    uint64_t their_end = theirs->next ? theirs->next : UINT64_MAX;
    uint64_t limit = our_end < their_end ? our_end : their_end;
    size_t i = 0, j = 0;
    self->range_count = self->range_at = 0;
    while (i < ours->n_digests || j < theirs->n_digests) {
        const Postern__PeerDigest *a = i < ours->n_digests ? ours->digests[i] : NULL;
        const Postern__PeerDigest *b = j < theirs->n_digests ? theirs->digests[j] : NULL;
        uint64_t number = !b || (a && a->number < b->number) ? a->number : b->number;
        a = a && a->number == number ? a : NULL;
        b = b && b->number == number ? b : NULL;
        i += a != NULL;
        j += b != NULL;
        if (number < limit && !is_same(a, b) && self->range_count < (size_t)2 * HOLDINGS_RANGES)
            self->ranges[self->range_count++] = number;
    }
    // An end that does not lie ahead would never be reached.
    self->range_next = limit < UINT64_MAX && limit > self->range_next ? limit : 0;
    next_range(self);
}

// -- rows

static int by_place(const Postern__PeerRow *a, const Postern__PeerRow *b)
{
    if (a->sequence != b->sequence)
        return a->sequence < b->sequence ? -1 : 1;
    int64_t left = (int64_t)a->hash, right = (int64_t)b->hash;
    return (left > right) - (left < right);
}

static void note_row(struct reconcile_difference *difference, const Postern__PeerRow *row, int here)
{
    if (difference->missing_here + difference->missing_there == 0)
        difference->first = row->sequence;
    difference->last = row->sequence;
    *(here ? &difference->missing_here : &difference->missing_there) += 1;
}

static void report_difference(struct reconcile *self, const struct reconcile_difference *difference)
{
    struct reconcile_report *report = self->report;
    report->missing_here += difference->missing_here;
    report->missing_there += difference->missing_there;
    if (difference->missing_here + difference->missing_there > 0 &&
        report->difference_count < RECONCILE_DIFFERENCES)
        report->differences[report->difference_count++] = *difference;
}

static void compare_rows(struct reconcile *self, const Postern__PeerAnswer *ours)
{
    const Postern__PeerAnswer *theirs = self->theirs;
    struct reconcile_difference difference = {.epoch = stream(self)->epoch};
    size_t i = 0, j = 0;
    memcpy(difference.node, stream(self)->node, sizeof(difference.node));
    self->missing_count = self->missing_at = 0;
    while (i < ours->n_rows || j < theirs->n_rows) {
        int order = i == ours->n_rows     ? 1
                    : j == theirs->n_rows ? -1
                                          : by_place(ours->rows[i], theirs->rows[j]);
        if (order < 0)
            note_row(&difference, ours->rows[i], 0);
        if (order > 0)
            note_row(&difference, theirs->rows[j], 1);
        if (order > 0 && self->missing_count < ROWS_MOST)
            self->missing[self->missing_count++] =
                (struct row){theirs->rows[j]->sequence, theirs->rows[j]->hash};
        i += order <= 0;
        j += order >= 0;
    }
    report_difference(self, &difference);
    next_events(self);
}

// -- events

// Only what was asked for, and what it says it is.
static int is_wanted(const struct reconcile *self, const Postern__PeerRow *row)
{
    struct span packed = {(const char *)row->event.data, row->event.len};
    if (row->sequence == 0 || row->sequence > INT64_MAX ||
        inventory_hash(row->sequence, packed) != row->hash)
        return 0;
    for (size_t i = self->missing_at; i < self->missing_count; i++)
        if (self->missing[i].sequence == row->sequence && self->missing[i].hash == row->hash)
            return 1;
    return 0;
}

static void take_events(struct reconcile *self, Postern__PeerAnswer *events)
{
    size_t left = self->missing_count - self->missing_at;
    for (size_t i = 0; i < events->n_rows; i++)
        if (!is_wanted(self, events->rows[i])) {
            end(self, 0);
            return;
        }
    self->missing_at += events->next > 0 && events->next < left ? events->next : left;
    self->report->fetched += events->n_rows;
    if (events->n_rows == 0)
        next_events(self); // what it held is gone there
    else if (self->ops.store(self->ops.context, stream(self)->node, stream(self)->epoch, events) <
             0)
        end(self, 0);
}

void reconcile_stored(struct reconcile *self)
{
    if (!self->ended)
        next_events(self);
}

// -- answers

void reconcile_theirs(struct reconcile *self, enum control_type type, Postern__PeerAnswer *answer)
{
    if (self->ended || self->looking || type != self->asking || answer->round != self->round) {
        postern__peer_answer__free_unpacked(answer, NULL);
        return;
    }
    self->looking = 1;
    self->theirs = answer;
    if (type == CONTROL_PEER_EVENTS)
        take_events(self, answer);
    else if (put_question(self, self->ops.look) < 0)
        end(self, 0);
}

void reconcile_ours(struct reconcile *self, Postern__PeerAnswer *answer)
{
    if (self->ended || !answer)
        end(self, 0);
    else if (self->asking == CONTROL_PEER_SUMMARY)
        compare_summaries(self, answer);
    else if (self->asking == CONTROL_PEER_RANGES)
        compare_ranges(self, answer);
    else if (self->asking == CONTROL_PEER_ROWS)
        compare_rows(self, answer);
    if (answer)
        postern__peer_answer__free_unpacked(answer, NULL);
}
