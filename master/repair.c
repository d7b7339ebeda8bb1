// SPDX-License-Identifier: Apache-2.0
#include "master/repair.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "master/compare.h"
#include "master/peer.h"
#include <stdlib.h>
#include <string.h>

enum { EVERY_MS = 10000, SOON_MS = 1000 };

struct repair {
    struct master *master;
    struct compare *compare;   // under way
    int64_t next_ms, equal_ms; // monotonic; when both were found equal last, 0: never
    uint64_t rounds, fetched, missing_here, missing_there; // the last two: of the last round
    int was_connected;
};

// What a worker that is up has not yet brought to us, its stream will bring.
static size_t limits_of(const struct master *master, struct reconcile_limit *limits)
{
    size_t count = 0;
    for (size_t i = 0; i < master->members.count; i++) {
        const struct member *member = master->members.list[i];
        if (!member->tracker.epoch ||
            strcmp(member_state(member, loop_now_ms(master->loop)), "up") != 0)
            continue;
        memcpy(limits[count].node, member->record, sizeof(limits[count].node));
        limits[count].epoch = member->tracker.epoch;
        limits[count++].upto = member->tracker.committed;
    }
    return count;
}

static void compared(void *context, const struct reconcile_report *report)
{
    struct repair *self = context;
    self->compare = NULL;
    self->rounds++;
    self->fetched += report->fetched;
    self->next_ms = loop_now_ms(self->master->loop) +
                    (report->fetched && report->complete ? SOON_MS : EVERY_MS);
    metric_add(metric("peer_events_fetched_total", ""), (int64_t)report->fetched);
    if (!report->complete)
        return;
    self->missing_here = report->missing_here - report->fetched;
    self->missing_there = report->missing_there;
    if (report->missing_here + report->missing_there == 0)
        self->equal_ms = loop_now_ms(self->master->loop);
    if (report->fetched)
        log_info("peer.fetched", "events=%llu of=%llu", (unsigned long long)report->fetched,
                 (unsigned long long)report->missing_here);
}

static void begin(struct repair *self)
{
    struct reconcile_limit *limits = allocate(MEMBERS_MOST * sizeof(*limits));
    size_t count = limits_of(self->master, limits);
    self->compare = compare_start(self->master, 1, limits, count, compared, self);
    free(limits);
}

struct repair *repair_new(struct master *master)
{
    struct repair *self = allocate(sizeof(*self));
    self->master = master;
    self->next_ms = loop_now_ms(master->loop) + SOON_MS;
    return self;
}

void repair_destroy(struct repair **self)
{
    if (!*self)
        return;
    compare_cancel(&(*self)->compare);
    free(*self);
    *self = NULL;
}

void repair_tick(struct repair *self)
{
    int64_t now_ms = loop_now_ms(self->master->loop);
    int connected = peer_connected(self->master->peer);
    if (connected && !self->was_connected && self->next_ms > now_ms + SOON_MS)
        self->next_ms = now_ms + SOON_MS; // it is back: both have something to tell
    self->was_connected = connected;
    if (!connected || self->compare || now_ms < self->next_ms)
        return;
    self->next_ms = now_ms + EVERY_MS;
    begin(self);
}

json_t *repair_status(const struct repair *self)
{
    int64_t equal_ms =
        self->equal_ms ? loop_now_ms(self->master->loop) - self->equal_ms : (int64_t)-1;
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "comparisons", (json_int_t)self->rounds,
                     "fetched", (json_int_t)self->fetched, "missing_here",
                     (json_int_t)self->missing_here, "missing_there",
                     (json_int_t)self->missing_there, "equal_ms_ago", (json_int_t)equal_ms);
}
