// SPDX-License-Identifier: Apache-2.0
#include "analyzer/jobs.h"

#include "analyzer/verdict.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "core/base/ulid.h"
#include "mail/spooled.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum {
    RETIRED_KEPT = 8, // replaced incarnations of a slot that are remembered
    BEGUN_MOST = 4,   // begun together; a death charges them all
    TURN_US = 2000,   // after so long the loop turns before the next examination
    RETRY_MS = 100,   // between tries to hand over a verdict
};

enum job_state { JOB_WAITING, JOB_BEGUN, JOB_RUNNING, JOB_UNSENT, JOB_STATES };

struct job {
    TAILQ_ENTRY(job) link;
    struct jobs *jobs;
    enum job_state state;
    uint8_t id[ULID_SIZE];
    uint32_t attempt;
    unsigned ingress;
    uint64_t sender;
    struct position place;
    int64_t until_ms; // later its ingress has taken it back
    struct spooled spooled;
    void *handle;
    Postern__Verdict *verdict; // JOB_UNSENT
};

TAILQ_HEAD(job_list, job);

// An ingress slot, as its Hellos tell.
struct sender {
    uint64_t incarnation; // 0: none yet
    uint64_t retired[RETIRED_KEPT];
    unsigned retired_next;
    uint32_t round;
};

struct jobs {
    struct loop *loop;
    struct engine *engine;
    const struct jobs_ops *ops;
    void *io;
    const struct slot *slot;
    const char *state, *host;
    struct sender senders[SLOT_MOST];
    struct job_list lists[JOB_STATES];
    size_t count;
    struct timer *turn, *retry;
    struct metric *examined, *checks;
    int64_t last_ms; // when the last job came or ended
    int draining;
};

static void on_turn(void *context);
static void on_retry(void *context);

struct jobs *jobs_new(struct loop *loop, struct engine *engine, const struct jobs_ops *ops,
                      void *io, const struct slot *slot, const char *state, const char *host)
{
    struct jobs *self = allocate(sizeof(*self));
    *self = (struct jobs){.loop = loop,
                          .engine = engine,
                          .ops = ops,
                          .io = io,
                          .slot = slot,
                          .state = state,
                          .host = host};
    for (unsigned i = 0; i < JOB_STATES; i++)
        TAILQ_INIT(&self->lists[i]);
    self->turn = timer_new(loop, on_turn, self);
    self->retry = timer_new(loop, on_retry, self);
    self->examined = metric("messages_examined_total", "");
    self->checks = metric("checks_total", "");
    self->last_ms = loop_now_ms(loop);
    return self;
}

static void move(struct job *job, enum job_state state)
{
    TAILQ_REMOVE(&job->jobs->lists[job->state], job, link);
    job->state = state;
    TAILQ_INSERT_TAIL(&job->jobs->lists[state], job, link);
}

static void close_message(struct job *job)
{
    spooled_close(&job->spooled);
    if (job->handle != NULL)
        job->jobs->ops->unmap(job->jobs->io, job->ingress, job->handle);
    job->handle = NULL;
}

static void job_end(struct job *job)
{
    struct jobs *self = job->jobs;
    TAILQ_REMOVE(&self->lists[job->state], job, link);
    close_message(job);
    verdict_destroy(&job->verdict);
    free(job);
    self->count--;
    self->last_ms = loop_now_ms(self->loop);
}

void jobs_destroy(struct jobs **self)
{
    if (*self == NULL)
        return;
    struct job *job;
    for (unsigned i = 0; i < JOB_STATES; i++)
        while ((job = TAILQ_FIRST(&(*self)->lists[i])) != NULL)
            job_end(job);
    timer_destroy(&(*self)->turn);
    timer_destroy(&(*self)->retry);
    free(*self);
    *self = NULL;
}

// -- who asks

static int is_retired(const struct sender *sender, uint64_t incarnation)
{
    for (unsigned i = 0; i < RETIRED_KEPT; i++)
        if (sender->retired[i] == incarnation)
            return 1;
    return 0;
}

// An examination under way cannot be stopped; its verdict will find no taker.
static void drop_jobs_of(struct jobs *self, unsigned ingress, uint64_t incarnation)
{
    static const enum job_state droppable[] = {JOB_WAITING, JOB_BEGUN, JOB_UNSENT};
    for (size_t i = 0; i < ARRAY_LENGTH(droppable); i++) {
        struct job *next;
        for (struct job *job = TAILQ_FIRST(&self->lists[droppable[i]]); job != NULL; job = next) {
            next = TAILQ_NEXT(job, link);
            if (job->ingress == ingress && job->sender == incarnation)
                job_end(job);
        }
    }
}

static void replace_sender(struct jobs *self, unsigned ingress, uint64_t incarnation)
{
    struct sender *sender = &self->senders[ingress];
    if (sender->incarnation != 0) {
        drop_jobs_of(self, ingress, sender->incarnation);
        sender->retired[sender->retired_next++ % RETIRED_KEPT] = sender->incarnation;
    }
    sender->incarnation = incarnation;
}

static size_t list_held(const struct jobs *self, unsigned ingress, Postern__Holding *items,
                        Postern__Holding **ret)
{
    size_t count = 0;
    for (unsigned i = 0; i < JOB_STATES; i++) {
        struct job *job;
        TAILQ_FOREACH(job, &self->lists[i], link)
        {
            if (job->ingress != ingress || job->sender != self->senders[ingress].incarnation)
                continue;
            postern__holding__init(&items[count]);
            items[count].id = (ProtobufCBinaryData){ULID_SIZE, job->id};
            items[count].attempt = job->attempt;
            ret[count] = &items[count];
            count++;
        }
    }
    return count;
}

static void welcome(struct jobs *self, unsigned ingress)
{
    const struct sender *sender = &self->senders[ingress];
    Postern__Holding *items = allocate((self->count + 1) * sizeof(*items));
    Postern__Holding **list = allocate((self->count + 1) * sizeof(*list));
    Postern__Welcome answer = POSTERN__WELCOME__INIT;
    answer.stage = STAGE_ANALYZER;
    answer.slot = self->slot->number;
    answer.incarnation = self->slot->incarnation;
    answer.to = sender->incarnation;
    answer.to_slot = ingress;
    answer.round = sender->round;
    answer.credit = self->draining ? 0 : JOBS_CREDIT;
    answer.n_holding = list_held(self, ingress, items, list);
    answer.holding = list;
    answer.last = 1;
    // A lost answer is asked for again by the next Hello.
    if (self->ops->send(self->io, ingress, BUS_WELCOME, &answer.base) < 0)
        log_debug("welcome.unsaid", "ingress=%u", ingress);
    free(list);
    free(items);
}

void jobs_hello(struct jobs *self, const Postern__Hello *hello)
{
    if (hello->stage != STAGE_INGRESS || hello->slot >= SLOT_MOST || hello->incarnation == 0 ||
        (hello->to_slot != 0 && hello->to_slot != self->slot->number + 1))
        return;
    struct sender *sender = &self->senders[hello->slot];
    if (is_retired(sender, hello->incarnation))
        return; // overtaken by the one that replaced it
    if (sender->incarnation != hello->incarnation)
        replace_sender(self, hello->slot, hello->incarnation);
    sender->round = hello->round;
    welcome(self, hello->slot);
}

// -- verdicts

static void address_verdict(const struct job *job)
{
    Postern__Verdict *verdict = job->verdict;
    free(verdict->id.data);
    verdict->id = (ProtobufCBinaryData){ULID_SIZE, duplicate_bytes(job->id, ULID_SIZE)};
    verdict->attempt = job->attempt;
    verdict->sender = job->jobs->slot->incarnation;
    verdict->receiver = job->sender;
    verdict->ingress = job->ingress;
}

static int send_verdict(const struct job *job)
{
    const struct jobs *self = job->jobs;
    return self->ops->send(self->io, job->ingress, BUS_VERDICT, &job->verdict->base);
}

static int hand_over(struct job *job)
{
    if (send_verdict(job) == 0)
        return 0;
    if (errno != EMSGSIZE)
        return -1;
    // Many recipients with many changes each. Without rows it means quarantine for everybody.
    verdict_destroy(&job->verdict);
    job->verdict = verdict_unexamined("verdict-limit", "The verdict on this message is too big");
    address_verdict(job);
    return send_verdict(job);
}

// Takes the verdict; the job ends once the pipe has it.
static void answer(struct job *job, Postern__Verdict *verdict)
{
    struct jobs *self = job->jobs;
    close_message(job);
    job->verdict = verdict;
    address_verdict(job);
    if (self->senders[job->ingress].incarnation != job->sender || hand_over(job) == 0) {
        job_end(job);
        return;
    }
    move(job, JOB_UNSENT);
    if (!timer_active(self->retry))
        timer_start(self->retry, RETRY_MS);
}

static void send_again(struct jobs *self, unsigned ingress)
{
    struct job *next;
    for (struct job *job = TAILQ_FIRST(&self->lists[JOB_UNSENT]); job != NULL; job = next) {
        next = TAILQ_NEXT(job, link);
        if ((ingress == SLOT_MOST || job->ingress == ingress) && hand_over(job) == 0)
            job_end(job);
    }
}

static void drop_late(struct jobs *self, enum job_state state)
{
    struct job *next;
    for (struct job *job = TAILQ_FIRST(&self->lists[state]); job != NULL; job = next) {
        next = TAILQ_NEXT(job, link);
        if (job->until_ms <= loop_now_ms(self->loop))
            job_end(job);
    }
}

static void on_retry(void *context)
{
    struct jobs *self = context;
    drop_late(self, JOB_UNSENT);
    send_again(self, SLOT_MOST);
    if (!TAILQ_EMPTY(&self->lists[JOB_UNSENT]))
        timer_start(self->retry, RETRY_MS);
}

void jobs_connected(struct jobs *self, unsigned ingress)
{
    send_again(self, ingress);
}

// -- the work

static int open_message(struct job *job)
{
    struct jobs *self = job->jobs;
    char big[PATH_MAX];
    const void *payload = self->ops->map(self->io, job->ingress, job->place, &job->handle);
    if (payload == NULL)
        return -1;
    int length = snprintf(big, sizeof(big), "%s/%s/%u/big", self->state, stage_name(STAGE_INGRESS),
                          job->ingress);
    if (length >= (int)sizeof(big)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return spooled_open(&job->spooled, payload, job->place.length, big);
}

static void on_examined(void *context, struct examination *examination)
{
    struct job *job = context;
    metric_add(job->jobs->examined, 1);
    metric_add(job->jobs->checks, examination->checks);
    answer(job, verdict_new(examination, job->jobs->host));
}

static void examine(struct job *job)
{
    struct jobs *self = job->jobs;
    if (open_message(job) < 0) {
        char id[ULID_TEXT];
        ulid_format((const struct ulid *)job->id, id);
        log_error("message.unreadable", "id=%s ingress=%u segment=%llu offset=%u reason=\"%s\"", id,
                  job->ingress, (unsigned long long)job->place.segment, job->place.offset,
                  strerror(errno));
        answer(job, verdict_unexamined("message-unreadable",
                                       "The message could not be read for its examination"));
        return;
    }
    move(job, JOB_RUNNING);
    struct span message = {job->spooled.message, job->spooled.size};
    engine_examine(self->engine, job->spooled.envelope, message, on_examined, job);
}

static int say_begun(struct job *job)
{
    struct jobs *self = job->jobs;
    Postern__AnalyzerBegun begun = POSTERN__ANALYZER_BEGUN__INIT;
    begun.id = (ProtobufCBinaryData){ULID_SIZE, job->id};
    begun.attempt = job->attempt;
    begun.ingress = job->ingress;
    begun.receiver = job->sender;
    begun.sender = self->slot->incarnation;
    begun.analyzer = self->slot->number;
    return self->ops->send(self->io, job->ingress, BUS_ANALYZER_BEGUN, &begun.base);
}

// What is said to have begun leaves with this turn of the loop and is examined in the next: the
// words are out before a message can kill the one who says them.
static void begin_some(struct jobs *self)
{
    struct job *job;
    unsigned begun = 0;
    drop_late(self, JOB_WAITING);
    while (begun < BEGUN_MOST && (job = TAILQ_FIRST(&self->lists[JOB_WAITING])) != NULL) {
        if (say_begun(job) < 0)
            break;
        move(job, JOB_BEGUN);
        begun++;
    }
    if (!TAILQ_EMPTY(&self->lists[JOB_BEGUN]))
        timer_start(self->turn, 0);
    else if (!TAILQ_EMPTY(&self->lists[JOB_WAITING]))
        timer_start(self->turn, RETRY_MS); // its pipe takes nothing now
}

static void on_turn(void *context)
{
    struct jobs *self = context;
    struct job *job;
    int64_t until_us = clock_monotonic_us() + TURN_US;
    while ((job = TAILQ_FIRST(&self->lists[JOB_BEGUN])) != NULL) {
        examine(job);
        if (clock_monotonic_us() >= until_us)
            break;
    }
    if (job == NULL || TAILQ_EMPTY(&self->lists[JOB_BEGUN]))
        begin_some(self);
    else
        timer_start(self->turn, 0);
}

void jobs_take(struct jobs *self, const Postern__AnalyzerJob *given)
{
    if (given->ingress >= SLOT_MOST || given->receiver != self->slot->incarnation ||
        given->sender != self->senders[given->ingress].incarnation || given->id.len != ULID_SIZE ||
        given->place == NULL)
        return;
    struct job *job = allocate(sizeof(*job));
    *job = (struct job){
        .jobs = self,
        .attempt = given->attempt,
        .ingress = given->ingress,
        .sender = given->sender,
        .place = {given->place->segment, given->place->offset, given->place->length},
        .until_ms = loop_now_ms(self->loop) + given->deadline_ms,
    };
    memcpy(job->id, given->id.data, ULID_SIZE);
    TAILQ_INSERT_TAIL(&self->lists[JOB_WAITING], job, link);
    self->count++;
    self->last_ms = loop_now_ms(self->loop);
    if (!timer_active(self->turn))
        begin_some(self);
}

// -- the end

void jobs_drain(struct jobs *self)
{
    self->draining = 1;
    self->last_ms = loop_now_ms(self->loop);
    for (unsigned slot = 0; slot < SLOT_MOST; slot++)
        if (self->senders[slot].incarnation != 0)
            welcome(self, slot);
}

int jobs_idle(const struct jobs *self, int64_t quiet_ms)
{
    return self->count == 0 && loop_now_ms(self->loop) - self->last_ms >= quiet_ms;
}

size_t jobs_held(const struct jobs *self)
{
    return self->count;
}
