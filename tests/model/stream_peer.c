// SPDX-License-Identifier: Apache-2.0
// The two masters compare what they hold, by the real master/reconcile. What master/holdings reads
// from SQLite for its answers comes from arrays here.
#include "master/reconcile.h"
#include "master/store/inventory.h"
#include "tests/model/stream_world.h"

#include <stdlib.h>
#include <string.h>

enum { ROUND = 1, EVENTS_AT_ONCE = 5 };
static const char node_name[] = "worker";

// What is told to the comparison next; an answer never comes from within its question.
struct told {
    enum { TOLD_NOTHING, TOLD_THEIRS, TOLD_OURS, TOLD_STORED } kind;
    enum control_type type;
    Postern__PeerAnswer *answer;
};

struct comparison {
    struct stream_world *world;
    unsigned taker;
    struct reconcile *reconcile;
    struct told next;
    int ended;
};

// -- answers

struct answering {
    const struct sim_master *of;
    const Postern__PeerAsk *ask;
    Postern__PeerAnswer *answer;
};

static void *added(void *list, size_t *count, size_t size)
{
    void **pointers = reallocate(list, (*count + 1) * sizeof(void *));
    pointers[(*count)++] = allocate(size);
    return pointers;
}

static Postern__PeerDigest *add_digest(struct answering *self)
{
    Postern__PeerAnswer *answer = self->answer;
    answer->digests = added(answer->digests, &answer->n_digests, sizeof(Postern__PeerDigest));
    Postern__PeerDigest *digest = answer->digests[answer->n_digests - 1];
    postern__peer_digest__init(digest);
    return digest;
}

static Postern__PeerRow *add_row(struct answering *self, const struct row *row)
{
    Postern__PeerAnswer *answer = self->answer;
    answer->rows = added(answer->rows, &answer->n_rows, sizeof(Postern__PeerRow));
    Postern__PeerRow *given = answer->rows[answer->n_rows - 1];
    postern__peer_row__init(given);
    given->sequence = row->sequence;
    given->hash = row->hash;
    return given;
}

static void digest_of(const struct answering *self, uint64_t epoch, uint64_t upto,
                      Postern__PeerDigest *ret)
{
    for (size_t i = 0; i < self->of->row_count; i++) {
        const struct row *row = &self->of->rows[i];
        if (row->epoch != epoch)
            continue;
        ret->last = row->sequence > ret->last ? row->sequence : ret->last;
        ret->count += row->sequence <= upto;
        ret->sum ^= row->sequence <= upto ? row->hash : 0;
    }
}

static uint64_t limit_of(const Postern__PeerAsk *ask, uint64_t epoch)
{
    for (size_t i = 0; i < ask->n_limits; i++)
        if (ask->limits[i]->epoch == epoch)
            return ask->limits[i]->watermark;
    return UINT64_MAX;
}

static void answer_summary(struct answering *self, unsigned epochs)
{
    for (uint64_t epoch = 1; epoch <= epochs; epoch++) {
        Postern__PeerDigest found = POSTERN__PEER_DIGEST__INIT;
        digest_of(self, epoch, limit_of(self->ask, epoch), &found);
        if (!found.last)
            continue;
        found.epoch = epoch;
        found.node = (ProtobufCBinaryData){strlen(node_name), (uint8_t *)duplicate(node_name)};
        *add_digest(self) = found;
    }
}

// A schedule's sequences all lie in the first range.
static void answer_ranges(struct answering *self)
{
    Postern__PeerDigest found = POSTERN__PEER_DIGEST__INIT;
    digest_of(self, self->ask->epoch, self->ask->upto, &found);
    if (found.count > 0 && self->ask->from == 0)
        *add_digest(self) = found;
}

static int by_place(const void *a, const void *b)
{
    const Postern__PeerRow *left = *(Postern__PeerRow *const *)a;
    const Postern__PeerRow *right = *(Postern__PeerRow *const *)b;
    if (left->sequence != right->sequence)
        return left->sequence < right->sequence ? -1 : 1;
    int64_t one = (int64_t)left->hash, other = (int64_t)right->hash;
    return (one > other) - (one < other);
}

static void answer_rows(struct answering *self)
{
    for (size_t i = 0; i < self->of->row_count; i++) {
        const struct row *row = &self->of->rows[i];
        if (row->epoch == self->ask->epoch && row->sequence <= self->ask->upto)
            add_row(self, row);
    }
    if (self->answer->n_rows > 0)
        qsort(self->answer->rows, self->answer->n_rows, sizeof(self->answer->rows[0]), by_place);
}

static void answer_event(struct answering *self, const Postern__PeerRow *wanted)
{
    for (size_t i = 0; i < self->of->row_count; i++) {
        const struct row *row = &self->of->rows[i];
        if (row->epoch != self->ask->epoch || row->sequence != wanted->sequence ||
            row->hash != wanted->hash)
            continue;
        add_row(self, row)->event = (ProtobufCBinaryData){
            sizeof(row->event), duplicate_bytes(&row->event, sizeof(row->event))};
        return;
    }
}

static void answer_events(struct answering *self)
{
    size_t i = 0;
    for (; i < self->ask->n_rows && i < EVENTS_AT_ONCE; i++)
        answer_event(self, self->ask->rows[i]);
    self->answer->next = i < self->ask->n_rows ? i : 0;
}

static Postern__PeerAnswer *answer_of(const struct stream_world *world, unsigned master,
                                      enum control_type type, const Postern__PeerAsk *ask)
{
    struct answering self = {&world->masters[master], ask, allocate(sizeof(*self.answer))};
    postern__peer_answer__init(self.answer);
    self.answer->round = ask->round;
    if (type == CONTROL_PEER_SUMMARY)
        answer_summary(&self, world->epochs);
    else if (type == CONTROL_PEER_RANGES)
        answer_ranges(&self);
    else if (type == CONTROL_PEER_ROWS)
        answer_rows(&self);
    else
        answer_events(&self);
    return self.answer;
}

// -- what the comparison wants

static int ask_peer(void *context, enum control_type type, const Postern__PeerAsk *ask)
{
    struct comparison *self = context;
    self->next = (struct told){TOLD_THEIRS, type, answer_of(self->world, !self->taker, type, ask)};
    return 0;
}

static int look(void *context, enum control_type type, const Postern__PeerAsk *ask)
{
    struct comparison *self = context;
    self->next = (struct told){TOLD_OURS, type, answer_of(self->world, self->taker, type, ask)};
    return 0;
}

static int store(void *context, const char *node, uint64_t epoch, const Postern__PeerAnswer *events)
{
    struct comparison *self = context;
    (void)node;
    for (size_t i = 0; i < events->n_rows; i++) {
        const Postern__PeerRow *given = events->rows[i];
        struct row row = {epoch, given->sequence, given->hash, 0, 1};
        memcpy(&row.event, given->event.data, sizeof(row.event));
        stream_master_keep(self->world, self->taker, &row);
    }
    self->next = (struct told){.kind = TOLD_STORED};
    return 0;
}

static void done(void *context, const struct reconcile_report *report)
{
    struct comparison *self = context;
    self->ended = 1;
    stream_say(self->world, "master %c has fetched %llu of %llu events from its peer",
               'A' + (int)self->taker, (unsigned long long)report->fetched,
               (unsigned long long)report->missing_here);
}

// -- its life

static struct comparison *start(struct stream_world *world, unsigned taker)
{
    const struct tracker *tracker = &world->masters[taker].tracker;
    struct reconcile_limit limit = {.epoch = tracker->epoch, .upto = tracker->committed};
    struct comparison *self = allocate(sizeof(*self));
    const struct reconcile_ops ops = {ask_peer, look, store, done, self};
    memcpy(limit.node, node_name, sizeof(node_name));
    self->world = world;
    self->taker = taker;
    self->reconcile = reconcile_new(ROUND, 1, &limit, 1, &ops);
    reconcile_start(self->reconcile);
    return self;
}

static void destroy(struct comparison **self_p)
{
    struct comparison *self = *self_p;
    if (!self)
        return;
    if (self->next.answer)
        postern__peer_answer__free_unpacked(self->next.answer, NULL);
    reconcile_destroy(&self->reconcile);
    free(self);
    *self_p = NULL;
}

static void tell(struct comparison *self)
{
    struct told told = self->next;
    self->next = (struct told){0};
    if (told.kind == TOLD_THEIRS)
        reconcile_theirs(self->reconcile, told.type, told.answer);
    else if (told.kind == TOLD_OURS)
        reconcile_ours(self->reconcile, told.answer);
    else if (told.kind == TOLD_STORED)
        reconcile_stored(self->reconcile);
}

int stream_master_compare(struct stream_world *self, unsigned master)
{
    struct comparison **at = &self->comparisons[master];
    if (!self->masters[0].up || !self->masters[1].up || !stream_with(self, STREAM_RULE_PEERS))
        return 0;
    if (!*at)
        *at = start(self, master);
    else
        tell(*at);
    if ((*at)->ended)
        destroy(at);
    return *at != NULL;
}

void stream_masters_part(struct stream_world *self)
{
    for (unsigned master = 0; master < MASTERS; master++)
        destroy(&self->comparisons[master]);
}
