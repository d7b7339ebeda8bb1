// SPDX-License-Identifier: Apache-2.0
// Simulated analyzers and deliveries, and the pipes to them.
#include "tests/model/custody_world_internal.h"

#include "core/base/base.h"

#include <stdlib.h>
#include <string.h>

// -- pipes

void pipe_add(struct pipe *pipe, enum bus_type type, const ProtobufCMessage *message)
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

struct frame *pipe_take(struct pipe *pipe)
{
    return pipe->first < pipe->last ? &pipe->frames[pipe->first++] : NULL;
}

void pipe_clear(struct pipe *pipe)
{
    for (; pipe->first < pipe->last; pipe->first++)
        free(pipe->frames[pipe->first].bytes);
    pipe->first = pipe->last = 0;
}

void pipe_overtake(struct pipe *pipe)
{
    struct frame frame = pipe->frames[pipe->last - 1];
    memmove(&pipe->frames[pipe->first + 1], &pipe->frames[pipe->first],
            (pipe->last - 1 - pipe->first) * sizeof(frame));
    pipe->frames[pipe->first] = frame;
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
        if (world_off(self, RULE_REPORT) && entry->durable)
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

// A Hello that a newer ingress's has overtaken is no news.
static int hear(struct world *self, struct process *process, const Postern__Hello *hello)
{
    if (hello->incarnation < process->heard && !world_off(self, RULE_OLD_SENDER))
        return 0;
    process->heard = hello->incarnation;
    return 1;
}

static void analyzer_read(struct world *self, unsigned slot)
{
    struct process *process = &self->analyzers[slot];
    struct frame *frame = pipe_take(&process->in);
    if (!frame)
        return;
    if (frame->type == BUS_HELLO) {
        Postern__Hello *hello = postern__hello__unpack(NULL, frame->size, frame->bytes);
        if (hear(self, process, hello))
            welcome(self, process, STAGE_ANALYZER, slot, hello, 4);
        postern__hello__free_unpacked(hello, NULL);
    } else {
        Postern__AnalyzerJob *job = postern__analyzer_job__unpack(NULL, frame->size, frame->bytes);
        if (job->receiver == process->incarnation && job->sender == process->heard) {
            size_t at = process->analysing_count++;
            process->analysing[at].mail = (unsigned)(world_post_of(self, &job->id) - self->posts);
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

void world_analyzer_step(struct world *self, unsigned slot)
{
    struct process *process = &self->analyzers[slot];
    if (process->analysing_count == 0 || world_draw(self, 3) == 0) {
        analyzer_read(self, slot);
        return;
    }
    size_t at = world_draw(self, process->analysing_count);
    struct post *post = &self->posts[process->analysing[at].mail];
    if (!process->analysing[at].begun) {
        send_begun(self, process, at);
    } else if (post->fate == DEADLY) {
        world_say(self, "mail %ld kills analyzer %u", post - self->posts, slot);
        // A death goes uncounted with each crash of ingress, and when a stopped one wakes to an old
        // job.
        if (++post->deaths > 2 + self->hidden)
            world_broken(self, "mail %ld killed %u analyzers", post - self->posts, post->deaths);
        world_die(self, process);
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
    if ((job->receiver != process->incarnation && !world_off(self, RULE_INCARNATION)) ||
        (job->sender != process->heard && !world_off(self, RULE_OLD_SENDER)))
        return;
    unsigned mail = (unsigned)(world_post_of(self, &job->id) - self->posts);
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
    unsigned mail = (unsigned)(world_post_of(self, &ack->id) - self->posts);
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
        if (hear(self, process, hello))
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
        world_broken(
            self, "mail %ld recipient %u delivered twice, and no delivery died with a 250 in hand",
            post - self->posts, recipient);
    if (post->accepted[recipient] > 1)
        self->result->duplicates++;
}

// Deferred stands for all that delivery takes over: held durably, the end is its own affair.
static void work(struct world *self, unsigned slot, struct entry *entry)
{
    struct post *post = &self->posts[entry->mail];
    if (entry->what == DELIVERED && world_draw(self, 4) == 0)
        entry->what = DEFERRED;
    entry->kind = ENDED;
    entry->unacknowledged = 1;
    world_say(self, "delivery %u: mail %u recipient %u ends as %d", slot, entry->mail,
              entry->recipient, (int)entry->what);
    if (entry->what == DELIVERED) {
        accept_copy(self, post, entry->recipient);
    } else if (!world_off(self, RULE_CUSTODY_FIRST)) {
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
    if (world_off(self, RULE_KEEP_OUTCOME))
        *entry = process->entries[--process->entry_count];
}

static void send_delivery_begun(struct world *self, struct process *process, unsigned slot,
                                struct entry *entry)
{
    Postern__DeliveryBegun begun = POSTERN__DELIVERY_BEGUN__INIT;
    uint32_t recipient = entry->recipient;
    begun.id = (ProtobufCBinaryData){ULID_SIZE, self->posts[entry->mail].id.bytes};
    begun.delivery = slot;
    begun.sender = process->incarnation;
    begun.receiver = process->heard;
    begun.recipients = &recipient;
    begun.n_recipients = 1;
    pipe_add(&process->out, BUS_DELIVERY_BEGUN, &begun.base);
    entry->begun = 1;
}

// The delivery dies on it, after its word that it begins was heard.
static void work_fatally(struct world *self, unsigned slot, struct entry *entry)
{
    struct process *process = &self->deliveries[slot];
    struct post *post = &self->posts[entry->mail];
    if (!entry->begun)
        send_delivery_begun(self, process, slot, entry);
    if (process->out.first < process->out.last)
        return;
    world_say(self, "mail %u kills delivery %u", entry->mail, slot);
    // Its recipients may be at both deliveries at once; a crash of ingress may hide a death.
    if (++post->delivery_deaths > 1 + RECIPIENTS_MOST + self->hidden)
        world_broken(self, "mail %u killed %u deliveries", entry->mail, post->delivery_deaths);
    world_die(self, process);
}

void world_delivery_step(struct world *self, unsigned slot)
{
    struct process *process = &self->deliveries[slot];
    if (process->entry_count == 0 || world_draw(self, 2) == 0) {
        delivery_read(self, slot);
        return;
    }
    struct entry *entry = &process->entries[world_draw(self, process->entry_count)];
    if (entry->kind == JOB && entry->what == DELIVERED && self->posts[entry->mail].fate == FATAL)
        work_fatally(self, slot, entry);
    else if (entry->kind == JOB)
        work(self, slot, entry);
    else if (entry->unacknowledged && process->heard && entry->told != process->heard)
        send_outcome(self, process, slot, entry);
    else if (entry->unacknowledged && world_draw(self, 20) == 0)
        entry->told = 0; // offered again after a while
}

// -- death

void world_die(struct world *self, struct process *process)
{
    self->result->kills++;
    process->alive = process->stopped = 0;
    process->analysing_count = 0;
    pipe_clear(&process->in);
    if (world_draw(self, 2))
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
