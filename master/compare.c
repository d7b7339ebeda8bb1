// SPDX-License-Identifier: Apache-2.0
#include "master/compare.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/random.h"
#include "core/base/unpack.h"
#include "master/peer.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MS = 10000, KEY_SIZE = 41 };

struct compare {
    struct master *master;
    struct reconcile *reconcile;
    uint64_t round;
    int64_t moved_ms;  // when something came last
    struct visit *job; // with the writer, NULL: none
    int started;
    compare_done_fn *done;
    void *context;
};

// A question on its way to the writer's thread and back; without `ask` it only waits until what was
// put before it is durable.
struct visit {
    struct writer_job job;
    struct master *master;
    struct compare *compare; // whose it is; NULL: given up meanwhile, or the peer's
    char key[KEY_SIZE];      // of who asked from outside, "": ourselves
    enum control_type type;
    Postern__PeerAsk *ask;
    Postern__PeerAnswer *answer;
};

static void run(struct writer_job *job, struct writer_databases *databases)
{
    struct visit *self = (struct visit *)job;
    if (self->ask)
        self->answer = holdings_answer(databases->store, self->type, self->ask);
}

static void visit_free(struct visit *self)
{
    if (self->ask)
        postern__peer_ask__free_unpacked(self->ask, NULL);
    if (self->answer)
        postern__peer_answer__free_unpacked(self->answer, NULL);
    free(self);
}

static void send_answer(const struct visit *self)
{
    if (self->answer &&
        control_send(self->master->control, self->key, self->type, &self->answer->base) < 0)
        log_debug("peer.answer", "type=%d unsent=%d", (int)self->type, errno);
}

static void ran(struct writer_job *job)
{
    struct visit *self = (struct visit *)job;
    struct compare *compare = self->compare;
    Postern__PeerAnswer *answer = self->answer;
    int asked = self->ask != NULL;
    if (*self->key)
        send_answer(self);
    if (compare) {
        self->answer = NULL;
        compare->job = NULL;
        compare->moved_ms = loop_now_ms(compare->master->loop);
        if (asked)
            reconcile_ours(compare->reconcile, answer);
        else
            reconcile_stored(compare->reconcile);
    }
    visit_free(self);
}

static Postern__PeerAsk *copy_of(const Postern__PeerAsk *ask)
{
    size_t size = postern__peer_ask__get_packed_size(ask);
    uint8_t *packed = allocate(size + 1);
    postern__peer_ask__pack(ask, packed);
    Postern__PeerAsk *copy = postern__peer_ask__unpack(&unpack_allocator, size, packed);
    free(packed);
    return copy;
}

// 0, or -1: the writer has no room.
static int visit_store(struct master *master, struct compare *compare, const char *key,
                       enum control_type type, const Postern__PeerAsk *ask)
{
    struct visit *self = allocate(sizeof(*self));
    self->job = (struct writer_job){run, ran};
    self->master = master;
    self->compare = compare;
    snprintf(self->key, sizeof(self->key), "%s", key);
    self->type = type;
    self->ask = ask ? copy_of(ask) : NULL;
    if (writer_put(master->writer, &self->job) < 0) {
        visit_free(self);
        return -1;
    }
    if (compare)
        compare->job = self;
    return 0;
}

// -- what a comparison does

static int ask_peer(void *context, enum control_type type, const Postern__PeerAsk *ask)
{
    struct compare *self = context;
    return peer_ask(self->master->peer, type, &ask->base);
}

static int look(void *context, enum control_type type, const Postern__PeerAsk *ask)
{
    struct compare *self = context;
    return visit_store(self->master, self, "", type, ask);
}

// Rows `from` to `to` of the answer, whose sequences follow each other, as a frame. Takes their
// bytes.
static Postern__Publication *frame_of(const char *node, uint64_t epoch,
                                      const Postern__PeerAnswer *answer, size_t from, size_t to)
{
    Postern__Publication *frame = allocate(sizeof(*frame));
    postern__publication__init(frame);
    frame->node = (ProtobufCBinaryData){strlen(node), (uint8_t *)duplicate(node)};
    frame->epoch = epoch;
    frame->first = answer->rows[from]->sequence;
    frame->replayed = 1;
    frame->events = allocate((to - from) * sizeof(*frame->events));
    frame->n_events = to - from;
    for (size_t i = from; i < to; i++) {
        frame->events[i - from] = answer->rows[i]->event;
        answer->rows[i]->event = (ProtobufCBinaryData){0, NULL};
    }
    return frame;
}

static int put_run(struct compare *self, const char *node, uint64_t epoch,
                   const Postern__PeerAnswer *answer, size_t from, size_t to)
{
    struct writer_events *events = allocate(sizeof(*events));
    snprintf(events->node, sizeof(events->node), "%s", node);
    events->epoch = epoch;
    events->first = answer->rows[from]->sequence;
    events->fills = 1;
    events->publication = frame_of(node, epoch, answer, from, to);
    if (writer_put_events(self->master->writer, events) == 0)
        return 0;
    postern__publication__free_unpacked(events->publication, NULL);
    free(events);
    return -1;
}

static int store(void *context, const char *node, uint64_t epoch, const Postern__PeerAnswer *answer)
{
    struct compare *self = context;
    size_t from = 0;
    for (size_t i = 1; i <= answer->n_rows; i++) {
        if (i < answer->n_rows && answer->rows[i]->sequence == answer->rows[i - 1]->sequence + 1)
            continue;
        if (put_run(self, node, epoch, answer, from, i) < 0)
            return -1;
        from = i;
    }
    return visit_store(self->master, self, "", CONTROL_PEER_EVENTS, NULL);
}

static void release(struct compare *self)
{
    struct master *master = self->master;
    for (size_t i = 0; i < COMPARES_MOST; i++)
        if (master->compares[i] == self)
            master->compares[i] = NULL;
    if (self->job)
        self->job->compare = NULL;
    reconcile_destroy(&self->reconcile);
    free(self);
}

static void done(void *context, const struct reconcile_report *report)
{
    struct compare *self = context;
    self->done(self->context, report);
    release(self);
}

struct compare *compare_start(struct master *master, int fetch,
                              const struct reconcile_limit *limits, size_t limit_count,
                              compare_done_fn *told, void *context)
{
    size_t place = 0;
    while (place < COMPARES_MOST && master->compares[place])
        place++;
    if (place == COMPARES_MOST)
        return NULL;
    struct compare *self = allocate(sizeof(*self));
    const struct reconcile_ops ops = {ask_peer, look, store, done, self};
    self->master = master;
    self->round = random_u64();
    self->moved_ms = loop_now_ms(master->loop);
    self->done = told;
    self->context = context;
    self->reconcile = reconcile_new(self->round, fetch, limits, limit_count, &ops);
    master->compares[place] = self;
    return self;
}

void compare_cancel(struct compare **self)
{
    if (*self)
        release(*self);
    *self = NULL;
}

void compare_tick(struct master *master)
{
    for (size_t i = 0; i < COMPARES_MOST; i++) {
        struct compare *self = master->compares[i];
        if (!self)
            continue;
        if (!self->started) {
            self->started = 1;
            reconcile_start(self->reconcile);
        } else if (!self->job && loop_now_ms(master->loop) - self->moved_ms > ANSWER_MS) {
            reconcile_give_up(self->reconcile);
        }
    }
}

// -- the link

void compare_answered(struct master *master, enum control_type type, Postern__PeerAnswer *answer)
{
    for (size_t i = 0; i < COMPARES_MOST; i++) {
        struct compare *self = master->compares[i];
        if (!self || self->round != answer->round)
            continue;
        self->moved_ms = loop_now_ms(master->loop);
        reconcile_theirs(self->reconcile, type, answer);
        return;
    }
    postern__peer_answer__free_unpacked(answer, NULL);
}

void compare_asked(struct master *master, const char *key, enum control_type type,
                   const Postern__PeerAsk *ask)
{
    if (visit_store(master, NULL, key, type, ask) < 0)
        log_debug("peer.asked", "type=%d busy=yes", (int)type);
}
