// SPDX-License-Identifier: Apache-2.0
#include "tests/model/custody_world_internal.h"

#include "ingress/mail.h"

#include "core/journal/record.h"
#include "mail/spooled.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const rule_names[RULES] = {
    [RULE_SYNC] = "sync-before-durable",
    [RULE_REPORT] = "report",
    [RULE_WAIT_REPORTS] = "wait-for-reports",
    [RULE_KEEP_OUTCOME] = "keep-outcome-until-ack",
    [RULE_INCARNATION] = "incarnation-check",
    [RULE_OLD_SENDER] = "old-senders-jobs-dropped",
    [RULE_CUSTODY_FIRST] = "custody-first",
    [RULE_REPLAY_DONE] = "done-stays-done",
    [RULE_REPLAY_COUNT] = "count-durably",
    [RULE_DONE_SYNCED] = "end-synced-first",
    [RULE_ABANDONED] = "abandoned-synced-first",
    [RULE_REWRITE] = "failed-batch-again",
    [RULE_COMMIT_REPLAY] = "commit-on-open",
    [RULE_END_OUTLIVES] = "end-outlives-message",
    [RULE_TERMINAL_FREE] = "terminal-before-free",
    [RULE_FAILED_SYNC] = "failed-sync-not-retried",
    [RULE_LATE_REJECT] = "late-reject-quarantines",
    [RULE_TWO_DEATHS] = "two-deaths-quarantine",
    [RULE_DELIVERY_DEATHS] = "delivery-deaths-count",
    [RULE_ACK_UNKNOWN] = "ack-unknown",
};

uint64_t world_draw(struct world *self, uint64_t below)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return below ? (self->random * 0x2545F4914F6CDD1DULL >> 33) % below : 0;
}

void world_say(const struct world *self, const char *format, ...)
{
    if (!self->trace)
        return;
    va_list list;
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
    putchar('\n');
}

void world_broken(struct world *self, const char *format, ...)
{
    if (self->result->broken[0])
        return;
    va_list list;
    va_start(list, format);
    vsnprintf(self->result->broken, sizeof(self->result->broken), format, list);
    va_end(list);
}

int world_off(const struct world *self, enum rule rule)
{
    return self->without == (int)rule;
}

struct post *world_post_of(struct world *self, const ProtobufCBinaryData *id)
{
    for (unsigned i = 0; i < self->mails; i++)
        if (id->len == ULID_SIZE && memcmp(self->posts[i].id.bytes, id->data, ULID_SIZE) == 0)
            return &self->posts[i];
    return NULL;
}

// -- custody's actions, simulated

static int64_t sim_now(void *io)
{
    return ((struct world *)io)->now;
}

static struct position position_of(const struct world *self, size_t record)
{
    return (struct position){1, (uint32_t)record * 8, self->records[record].size};
}

static int sim_append(void *io, unsigned type, const struct iovec *pieces, int count,
                      journal_fn *fn, void *context, struct position *ret_where)
{
    struct world *self = io;
    if (self->record_count == RECORDS_MOST ||
        (type == RECORD_MESSAGE && world_draw(self, 40) == 0)) {
        errno = ENOSPC;
        return -1;
    }
    struct entry_on_disk *record = &self->records[self->record_count];
    memset(record, 0, sizeof(*record));
    for (int i = 0; i < count; i++)
        record->size += (uint32_t)pieces[i].iov_len;
    record->bytes = allocate(record->size + 1);
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        memcpy(record->bytes + at, pieces[i].iov_base, pieces[i].iov_len);
        at += pieces[i].iov_len;
    }
    record->type = type;
    record->fn = fn;
    record->context = context;
    *ret_where = position_of(self, self->record_count++);
    return 0;
}

static void sim_release(void *io, struct position where)
{
    ((struct world *)io)->records[where.offset / 8].gone = 1;
}

// Unlinked at once: the harshest reading of "may go". The end goes with it, the message first.
static void sim_release_ended(void *io, struct position ended, struct position end)
{
    if (!world_off(io, RULE_END_OUTLIVES)) // else the end goes alone, as far as the disk knows
        sim_release(io, ended);
    sim_release(io, end);
}

static void sim_release_after(void *io, struct position ended, struct position end)
{
    struct world *self = io;
    // What a failed sync left is void once a later segment says so durably.
    if (self->records[ended.offset / 8].state == FAILED_SYNC &&
        self->records[end.offset / 8].state == DURABLE)
        sim_release(io, ended);
    sim_release(io, end);
}

static void sim_committed(void *io, struct position where, const void *event, size_t size)
{
    (void)io, (void)where, (void)event, (void)size;
}

static void check_given(struct world *self, const Postern__DeliveryJob *job)
{
    struct post *post = world_post_of(self, &job->id);
    if (self->records[job->place->offset / 8].state != DURABLE && !world_off(self, RULE_SYNC))
        world_broken(self, "mail %ld given to a delivery before it was durable",
                     post - self->posts);
    if (post->client == REJECTED || post->client == PUT_OFF)
        world_broken(self, "mail %ld given to a delivery though its client was refused",
                     post - self->posts);
}

static void free_too_soon(struct world *self, const Postern__DeliveryJob *job)
{
    self->records[job->place->offset / 8].gone = 1;
}

static struct process *process_at(struct world *self, enum stage stage, unsigned slot)
{
    return stage == STAGE_ANALYZER ? &self->analyzers[slot] : &self->deliveries[slot];
}

static int sim_send(void *io, enum stage stage, unsigned slot, enum bus_type type,
                    const ProtobufCMessage *message)
{
    struct world *self = io;
    struct process *process = process_at(self, stage, slot);
    if (!process->alive) {
        errno = EAGAIN;
        return -1;
    }
    if (type == BUS_OUTCOME_ACK && self->unknown && world_off(self, RULE_ACK_UNKNOWN))
        return 0;
    if (type == BUS_DELIVERY_JOB) {
        check_given(self, (const Postern__DeliveryJob *)message);
        if (world_off(self, RULE_TERMINAL_FREE))
            free_too_soon(self, (const Postern__DeliveryJob *)message);
        if (world_draw(self, 60) == 0)
            return 0; // lost in a living pipe
    }
    pipe_add(&process->in, type, message);
    if (type == BUS_HELLO && process->greeted != self->ingress && world_draw(self, 2))
        pipe_overtake(
            &process->in); // each sender has a pipe of its own: an older one's may be slow
    if (type == BUS_HELLO)
        process->greeted = self->ingress;
    return 0;
}

static int sim_locked(void *io, enum stage stage, unsigned slot)
{
    return process_at(io, stage, slot)->alive;
}

static uint64_t sim_existing(void *io, enum stage stage)
{
    struct world *self = io;
    if (stage == STAGE_DELIVERY)
        return world_off(self, RULE_WAIT_REPORTS) ? 0 : (1u << DELIVERIES) - 1;
    return (1u << ANALYZERS) - 1;
}

static void sim_ended(void *io, const Postern__Envelope *envelope)
{
    (void)io, (void)envelope;
}

static void sim_judged(void *io, const Postern__Envelope *envelope, const Postern__Verdict *verdict)
{
    (void)io, (void)envelope, (void)verdict;
}

static const struct custody_ops sim_ops = {
    sim_now,  sim_append, sim_release,  sim_release_ended, sim_release_after, sim_committed,
    sim_send, sim_locked, sim_existing, sim_ended,         sim_judged,
};

static const struct custody_limits sim_limits = {.verdict_wait_ms = 1500,
                                                 .job_timeout_ms = 60000,
                                                 .analysis_wait_ms = 3600000,
                                                 .silent_ms = 60000,
                                                 .looked_at_once = 2};

// -- the disk

static void count_done(struct world *self, const struct entry_on_disk *record)
{
    if (record->type != RECORD_DONE)
        return;
    Postern__Event *event = postern__event__unpack(NULL, record->size, record->bytes);
    struct post *post = world_post_of(self, &event->id);
    for (size_t i = 0; i < event->n_recipients; i++)
        if (++post->done[event->recipients[i]->recipient] > 1)
            world_broken(self, "mail %ld recipient %u ended twice", post - self->posts,
                         event->recipients[i]->recipient);
    postern__event__free_unpacked(event, NULL);
}

// Says that a record is durable although nothing was synced.
static void say_too_soon(struct world *self, size_t at)
{
    struct entry_on_disk *record = &self->records[at];
    int soon = world_off(self, RULE_SYNC) ||
               (world_off(self, RULE_DONE_SYNCED) && record->type == RECORD_DONE) ||
               (world_off(self, RULE_ABANDONED) && record->type == RECORD_ABANDONED);
    journal_fn *fn = record->fn;
    if (!soon || !fn)
        return;
    record->fn = NULL;
    fn(record->context, JOURNAL_DURABLE, position_of(self, at));
}

static void sync_record(struct world *self, size_t at, int fails)
{
    struct entry_on_disk *record = &self->records[at];
    int hidden = world_off(self, record->type == RECORD_MESSAGE ? RULE_FAILED_SYNC : RULE_REWRITE);
    record->state = fails ? FAILED_SYNC : DURABLE;
    if (!fails)
        count_done(self, record);
    if (record->fn)
        record->fn(record->context, fails && !hidden ? JOURNAL_FAILED : JOURNAL_DURABLE,
                   position_of(self, at));
}

static void disk_step(struct world *self)
{
    int fails = self->faults > 0 && world_draw(self, 60) == 0;
    size_t end = self->record_count;
    for (size_t i = 0; i < end; i++) {
        struct entry_on_disk *record = &self->records[i];
        if (record->state == NEW) {
            record->state = WRITTEN;
            if (record->fn)
                record->fn(record->context, JOURNAL_WRITTEN, position_of(self, i));
            say_too_soon(self, i);
        } else if (record->state == WRITTEN && !world_off(self, RULE_SYNC)) {
            sync_record(self, i, fails);
        }
    }
    if (fails)
        self->faults--;
}

// -- life and death
static void rise(struct world *self, enum stage stage, unsigned slot)
{
    struct process *process = process_at(self, stage, slot);
    process->alive = 1;
    process->heard = 0;
    process->incarnation = ++self->next_incarnation;
    custody_peer(self->custody, stage, slot, 1);
}

static void read_verdict(struct world *self, Postern__Verdict *verdict)
{
    struct mail *mail = mail_find(self->custody, &verdict->id);
    if (mail && world_off(self, RULE_LATE_REJECT))
        mail->late = 0;
    custody_verdict(self->custody, verdict);
}

static void read_outcome(struct world *self, Postern__Outcome *outcome)
{
    self->unknown = !mail_find(self->custody, &outcome->id);
    custody_outcome(self->custody, outcome);
    self->unknown = 0;
}

static void forget_deaths(struct world *self)
{
    for (unsigned i = 0; i < self->mails; i++) {
        const ProtobufCBinaryData id = {ULID_SIZE, self->posts[i].id.bytes};
        struct mail *mail = mail_find(self->custody, &id);
        if (mail)
            mail->tries = 0;
    }
}

static void read_frame(struct world *self, struct process *process)
{
    struct frame *frame = pipe_take(&process->out);
    if (!frame)
        return;
    if (frame->type == BUS_WELCOME) {
        Postern__Welcome *message = postern__welcome__unpack(NULL, frame->size, frame->bytes);
        custody_welcome(self->custody, message);
        postern__welcome__free_unpacked(message, NULL);
    } else if (frame->type == BUS_VERDICT) {
        read_verdict(self, postern__verdict__unpack(NULL, frame->size, frame->bytes));
    } else if (frame->type == BUS_ANALYZER_BEGUN) {
        Postern__AnalyzerBegun *message =
            postern__analyzer_begun__unpack(NULL, frame->size, frame->bytes);
        custody_begun(self->custody, message);
        postern__analyzer_begun__free_unpacked(message, NULL);
    } else if (frame->type == BUS_DELIVERY_BEGUN) {
        Postern__DeliveryBegun *message =
            postern__delivery_begun__unpack(NULL, frame->size, frame->bytes);
        if (!world_off(self, RULE_DELIVERY_DEATHS))
            custody_delivery_begun(self->custody, message);
        postern__delivery_begun__free_unpacked(message, NULL);
    } else {
        Postern__Outcome *message = postern__outcome__unpack(NULL, frame->size, frame->bytes);
        read_outcome(self, message);
        postern__outcome__free_unpacked(message, NULL);
    }
    free(frame->bytes);
}

static void answered(void *context, enum answer answer, const char *text)
{
    struct post *post = context;
    (void)text;
    post->mail = NULL;
    post->client = answer == ANSWER_ACCEPTED   ? ACCEPTED
                   : answer == ANSWER_REJECTED ? REJECTED
                   : answer == ANSWER_CLOSE    ? CLOSED
                                               : PUT_OFF;
}

static void client_step(struct world *self)
{
    struct post *post = &self->posts[world_draw(self, self->mails)];
    if (post->client == WAITING && world_draw(self, 8) == 0) {
        custody_forget(post->mail);
        post->client = LEFT;
    }
    if (post->client != UNSENT)
        return;
    Postern__Envelope *envelope = allocate(sizeof(*envelope));
    postern__envelope__init(envelope);
    envelope->id = (ProtobufCBinaryData){ULID_SIZE, duplicate_bytes(post->id.bytes, ULID_SIZE)};
    envelope->received_ms = self->now;
    envelope->n_recipients = post->recipients;
    envelope->recipients = allocate(post->recipients * sizeof(envelope->recipients[0]));
    for (unsigned i = 0; i < post->recipients; i++) {
        envelope->recipients[i] = allocate(sizeof(Postern__Recipient));
        postern__recipient__init(envelope->recipients[i]);
    }
    size_t size;
    void *head = spooled_head(envelope, &size);
    struct iovec pieces[] = {{head, size}, {(void *)"body", 4}};
    post->client = WAITING;
    post->mail = custody_accept(self->custody, envelope, pieces, 2, answered, post);
    free(head);
}

// The records as a crash leaves them: what was written survives a SIGKILL, a power cut takes any of
// it.
static void crash_disk(struct world *self, int power)
{
    for (size_t i = 0; i < self->record_count; i++) {
        struct entry_on_disk *record = &self->records[i];
        record->fn = NULL;
        if (record->state == DURABLE)
            continue;
        if (record->state == NEW || (power && world_draw(self, 2)) ||
            (record->state == FAILED_SYNC && world_draw(self, 2)))
            record->gone = 1;
        else if (world_off(self, RULE_COMMIT_REPLAY))
            continue; // read, but still not durable
        else if (!record->gone && record->state == WRITTEN)
            count_done(self, record); // appended anew and committed when the journal is opened
        record->state = DURABLE;
    }
}

static void restart_ingress(struct world *self)
{
    int power = (int)world_draw(self, 2);
    world_say(self, "ingress dies%s", power ? ", the power fails" : "");
    self->result->kills++;
    self->hidden++;
    for (unsigned i = 0; i < self->mails; i++)
        if (self->posts[i].client == WAITING)
            self->posts[i].client = LEFT;
    crash_disk(self, power);
    custody_destroy(&self->custody);
    for (unsigned i = 0; i < ANALYZERS; i++)
        pipe_clear(&self->analyzers[i].out);
    for (unsigned i = 0; i < DELIVERIES; i++)
        pipe_clear(&self->deliveries[i].out);
    self->ingress = ++self->next_incarnation;
    self->custody = custody_new(&sim_ops, self, 0, self->ingress, &sim_limits);
    size_t end = self->record_count;
    for (size_t i = 0; i < end; i++) {
        struct entry_on_disk *record = &self->records[i];
        if (record->gone || (world_off(self, RULE_REPLAY_DONE) && record->type == RECORD_DONE) ||
            (world_off(self, RULE_REPLAY_COUNT) && record->type == RECORD_ATTEMPT))
            continue;
        custody_replay(self->custody, record->type, position_of(self, i), record->bytes);
    }
    custody_recovered(self->custody);
    for (unsigned i = 0; i < ANALYZERS; i++)
        if (self->analyzers[i].alive)
            custody_peer(self->custody, STAGE_ANALYZER, i, 1);
    for (unsigned i = 0; i < DELIVERIES; i++)
        if (self->deliveries[i].alive)
            custody_peer(self->custody, STAGE_DELIVERY, i, 1);
}

static void process_step(struct world *self, enum stage stage, unsigned slot)
{
    struct process *process = process_at(self, stage, slot);
    if (!process->alive) {
        if (world_draw(self, 4) == 0)
            rise(self, stage, slot);
    } else if (process->stopped) {
        process->stopped = world_draw(self, 20) != 0;
    } else if (self->faults > 0 && world_draw(self, 60) == 0) {
        self->faults--;
        world_say(self, "%s %u dies", stage_name(stage), slot);
        world_die(self, process);
    } else if (self->faults > 0 && world_draw(self, 200) == 0) {
        process->stopped = 1;
        self->hidden++;
    } else if (stage == STAGE_ANALYZER) {
        world_analyzer_step(self, slot);
    } else {
        world_delivery_step(self, slot);
    }
}

static void step(struct world *self)
{
    self->now += (int64_t)world_draw(self, 20);
    unsigned slot = (unsigned)world_draw(self, ANALYZERS);
    switch (world_draw(self, 8)) {
    case 0:
        client_step(self);
        break;
    case 1:
        disk_step(self);
        break;
    case 2:
        process_step(self, STAGE_ANALYZER, slot);
        break;
    case 3:
        process_step(self, STAGE_DELIVERY, slot);
        break;
    case 4:
        read_frame(self, &self->analyzers[slot]);
        break;
    case 5:
        read_frame(self, &self->deliveries[slot]);
        break;
    case 6:
        custody_tick(self->custody);
        break;
    default:
        if (self->faults > 0 && world_draw(self, 40) == 0) {
            self->faults--;
            restart_ingress(self);
        }
    }
}

// -- the books

static int all_sent(const struct world *self)
{
    for (unsigned i = 0; i < self->mails; i++)
        if (self->posts[i].client == UNSENT || self->posts[i].client == WAITING)
            return 0;
    return 1;
}

static int all_acknowledged(const struct world *self)
{
    for (unsigned i = 0; i < DELIVERIES; i++)
        if (self->deliveries[i].entry_count > 0)
            return 0;
    return 1;
}

static int must_end_as_copy(const struct post *post, unsigned recipient)
{
    return post->fate == CLEAN && recipient < post->recipients;
}

static void check_books(struct world *self)
{
    for (unsigned i = 0; i < self->mails; i++) {
        const struct post *post = &self->posts[i];
        if (post->client == ACCEPTED)
            self->result->accepted++;
        else if (post->client == REJECTED)
            self->result->rejected++;
        else if (post->client == PUT_OFF)
            self->result->put_off++;
        for (unsigned r = 0; r < post->recipients && post->client == ACCEPTED; r++) {
            if (post->accepted[r] == 0 && post->kept[r] == 0 && post->fate != DROPPED)
                world_broken(self, "mail %u recipient %u was answered 250 and is lost", i, r);
            if (post->accepted[r] > 0 && post->fate == SPAM)
                world_broken(self, "mail %u recipient %u is spam and was delivered", i, r);
            if (must_end_as_copy(post, r) &&
                post->accepted[r] + post->kept[r] > 1 + post->window[r])
                world_broken(self, "mail %u recipient %u ended %u times", i, r,
                             post->accepted[r] + post->kept[r]);
        }
    }
}

void world_run(uint64_t seed, unsigned mails, unsigned faults, int without, int trace,
               struct result *ret)
{
    struct world *self = allocate(sizeof(*self));
    memset(ret, 0, sizeof(*ret));
    self->result = ret;
    self->random = seed * 0x9E3779B97F4A7C15ULL + 1;
    self->now = 1000000;
    self->without = without;
    self->trace = trace;
    self->mails = mails;
    self->faults = faults;
    for (unsigned i = 0; i < mails; i++) {
        self->posts[i].id = ulid_new(self->now);
        self->posts[i].fate = world_draw(self, 2) ? CLEAN : (enum fate)world_draw(self, FATES);
        self->posts[i].recipients = 1 + (unsigned)world_draw(self, RECIPIENTS_MOST);
    }
    self->ingress = ++self->next_incarnation;
    self->custody = custody_new(&sim_ops, self, 0, self->ingress, &sim_limits);
    custody_recovered(self->custody);
    for (; ret->steps < 400000 && !ret->broken[0]; ret->steps++) {
        step(self);
        if (without == RULE_TWO_DEATHS)
            forget_deaths(self);
        if (all_sent(self) && custody_count(self->custody) == 0 && all_acknowledged(self))
            break;
    }
    if (custody_count(self->custody) > 0)
        world_broken(self, "%zu mails never ended", custody_count(self->custody));
    if (!all_acknowledged(self))
        world_broken(self, "an outcome was never acknowledged");
    check_books(self);
    custody_destroy(&self->custody);
    for (unsigned i = 0; i < ANALYZERS; i++) {
        pipe_clear(&self->analyzers[i].in);
        pipe_clear(&self->analyzers[i].out);
    }
    for (unsigned i = 0; i < DELIVERIES; i++) {
        pipe_clear(&self->deliveries[i].in);
        pipe_clear(&self->deliveries[i].out);
    }
    for (size_t i = 0; i < self->record_count; i++)
        free(self->records[i].bytes);
    free(self);
}
