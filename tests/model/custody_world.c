// SPDX-License-Identifier: Apache-2.0
#include "tests/model/custody_world.h"

#include "core/journal/record.h"
#include "mail/spooled.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const rule_names[RULES] = {
    "sync-before-durable", "report",        "wait-for-reports", "keep-outcome-until-ack",
    "incarnation-check",   "custody-first", "done-stays-done",  "count-durably",
};

enum { RECORDS_MOST = 4096, FRAMES_MOST = 4096, JOBS_MOST = 256 };

struct entry_on_disk {
    unsigned type;
    uint8_t *bytes;
    uint32_t size;
    enum { NEW, WRITTEN, DURABLE, FAILED_SYNC } state;
    journal_fn *fn;
    void *context;
    int gone; // released and unlinked, or lost
};

struct frame {
    enum bus_type type;
    uint8_t *bytes;
    size_t size;
};

struct pipe {
    struct frame frames[FRAMES_MOST];
    size_t first, last;
};

// One recipient of one mail at a delivery.
struct entry {
    unsigned mail, recipient;
    enum { JOB, ENDED } kind;
    enum { NOTHING, DELIVERED, DEFERRED, QUARANTINED } what;
    int durable; // in its journal
    int unacknowledged;
    uint64_t told; // ingress incarnation that was told
};

struct process {
    int alive, stopped;
    uint64_t incarnation;
    uint64_t heard; // newest ingress incarnation that said Hello
    struct pipe in, out;
    struct entry entries[JOBS_MOST];
    size_t entry_count;
    struct {
        unsigned mail, attempt;
        uint64_t sender;
        int begun;
    } analysing[64];
    size_t analysing_count;
};

enum fate { CLEAN, SPAM, REFUSED, MIXED, DROPPED, DEADLY, FATES };

struct post {
    struct ulid id;
    enum fate fate;
    unsigned recipients;
    enum { UNSENT, WAITING, ACCEPTED, REJECTED, PUT_OFF, CLOSED, LEFT } client;
    struct mail *mail;
    unsigned accepted[RECIPIENTS_MOST]; // by the next hop
    unsigned window[RECIPIENTS_MOST];   // repeats allowed
    unsigned kept[RECIPIENTS_MOST];     // quarantined, or deferred for good
    unsigned done[RECIPIENTS_MOST];     // durable done events
    unsigned deaths;
};

struct world {
    uint64_t random;
    int64_t now;
    int without, trace;
    struct custody *custody;
    uint64_t ingress;
    struct entry_on_disk records[RECORDS_MOST];
    size_t record_count;
    struct process analyzers[ANALYZERS], deliveries[DELIVERIES];
    struct post posts[MAILS_MOST];
    unsigned mails, faults, hidden;
    uint64_t next_incarnation;
    struct result *result;
};

static uint64_t draw(struct world *self, uint64_t below)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return below ? (self->random * 0x2545F4914F6CDD1DULL >> 33) % below : 0;
}

static void say(const struct world *self, const char *format, ...)
{
    if (!self->trace)
        return;
    va_list list;
    va_start(list, format);
    vprintf(format, list);
    va_end(list);
    putchar('\n');
}

static void broken(struct world *self, const char *format, ...)
{
    if (self->result->broken[0])
        return;
    va_list list;
    va_start(list, format);
    vsnprintf(self->result->broken, sizeof(self->result->broken), format, list);
    va_end(list);
}

static int off(const struct world *self, enum rule rule)
{
    return self->without == (int)rule;
}

static struct post *post_of(struct world *self, const ProtobufCBinaryData *id)
{
    for (unsigned i = 0; i < self->mails; i++)
        if (id->len == ULID_SIZE && memcmp(self->posts[i].id.bytes, id->data, ULID_SIZE) == 0)
            return &self->posts[i];
    return NULL;
}

// -- pipes

static void pipe_add(struct pipe *pipe, enum bus_type type, const ProtobufCMessage *message)
{
    if (pipe->last == FRAMES_MOST) {
        memmove(pipe->frames, pipe->frames + pipe->first,
                (pipe->last - pipe->first) * sizeof(pipe->frames[0]));
        pipe->last -= pipe->first;
        pipe->first = 0;
    }
    struct frame *frame = &pipe->frames[pipe->last++];
    frame->type = type;
    frame->size = protobuf_c_message_get_packed_size(message);
    frame->bytes = allocate(frame->size + 1);
    protobuf_c_message_pack(message, frame->bytes);
}

static struct frame *pipe_take(struct pipe *pipe)
{
    return pipe->first < pipe->last ? &pipe->frames[pipe->first++] : NULL;
}

static void pipe_clear(struct pipe *pipe)
{
    for (; pipe->first < pipe->last; pipe->first++)
        free(pipe->frames[pipe->first].bytes);
    pipe->first = pipe->last = 0;
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
    if (self->record_count == RECORDS_MOST || (type == RECORD_MESSAGE && draw(self, 40) == 0)) {
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
    sim_release(io, ended);
    sim_release(io, end);
}

static void sim_release_after(void *io, struct position ended, struct position end)
{
    struct world *self = io;
    // What a failed sync left is void once a later segment says so.
    if (self->records[ended.offset / 8].state == FAILED_SYNC)
        sim_release(io, ended);
    sim_release(io, end);
}

static void sim_committed(void *io, struct position where, const void *event, size_t size)
{
    (void)io, (void)where, (void)event, (void)size;
}

static void check_given(struct world *self, const Postern__DeliveryJob *job)
{
    struct post *post = post_of(self, &job->id);
    if (self->records[job->place->offset / 8].state != DURABLE && !off(self, RULE_SYNC))
        broken(self, "mail %ld given to a delivery before it was durable", post - self->posts);
    if (post->client == REJECTED || post->client == PUT_OFF)
        broken(self, "mail %ld given to a delivery though its client was refused",
               post - self->posts);
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
    if (type == BUS_DELIVERY_JOB) {
        check_given(self, (const Postern__DeliveryJob *)message);
        if (draw(self, 60) == 0)
            return 0; // lost in a living pipe
    }
    pipe_add(&process->in, type, message);
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
        return off(self, RULE_WAIT_REPORTS) ? 0 : (1u << DELIVERIES) - 1;
    return (1u << ANALYZERS) - 1;
}

static void sim_ended(void *io, const Postern__Envelope *envelope)
{
    (void)io, (void)envelope;
}

static const struct custody_ops sim_ops = {
    sim_now,       sim_append, sim_release, sim_release_ended, sim_release_after,
    sim_committed, sim_send,   sim_locked,  sim_existing,      sim_ended,
};

static const struct custody_limits sim_limits = {.verdict_wait_ms = 20000,
                                                 .job_timeout_ms = 60000,
                                                 .analysis_wait_ms = 3600000,
                                                 .silent_ms = 60000};

// -- the disk

static void count_done(struct world *self, const struct entry_on_disk *record)
{
    if (record->type != RECORD_DONE)
        return;
    Postern__Event *event = postern__event__unpack(NULL, record->size, record->bytes);
    struct post *post = post_of(self, &event->id);
    for (size_t i = 0; i < event->n_recipients; i++)
        if (++post->done[event->recipients[i]->recipient] > 1)
            broken(self, "mail %ld recipient %u ended twice", post - self->posts,
                   event->recipients[i]->recipient);
    postern__event__free_unpacked(event, NULL);
}

static void disk_step(struct world *self)
{
    int fails = self->faults > 0 && draw(self, 60) == 0;
    size_t end = self->record_count;
    for (size_t i = 0; i < end; i++) {
        struct entry_on_disk *record = &self->records[i];
        if (record->state == NEW) {
            record->state = WRITTEN;
            if (record->fn)
                record->fn(record->context, JOURNAL_WRITTEN, position_of(self, i));
            if (off(self, RULE_SYNC) && record->fn) { // says durable, syncs never
                journal_fn *fn = record->fn;
                record->fn = NULL;
                fn(record->context, JOURNAL_DURABLE, position_of(self, i));
            }
        } else if (record->state == WRITTEN && !off(self, RULE_SYNC)) {
            record->state = fails ? FAILED_SYNC : DURABLE;
            if (!fails)
                count_done(self, record);
            if (record->fn)
                record->fn(record->context, fails ? JOURNAL_FAILED : JOURNAL_DURABLE,
                           position_of(self, i));
        }
    }
    if (fails)
        self->faults--;
}

// -- analyzers

static Postern__Action action_of(const struct post *post, unsigned recipient)
{
    switch (post->fate) {
    case SPAM:
        return POSTERN__ACTION__ACTION_QUARANTINE;
    case REFUSED:
        return POSTERN__ACTION__ACTION_REJECT;
    case DROPPED:
        return POSTERN__ACTION__ACTION_DISCARD;
    case MIXED:
        return recipient % 2 ? POSTERN__ACTION__ACTION_REJECT : POSTERN__ACTION__ACTION_ACCEPT;
    default:
        return POSTERN__ACTION__ACTION_ACCEPT;
    }
}

static void welcome(struct world *self, struct process *process, enum stage stage, unsigned slot,
                    const Postern__Hello *hello, unsigned credit)
{
    Postern__Welcome message = POSTERN__WELCOME__INIT;
    Postern__Holding rows[JOBS_MOST], *pointers[JOBS_MOST];
    uint32_t recipients[JOBS_MOST];
    message.stage = stage;
    message.slot = slot;
    message.incarnation = process->incarnation;
    message.to = hello->incarnation;
    message.round = hello->round;
    message.credit = credit;
    message.last = 1;
    for (size_t i = 0; i < process->entry_count && stage == STAGE_DELIVERY; i++) {
        const struct entry *entry = &process->entries[i];
        if (entry->kind == ENDED && !entry->unacknowledged)
            continue;
        if (off(self, RULE_REPORT) && entry->durable)
            continue;
        Postern__Holding *row = pointers[message.n_holding] = &rows[message.n_holding];
        postern__holding__init(row);
        row->id = (ProtobufCBinaryData){ULID_SIZE, self->posts[entry->mail].id.bytes};
        recipients[message.n_holding] = entry->recipient;
        row->n_recipients = 1;
        row->recipients = &recipients[message.n_holding++];
    }
    message.holding = pointers;
    pipe_add(&process->out, BUS_WELCOME, &message.base);
}

static void die(struct world *self, struct process *process);

static void analyzer_read(struct world *self, unsigned slot)
{
    struct process *process = &self->analyzers[slot];
    struct frame *frame = pipe_take(&process->in);
    if (!frame)
        return;
    if (frame->type == BUS_HELLO) {
        Postern__Hello *hello = postern__hello__unpack(NULL, frame->size, frame->bytes);
        process->heard = hello->incarnation;
        welcome(self, process, STAGE_ANALYZER, slot, hello, 4);
        postern__hello__free_unpacked(hello, NULL);
    } else {
        Postern__AnalyzerJob *job = postern__analyzer_job__unpack(NULL, frame->size, frame->bytes);
        if (job->receiver == process->incarnation && job->sender == process->heard) {
            size_t at = process->analysing_count++;
            process->analysing[at].mail = (unsigned)(post_of(self, &job->id) - self->posts);
            process->analysing[at].attempt = job->attempt;
            process->analysing[at].sender = job->sender;
            process->analysing[at].begun = 0;
        }
        postern__analyzer_job__free_unpacked(job, NULL);
    }
    free(frame->bytes);
}

static void send_begun(struct world *self, struct process *process, size_t at)
{
    Postern__AnalyzerBegun begun = POSTERN__ANALYZER_BEGUN__INIT;
    begun.id = (ProtobufCBinaryData){ULID_SIZE, self->posts[process->analysing[at].mail].id.bytes};
    begun.attempt = process->analysing[at].attempt;
    begun.receiver = process->analysing[at].sender;
    begun.sender = process->incarnation;
    pipe_add(&process->out, BUS_ANALYZER_BEGUN, &begun.base);
    process->analysing[at].begun = 1;
}

static void send_verdict(struct world *self, struct process *process, size_t at)
{
    struct post *post = &self->posts[process->analysing[at].mail];
    Postern__Verdict verdict = POSTERN__VERDICT__INIT;
    Postern__RecipientVerdict rows[RECIPIENTS_MOST], *pointers[RECIPIENTS_MOST];
    for (unsigned i = 0; i < post->recipients; i++) {
        postern__recipient_verdict__init(&rows[i]);
        rows[i].recipient = i;
        rows[i].action = action_of(post, i);
        pointers[i] = &rows[i];
    }
    verdict.id = (ProtobufCBinaryData){ULID_SIZE, post->id.bytes};
    verdict.attempt = process->analysing[at].attempt;
    verdict.receiver = process->analysing[at].sender;
    verdict.sender = process->incarnation;
    verdict.n_recipients = post->recipients;
    verdict.recipients = pointers;
    pipe_add(&process->out, BUS_VERDICT, &verdict.base);
    process->analysing[at] = process->analysing[--process->analysing_count];
}

static void analyzer_step(struct world *self, unsigned slot)
{
    struct process *process = &self->analyzers[slot];
    if (process->analysing_count == 0 || draw(self, 3) == 0) {
        analyzer_read(self, slot);
        return;
    }
    size_t at = draw(self, process->analysing_count);
    struct post *post = &self->posts[process->analysing[at].mail];
    if (!process->analysing[at].begun) {
        send_begun(self, process, at);
    } else if (post->fate == DEADLY) {
        say(self, "mail %ld kills analyzer %u", post - self->posts, slot);
        // A death goes uncounted with each crash of ingress, and when a stopped one wakes to an old
        // job.
        if (++post->deaths > 2 + self->hidden)
            broken(self, "mail %ld killed %u analyzers", post - self->posts, post->deaths);
        die(self, process);
    } else {
        send_verdict(self, process, at);
    }
}

// -- deliveries

static struct entry *entry_of(struct process *process, unsigned mail, unsigned recipient)
{
    for (size_t i = 0; i < process->entry_count; i++)
        if (process->entries[i].mail == mail && process->entries[i].recipient == recipient)
            return &process->entries[i];
    return NULL;
}

static void take_job(struct world *self, struct process *process, const Postern__DeliveryJob *job)
{
    if ((job->receiver != process->incarnation || job->sender != process->heard) &&
        !off(self, RULE_INCARNATION))
        return;
    unsigned mail = (unsigned)(post_of(self, &job->id) - self->posts);
    for (size_t i = 0; i < job->n_recipients; i++) {
        if (process->entry_count == JOBS_MOST)
            return;
        struct entry *entry = &process->entries[process->entry_count++];
        *entry = (struct entry){.mail = mail, .recipient = job->recipients[i], .kind = JOB};
        entry->what = job->action == POSTERN__ACTION__ACTION_QUARANTINE ? QUARANTINED : DELIVERED;
    }
}

static void acknowledge(struct world *self, struct process *process, const Postern__OutcomeAck *ack)
{
    if (ack->receiver != process->incarnation)
        return;
    unsigned mail = (unsigned)(post_of(self, &ack->id) - self->posts);
    for (size_t i = 0; i < ack->n_recipients; i++) {
        struct entry *entry = entry_of(process, mail, ack->recipients[i]);
        if (entry && entry->kind == ENDED)
            *entry = process->entries[--process->entry_count];
    }
}

static void delivery_read(struct world *self, unsigned slot)
{
    struct process *process = &self->deliveries[slot];
    struct frame *frame = pipe_take(&process->in);
    if (!frame)
        return;
    ProtobufCMessage *message = NULL;
    if (frame->type == BUS_HELLO) {
        Postern__Hello *hello = postern__hello__unpack(NULL, frame->size, frame->bytes);
        process->heard = hello->incarnation;
        welcome(self, process, STAGE_DELIVERY, slot, hello, 8);
        message = &hello->base;
    } else if (frame->type == BUS_DELIVERY_JOB) {
        Postern__DeliveryJob *job = postern__delivery_job__unpack(NULL, frame->size, frame->bytes);
        take_job(self, process, job);
        message = &job->base;
    } else if (frame->type == BUS_OUTCOME_ACK) {
        Postern__OutcomeAck *ack = postern__outcome_ack__unpack(NULL, frame->size, frame->bytes);
        acknowledge(self, process, ack);
        message = &ack->base;
    }
    protobuf_c_message_free_unpacked(message, NULL);
    free(frame->bytes);
}

static void accept_copy(struct world *self, struct post *post, unsigned recipient)
{
    if (post->accepted[recipient]++ > post->window[recipient])
        broken(self,
               "mail %ld recipient %u delivered twice, and no delivery died with a 250 in hand",
               post - self->posts, recipient);
    if (post->accepted[recipient] > 1)
        self->result->duplicates++;
}

// Deferred stands for all that delivery takes over: held durably, the end is its own affair.
static void work(struct world *self, unsigned slot, struct entry *entry)
{
    struct post *post = &self->posts[entry->mail];
    if (entry->what == DELIVERED && draw(self, 4) == 0)
        entry->what = DEFERRED;
    entry->kind = ENDED;
    entry->unacknowledged = 1;
    say(self, "delivery %u: mail %u recipient %u ends as %d", slot, entry->mail, entry->recipient,
        (int)entry->what);
    if (entry->what == DELIVERED) {
        accept_copy(self, post, entry->recipient);
    } else if (!off(self, RULE_CUSTODY_FIRST)) {
        entry->durable = 1;
        post->kept[entry->recipient]++;
    }
}

static void send_outcome(struct world *self, struct process *process, unsigned slot,
                         struct entry *entry)
{
    static const Postern__Disposition dispositions[] = {
        POSTERN__DISPOSITION__DISPOSITION_NONE, POSTERN__DISPOSITION__DISPOSITION_DELIVERED,
        POSTERN__DISPOSITION__DISPOSITION_DEFERRED, POSTERN__DISPOSITION__DISPOSITION_QUARANTINED};
    Postern__RecipientOutcome row = POSTERN__RECIPIENT_OUTCOME__INIT, *rows[] = {&row};
    row.recipient = entry->recipient;
    row.disposition = dispositions[entry->what];
    Postern__Outcome outcome = POSTERN__OUTCOME__INIT;
    outcome.id = (ProtobufCBinaryData){ULID_SIZE, self->posts[entry->mail].id.bytes};
    outcome.delivery = slot;
    outcome.sender = process->incarnation;
    outcome.receiver = process->heard;
    outcome.n_recipients = 1;
    outcome.recipients = rows;
    pipe_add(&process->out, BUS_OUTCOME, &outcome.base);
    entry->told = process->heard;
    if (off(self, RULE_KEEP_OUTCOME))
        *entry = process->entries[--process->entry_count];
}

static void delivery_step(struct world *self, unsigned slot)
{
    struct process *process = &self->deliveries[slot];
    if (process->entry_count == 0 || draw(self, 2) == 0) {
        delivery_read(self, slot);
        return;
    }
    struct entry *entry = &process->entries[draw(self, process->entry_count)];
    if (entry->kind == JOB)
        work(self, slot, entry);
    else if (entry->unacknowledged && process->heard && entry->told != process->heard)
        send_outcome(self, process, slot, entry);
    else if (entry->unacknowledged && draw(self, 20) == 0)
        entry->told = 0; // offered again after a while
}

// -- life and death

static void die(struct world *self, struct process *process)
{
    self->result->kills++;
    process->alive = process->stopped = 0;
    process->analysing_count = 0;
    pipe_clear(&process->in);
    if (draw(self, 2))
        pipe_clear(&process->out); // what it had said may or may not arrive
    size_t kept = 0;
    for (size_t i = 0; i < process->entry_count; i++) {
        struct entry *entry = &process->entries[i];
        if (entry->kind == ENDED && entry->what == DELIVERED) {
            struct post *post = &self->posts[entry->mail];
            if (post->done[entry->recipient] == 0)
                post->window[entry->recipient]++;
        }
        if (entry->durable) {
            entry->told = 0;
            process->entries[kept++] = *entry;
        }
    }
    process->entry_count = kept;
}

static void rise(struct world *self, enum stage stage, unsigned slot)
{
    struct process *process = process_at(self, stage, slot);
    process->alive = 1;
    process->heard = 0;
    process->incarnation = ++self->next_incarnation;
    custody_peer(self->custody, stage, slot, 1);
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
        custody_verdict(self->custody, postern__verdict__unpack(NULL, frame->size, frame->bytes));
    } else if (frame->type == BUS_ANALYZER_BEGUN) {
        Postern__AnalyzerBegun *message =
            postern__analyzer_begun__unpack(NULL, frame->size, frame->bytes);
        custody_begun(self->custody, message);
        postern__analyzer_begun__free_unpacked(message, NULL);
    } else {
        Postern__Outcome *message = postern__outcome__unpack(NULL, frame->size, frame->bytes);
        custody_outcome(self->custody, message);
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
    struct post *post = &self->posts[draw(self, self->mails)];
    if (post->client == WAITING && draw(self, 8) == 0) {
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
        if (record->state == NEW || (power && draw(self, 2)) ||
            (record->state == FAILED_SYNC && draw(self, 2)))
            record->gone = 1;
        else if (!record->gone && record->state == WRITTEN)
            count_done(self, record); // appended anew and committed when the journal is opened
        record->state = DURABLE;
    }
}

static void restart_ingress(struct world *self)
{
    int power = (int)draw(self, 2);
    say(self, "ingress dies%s", power ? ", the power fails" : "");
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
        if (record->gone || (off(self, RULE_REPLAY_DONE) && record->type == RECORD_DONE) ||
            (off(self, RULE_REPLAY_COUNT) && record->type == RECORD_ATTEMPT))
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
        if (draw(self, 4) == 0)
            rise(self, stage, slot);
    } else if (process->stopped) {
        process->stopped = draw(self, 20) != 0;
    } else if (self->faults > 0 && draw(self, 60) == 0) {
        self->faults--;
        say(self, "%s %u dies", stage_name(stage), slot);
        die(self, process);
    } else if (self->faults > 0 && draw(self, 200) == 0) {
        process->stopped = 1;
        self->hidden++;
    } else if (stage == STAGE_ANALYZER) {
        analyzer_step(self, slot);
    } else {
        delivery_step(self, slot);
    }
}

static void step(struct world *self)
{
    self->now += (int64_t)draw(self, 20);
    unsigned slot = (unsigned)draw(self, ANALYZERS);
    switch (draw(self, 8)) {
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
        if (self->faults > 0 && draw(self, 40) == 0) {
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
                broken(self, "mail %u recipient %u was answered 250 and is lost", i, r);
            if (post->accepted[r] > 0 && post->fate == SPAM)
                broken(self, "mail %u recipient %u is spam and was delivered", i, r);
            if (must_end_as_copy(post, r) &&
                post->accepted[r] + post->kept[r] > 1 + post->window[r])
                broken(self, "mail %u recipient %u ended %u times", i, r,
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
        self->posts[i].fate = draw(self, 2) ? CLEAN : (enum fate)draw(self, FATES);
        self->posts[i].recipients = 1 + (unsigned)draw(self, RECIPIENTS_MOST);
    }
    self->ingress = ++self->next_incarnation;
    self->custody = custody_new(&sim_ops, self, 0, self->ingress, &sim_limits);
    custody_recovered(self->custody);
    for (; ret->steps < 400000 && !ret->broken[0]; ret->steps++) {
        step(self);
        if (all_sent(self) && custody_count(self->custody) == 0)
            break;
    }
    if (!ret->broken[0] && custody_count(self->custody) > 0)
        broken(self, "%zu mails never ended", custody_count(self->custody));
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
