// SPDX-License-Identifier: Apache-2.0
// The word with the ingresses: what is held for each, and how it ended.
#include "core/base/table.h"
#include "delivery/queued.h"

#include <stdlib.h>
#include <string.h>

enum {
    REPORT_PART = 500,    // messages in one Welcome
    TELL_AGAIN_MS = 3000, // an outcome not acknowledged for so long is told once more
    TELL_AT_ONCE = 1000,  // outcomes in one turn
};

struct claim_key {
    uint8_t bytes[1 + ULID_SIZE];
};

static struct claim_key key_of(unsigned ingress, const struct ulid *id)
{
    struct claim_key key;
    key.bytes[0] = (uint8_t)ingress;
    memcpy(key.bytes + 1, id->bytes, ULID_SIZE);
    return key;
}

struct claim *claim_find(const struct queue *self, unsigned ingress, const struct ulid *id)
{
    struct claim_key key = key_of(ingress, id);
    return table_get(self->claims, key.bytes, sizeof(key.bytes));
}

struct claim *claim_make(struct queue *self, unsigned ingress, const struct ulid *id)
{
    struct claim *claim = claim_find(self, ingress, id);
    if (claim)
        return claim;
    claim = allocate(sizeof(*claim));
    claim->ingress = ingress;
    claim->id = *id;
    claim->next = self->of_ingress[ingress];
    if (claim->next)
        claim->next->previous = claim;
    self->of_ingress[ingress] = claim;
    struct claim_key key = key_of(ingress, id);
    table_put(self->claims, key.bytes, sizeof(key.bytes), claim);
    return claim;
}

struct claim_recipient *claim_recipient(const struct claim *claim, uint32_t index)
{
    for (size_t i = 0; i < claim->count; i++)
        if (claim->recipients[i].index == index)
            return &claim->recipients[i];
    return NULL;
}

struct claim_recipient *claim_add(struct claim *claim, uint32_t index)
{
    claim->recipients =
        reallocate(claim->recipients, (claim->count + 1) * sizeof(*claim->recipients));
    struct claim_recipient *recipient = &claim->recipients[claim->count++];
    *recipient = (struct claim_recipient){.index = index};
    return recipient;
}

void claim_free(struct claim *claim)
{
    for (size_t i = 0; i < claim->count; i++) {
        free(claim->recipients[i].reply);
        free(claim->recipients[i].hop);
    }
    free(claim->recipients);
    free(claim);
}

static void claim_remove(struct queue *self, struct claim *claim)
{
    struct claim_key key = key_of(claim->ingress, &claim->id);
    table_remove(self->claims, key.bytes, sizeof(key.bytes));
    if (self->reports[claim->ingress].next == claim)
        self->reports[claim->ingress].next = claim->next;
    if (claim->next)
        claim->next->previous = claim->previous;
    if (claim->previous)
        claim->previous->next = claim->next;
    else
        self->of_ingress[claim->ingress] = claim->next;
    struct claim **at = &self->untold;
    while (claim->untold && *at != claim)
        at = &(*at)->untold_next;
    if (claim->untold)
        *at = claim->untold_next;
    claim_free(claim);
}

static void tell_later(struct queue *self, struct claim *claim)
{
    if (claim->untold)
        return;
    claim->untold = 1;
    claim->untold_next = self->untold;
    self->untold = claim;
}

void claim_outcome(struct queue *self, unsigned ingress, const struct ulid *id, uint32_t index,
                   Postern__Disposition disposition, const char *reply, const char *hop,
                   struct keeping *keeping)
{
    struct claim *claim = claim_make(self, ingress, id);
    struct claim_recipient *recipient = claim_recipient(claim, index);
    if (!recipient)
        recipient = claim_add(claim, index);
    if (recipient->disposition != POSTERN__DISPOSITION__DISPOSITION_NONE)
        return; // what was told once stands
    recipient->disposition = disposition;
    recipient->reply = reply ? duplicate(reply) : NULL;
    recipient->hop = hop ? duplicate(hop) : NULL;
    recipient->keeping = keeping;
    if (keeping)
        keeping_wait(keeping);
    tell_later(self, claim);
}

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){text ? strlen(text) : 0, (uint8_t *)(uintptr_t)text};
}

static int tell(struct queue *self, struct claim *claim)
{
    Postern__RecipientOutcome *outcomes = allocate((claim->count + 1) * sizeof(*outcomes));
    Postern__RecipientOutcome **list = allocate((claim->count + 1) * sizeof(*list));
    Postern__Outcome message = POSTERN__OUTCOME__INIT;
    message.id = (ProtobufCBinaryData){ULID_SIZE, claim->id.bytes};
    message.ingress = claim->ingress;
    message.sender = self->incarnation;
    message.delivery = self->slot;
    message.receiver = self->heard[claim->ingress];
    message.recipients = list;
    for (size_t i = 0; i < claim->count; i++) {
        const struct claim_recipient *from = &claim->recipients[i];
        if (from->disposition == POSTERN__DISPOSITION__DISPOSITION_NONE)
            continue;
        Postern__RecipientOutcome *to = &outcomes[message.n_recipients];
        postern__recipient_outcome__init(to);
        to->recipient = from->index;
        to->disposition = from->disposition;
        to->reply = bytes_of(from->reply);
        to->hop = bytes_of(from->hop);
        list[message.n_recipients++] = to;
    }
    int rc = 0;
    if (message.n_recipients > 0)
        rc = self->ops->send(self->io, claim->ingress, BUS_OUTCOME, &message.base);
    free(list);
    free(outcomes);
    return rc;
}

// Only an incarnation that had its report is told outcomes; who cannot take them now gets them
// after its next Hello.
void claims_tell(struct queue *self)
{
    uint64_t full = 0;
    int64_t now = self->ops->now_ms(self->io);
    struct claim *later = NULL;
    for (unsigned count = 0; self->untold && count < TELL_AT_ONCE; count++) {
        struct claim *claim = self->untold;
        uint64_t bit = (uint64_t)1 << claim->ingress;
        self->untold = claim->untold_next;
        if (self->heard[claim->ingress] == 0 || (full & bit) || tell(self, claim) < 0) {
            full |= bit;
            claim->untold_next = later;
            later = claim;
            continue;
        }
        claim->untold = 0;
        claim->told_ms = now;
    }
    while (later) {
        struct claim *claim = later;
        later = claim->untold_next;
        claim->untold_next = self->untold;
        self->untold = claim;
    }
}

static int send_part(struct queue *self, unsigned ingress, Postern__Holding **list, size_t count,
                     int last)
{
    Postern__Welcome welcome = POSTERN__WELCOME__INIT;
    welcome.stage = STAGE_DELIVERY;
    welcome.slot = self->slot;
    welcome.incarnation = self->incarnation;
    welcome.to = self->reports[ingress].incarnation;
    welcome.to_slot = ingress;
    welcome.round = self->reports[ingress].round;
    welcome.credit = self->credit;
    welcome.holding = list;
    welcome.n_holding = count;
    welcome.last = last;
    return self->ops->send(self->io, ingress, BUS_WELCOME, &welcome.base);
}

static void holding_init(Postern__Holding *self, const struct claim *claim)
{
    postern__holding__init(self);
    self->id = (ProtobufCBinaryData){ULID_SIZE, (uint8_t *)(uintptr_t)claim->id.bytes};
    self->recipients = allocate((claim->count + 1) * sizeof(*self->recipients));
    self->n_recipients = claim->count;
    for (size_t i = 0; i < claim->count; i++)
        self->recipients[i] = claim->recipients[i].index;
}

static void tell_if_due(struct queue *self, struct claim *claim, int fresh, int64_t now)
{
    if (fresh || now - claim->told_ms > TELL_AGAIN_MS || now < claim->told_ms)
        tell_later(self, claim);
}

// Says the next part of what is held for that ingress. What comes to be held meanwhile was given by
// an ingress that knows of it. When a part cannot be sent, the next Hello asks for all again.
static void report_part(struct queue *self, unsigned ingress)
{
    Postern__Holding parts[REPORT_PART];
    Postern__Holding *list[REPORT_PART];
    struct report *report = &self->reports[ingress];
    int64_t now = self->ops->now_ms(self->io);
    size_t count = 0;
    for (; report->next && count < REPORT_PART; report->next = report->next->next) {
        list[count] = &parts[count];
        holding_init(&parts[count++], report->next);
        tell_if_due(self, report->next, report->fresh, now);
    }
    int last = !report->next;
    int rc = send_part(self, ingress, list, count, last);
    for (size_t i = 0; i < count; i++)
        free(parts[i].recipients);
    if (rc == 0 && last)
        self->heard[ingress] = report->incarnation;
    if (rc < 0 || last)
        *report = (struct report){0};
}

int claims_report(struct queue *self)
{
    int more = 0;
    for (unsigned ingress = 0; ingress < SLOT_MOST; ingress++) {
        if (self->reports[ingress].incarnation != 0)
            report_part(self, ingress);
        more |= self->reports[ingress].incarnation != 0;
    }
    return more;
}

static int is_retired(const struct retired *retired, uint64_t incarnation)
{
    for (unsigned i = 0; i < RETIRED_KEPT; i++)
        if (retired->incarnations[i] == incarnation)
            return 1;
    return 0;
}

static void retire(struct retired *retired, uint64_t incarnation)
{
    if (incarnation)
        retired->incarnations[retired->next++ % RETIRED_KEPT] = incarnation;
}

void queue_hello(struct queue *self, const Postern__Hello *hello)
{
    if (hello->stage != STAGE_INGRESS || hello->slot >= SLOT_MOST || hello->incarnation == 0)
        return;
    struct report *report = &self->reports[hello->slot];
    if (is_retired(&self->retired[hello->slot], hello->incarnation))
        return; // overtaken by the one that replaced it
    if (report->incarnation == hello->incarnation)
        return; // still at the answer to an earlier one
    int fresh = self->heard[hello->slot] != hello->incarnation;
    // From now on jobs of an older incarnation are dropped, whether or not the report gets through.
    if (fresh)
        self->heard[hello->slot] = 0;
    if (self->newest[hello->slot] != hello->incarnation)
        retire(&self->retired[hello->slot], self->newest[hello->slot]);
    self->newest[hello->slot] = hello->incarnation;
    *report =
        (struct report){hello->incarnation, hello->round, fresh, self->of_ingress[hello->slot]};
    report_part(self, hello->slot);
}

void queue_acknowledged(struct queue *self, const Postern__OutcomeAck *ack)
{
    struct ulid id;
    if (ack->receiver != self->incarnation || ack->delivery != self->slot ||
        ack->ingress >= SLOT_MOST || ack->id.len != ULID_SIZE)
        return;
    memcpy(id.bytes, ack->id.data, ULID_SIZE);
    struct claim *claim = claim_find(self, ack->ingress, &id);
    for (size_t i = 0; claim && i < ack->n_recipients; i++) {
        struct claim_recipient *recipient = claim_recipient(claim, ack->recipients[i]);
        if (!recipient || recipient->disposition == POSTERN__DISPOSITION__DISPOSITION_NONE)
            continue;
        struct keeping *keeping = recipient->keeping;
        free(recipient->reply);
        free(recipient->hop);
        *recipient = claim->recipients[--claim->count];
        if (keeping)
            keeping_done(keeping);
    }
    if (claim && claim->count == 0)
        claim_remove(self, claim);
}

// An ingress slot whose folder is gone was drained: nobody waits for its outcomes any more.
void claims_forget_gone(struct queue *self)
{
    uint64_t existing = self->ops->ingresses(self->io);
    for (unsigned slot = 0; slot < SLOT_MOST; slot++) {
        struct claim *next;
        for (struct claim *claim = self->of_ingress[slot]; claim && !(existing >> slot & 1);
             claim = next) {
            next = claim->next;
            size_t left = 0;
            for (size_t i = 0; i < claim->count; i++) {
                struct claim_recipient *recipient = &claim->recipients[i];
                if (recipient->disposition == POSTERN__DISPOSITION__DISPOSITION_NONE) {
                    claim->recipients[left++] = *recipient;
                    continue;
                }
                free(recipient->reply);
                free(recipient->hop);
                if (recipient->keeping)
                    keeping_done(recipient->keeping);
            }
            claim->count = left;
            if (left == 0)
                claim_remove(self, claim);
        }
    }
}
