// SPDX-License-Identifier: Apache-2.0
#include "node/outbox_trim.h"

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

enum { KEEP_S = 14 * 24 * 3600 };

uint64_t outbox_bytes_most(const char *folder, unsigned share)
{
    struct statvfs status;
    if (file_make_folders(folder, 0750) < 0 || statvfs(folder, &status) < 0)
        return 1ull << 30;
    return (uint64_t)status.f_blocks * status.f_frsize / share;
}

void outbox_corrupt_folder(const char *folder, char *ret_path, size_t size)
{
    const char *slash = strrchr(folder, '/');
    snprintf(ret_path, size, "%.*s/corrupt", slash ? (int)(slash - folder) : 0, folder);
}

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

void outbox_note_alarm(struct outbox *outbox, const char *alarm, const char *detail)
{
    Postern__Event event = POSTERN__EVENT__INIT;
    event.kind = POSTERN__KIND__KIND_NODE;
    event.time_ms = clock_wall_ms();
    event.alarm = bytes_of(alarm);
    event.detail = bytes_of(detail);
    outbox_note(outbox, &event);
}

void outbox_note_cut(struct outbox *outbox, uint64_t from, uint64_t to)
{
    char detail[128];
    snprintf(detail, sizeof(detail), "from=%llu to=%llu count=%llu", (unsigned long long)from,
             (unsigned long long)to, (unsigned long long)(to - from + 1));
    log_error("stream.cut", "alarm=stream-cut %s", detail);
    Postern__Event event = POSTERN__EVENT__INIT;
    event.kind = POSTERN__KIND__KIND_STREAM_CUT;
    event.time_ms = clock_wall_ms();
    event.alarm = bytes_of("stream-cut");
    event.detail = bytes_of(detail);
    outbox_note(outbox, &event);
}

void outbox_trim(struct journal *journal, struct producer *producer)
{
    struct position where;
    while (producer_trim(producer, &where))
        journal_release(journal, where);
}

// One more record goes; the range that is told grows by it.
static void cut_one(struct journal *journal, const struct producer_record *gone, uint64_t *from,
                    uint64_t *to)
{
    journal_release(journal, gone->where);
    if (!gone->first)
        return; // of an epoch that has ended
    if (!*from)
        *from = gone->first;
    *to = gone->first + gone->count - 1;
}

static void tell_cut(struct outbox *outbox, const struct producer *producer, uint64_t from,
                     uint64_t to)
{
    if (!from)
        return;
    uint64_t most = 0;
    for (unsigned i = 0; i < producer->master_count; i++)
        if (producer->masters[i].epoch == producer->epoch && producer->masters[i].upto > most)
            most = producer->masters[i].upto;
    if (most >= to)
        outbox_note_alarm(outbox, "single-copy",
                          "events that one master lacks were cut from the outbox");
    outbox_note_cut(outbox, from, to);
}

void outbox_cut_old(struct outbox *outbox, struct producer *producer, struct journal *journal,
                    int64_t now_s)
{
    uint64_t from = 0, to = 0;
    const struct producer_record *oldest;
    struct producer_record gone;
    while ((oldest = producer_oldest(producer)) && oldest->time_s + (int64_t)KEEP_S < now_s &&
           producer_cut(producer, &gone))
        cut_one(journal, &gone, &from, &to);
    tell_cut(outbox, producer, from, to);
}

void outbox_cut_segment(struct outbox *outbox, struct journal *journal, struct producer *producer)
{
    uint64_t from = 0, to = 0;
    const struct producer_record *oldest = producer_oldest(producer);
    uint64_t segment = oldest ? oldest->where.segment : 0;
    struct producer_record gone;
    while ((oldest = producer_oldest(producer)) && oldest->where.segment == segment &&
           producer_cut(producer, &gone))
        cut_one(journal, &gone, &from, &to);
    tell_cut(outbox, producer, from, to);
}
