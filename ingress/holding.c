// SPDX-License-Identifier: Apache-2.0
#include "ingress/holding.h"

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/bus/feed.h"
#include "core/journal/record.h"
#include "ingress/big.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// -- custody's actions

static int64_t now_ms(void *io)
{
    (void)io;
    return clock_wall_ms();
}

static int append(void *io, unsigned type, const struct iovec *pieces, int count, journal_fn *fn,
                  void *context, struct position *ret_where)
{
    struct holding *self = io;
    int reserved = type != RECORD_MESSAGE;
    return journal_append(self->journal, type, reserved, pieces, count, fn, context, ret_where);
}

// While the journal is being replayed it cannot be told yet.
static void release(void *io, struct position where)
{
    struct holding *self = io;
    if (self->journal) {
        journal_release(self->journal, where);
        return;
    }
    self->early = reallocate(self->early, (self->early_count + 1) * sizeof(self->early[0]));
    self->early[self->early_count++] = where;
}

static void release_early(struct holding *self)
{
    for (size_t i = 0; i < self->early_count; i++)
        journal_release(self->journal, self->early[i]);
    free(self->early);
    self->early = NULL;
    self->early_count = 0;
}

static void release_ended(void *io, struct position ended, struct position end)
{
    journal_release_ended(((struct holding *)io)->journal, ended, end);
}

static void release_after(void *io, struct position ended, struct position end)
{
    journal_release_after(((struct holding *)io)->journal, ended, end);
}

static void committed(void *io, struct position where, const void *event, size_t size)
{
    feed_committed(((struct holding *)io)->feed, where, event, size);
}

static int send_to(void *io, enum stage stage, unsigned slot, enum bus_type type,
                   const ProtobufCMessage *message)
{
    return bus_send(((struct holding *)io)->bus, stage, slot, type, message);
}

static int locked(void *io, enum stage stage, unsigned slot)
{
    return slot_locked(((struct holding *)io)->state, stage, slot) != 0; // when in doubt: alive
}

static uint64_t existing(void *io, enum stage stage)
{
    return slot_existing(((struct holding *)io)->state, stage);
}

static void ended(void *io, const Postern__Envelope *envelope)
{
    struct holding *self = io;
    if (envelope->big.len == 0 || envelope->big.len >= ULID_TEXT)
        return;
    char name[ULID_TEXT] = {0};
    memcpy(name, envelope->big.data, envelope->big.len);
    big_file_unlink(self->journal, self->big_folder, name);
}

// A mail that was only not examined to its end (no score, but a limit) tells nothing of its client,
// nor does one that was merely tagged.
static void judged(void *io, const Postern__Envelope *envelope, const Postern__Verdict *verdict)
{
    struct holding *self = io;
    char client[64];
    size_t size = envelope->client_address.len;
    if (!self->judged || !verdict->n_recipients || size >= sizeof(client))
        return;
    memcpy(client, envelope->client_address.data, size);
    client[size] = 0;
    Postern__Action action = verdict->recipients[0]->action;
    if (action == POSTERN__ACTION__ACTION_ACCEPT)
        self->judged(self->judged_context, client, 0);
    else if (verdict->score > 0 && (action == POSTERN__ACTION__ACTION_REJECT ||
                                    action == POSTERN__ACTION__ACTION_QUARANTINE))
        self->judged(self->judged_context, client, 1);
}

static const struct custody_ops real_ops = {
    .now_ms = now_ms,
    .append = append,
    .release = release,
    .release_ended = release_ended,
    .release_after = release_after,
    .committed = committed,
    .send = send_to,
    .locked = locked,
    .existing = existing,
    .ended = ended,
    .judged = judged,
};

// -- opening

// A big file whose record never came, or whose message ended just before a crash.
static void sweep_big_files(struct holding *self)
{
    DIR *folder = opendir(self->big_folder);
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        struct ulid id;
        if (ulid_parse(entry->d_name, strlen(entry->d_name), &id) == 0 &&
            !custody_knows(self->custody, &id))
            unlinkat(dirfd(folder), entry->d_name, 0);
    }
    closedir(folder);
}

static void log_replay(const struct holding *self, const struct journal_report *report)
{
    log_info("journal.replayed", "slot=%u records=%lu again=%lu torn=%lu custody=%zu",
             self->slot.number, report->records, report->replayed_again, report->torn,
             custody_count(self->custody));
    if (report->corrupt > 0)
        log_error("journal.corrupt", "slot=%u records=%lu copy=%s", self->slot.number,
                  report->corrupt, report->corrupt_file);
}

static int open_journal(struct holding *self, const atomic_int *cancelled)
{
    char folder[160], corrupt[160];
    snprintf(folder, sizeof(folder), "%s/journal", self->slot.path);
    snprintf(corrupt, sizeof(corrupt), "%s/corrupt", self->slot.path);
    snprintf(self->big_folder, sizeof(self->big_folder), "%s/big", self->slot.path);
    if (file_make_folders(self->big_folder, 0750) < 0)
        return -1;
    struct journal_options options = {.folder = folder, .corrupt = corrupt, .cancelled = cancelled};
    struct journal_report report;
    self->journal = journal_open(&options, custody_replay, self->custody, &report);
    if (!self->journal)
        return -1;
    release_early(self);
    log_replay(self, &report);
    return 0;
}

// Custody knows no peer and no clock yet, so it sends nothing and gives nothing up.
struct holding *holding_open(const char *state, struct slot *slot, const atomic_int *cancelled)
{
    struct holding *self = allocate(sizeof(*self));
    struct custody_limits none = {0};
    self->slot = *slot;
    self->state = state;
    self->custody = custody_new(&real_ops, self, slot->number, slot->incarnation, &none);
    if (open_journal(self, cancelled) < 0) {
        int error = errno;
        log_error("journal.unusable", "slot=%u errno=%d", slot->number, error);
        holding_destroy(&self);
        errno = error;
        return NULL;
    }
    sweep_big_files(self);
    custody_recovered(self->custody);
    return self;
}

void holding_attach(struct holding *self, struct loop *loop, struct bus *bus,
                    const struct custody_limits *limits)
{
    const struct slot *slot = &self->slot;
    self->bus = bus;
    custody_limits(self->custody, limits);
    journal_attach(self->journal, loop);
    self->feed = feed_new(loop, bus, self->journal, STAGE_INGRESS, slot->number, slot->incarnation);
}

struct holding *holding_new(struct loop *loop, struct bus *bus, const char *state,
                            struct slot *slot, const struct custody_limits *limits)
{
    struct holding *self = holding_open(state, slot, NULL);
    if (self)
        holding_attach(self, loop, bus, limits);
    return self;
}

void holding_detach(struct holding *self)
{
    feed_destroy(&self->feed);
    journal_detach(self->journal);
}

void holding_destroy(struct holding **holding)
{
    struct holding *self = *holding;
    if (!self)
        return;
    *holding = NULL;
    feed_destroy(&self->feed);
    journal_destroy(&self->journal);
    custody_destroy(&self->custody);
    slot_release(&self->slot);
    free(self);
}

int holding_has_records(const char *path)
{
    char folder[160];
    snprintf(folder, sizeof(folder), "%s/journal", path);
    return journal_has_records(folder);
}
