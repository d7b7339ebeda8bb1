// SPDX-License-Identifier: Apache-2.0
#include "master/tracker.h"
#include <errno.h>
#include <string.h>

enum { ASK_AGAIN_MS = 2000 };

void tracker_restore(struct tracker *self, uint64_t epoch, uint64_t committed, uint64_t mark)
{
    self->mark = self->committed_mark = mark;
    self->epoch = epoch;
    self->committed = committed;
    self->next = committed + 1;
    self->last = committed;
}

void tracker_begin(struct tracker *self, uint64_t epoch, uint64_t first)
{
    tracker_restore(self, epoch, first > 0 ? first - 1 : 0, 0);
    self->asked_ms = 0;
}

void tracker_heard(struct tracker *self, uint64_t last)
{
    if (last > self->last)
        self->last = last;
}

int tracker_is_behind(const struct tracker *self, uint64_t epoch, uint64_t last)
{
    return epoch == self->epoch && last < self->last;
}

int tracker_hello(struct tracker *self, uint64_t epoch, uint64_t last)
{
    self->asked_ms = 0; // what was asked of an earlier session will not come
    if (!tracker_is_behind(self, epoch, last))
        return 0;
    self->last = last < self->next ? self->next - 1 : last;
    self->owes_hello = last + 1 < self->next && self->committed + 1 < self->next;
    return self->owes_hello ? -1 : 0;
}

int tracker_lost(const struct tracker *self, uint64_t epoch, uint64_t acknowledged, uint64_t upto)
{
    return acknowledged == epoch && upto > (self->epoch == epoch ? self->committed : 0);
}

int tracker_pays_hello(struct tracker *self)
{
    if (!self->owes_hello || self->committed + 1 < self->next)
        return 0;
    self->owes_hello = 0;
    return 1;
}

uint64_t tracker_lag(const struct tracker *self)
{
    return self->last > self->committed ? self->last - self->committed : 0;
}

// The frame brings what is next, but does it follow on what we have?
static int forks(const struct tracker *self, const struct tracker_marks *marks)
{
    uint64_t theirs = self->next <= marks->record_first ? marks->before : marks->mark;
    return self->next > 1 && self->mark && theirs && theirs != self->mark;
}

enum tracker_advice tracker_offer(struct tracker *self, uint64_t epoch, uint64_t first,
                                  uint64_t count, const struct tracker_marks *marks,
                                  uint64_t *ret_skip)
{
    if (epoch != self->epoch || epoch == 0 || first == 0 || count == 0 || count > UINT32_MAX ||
        first > INT64_MAX)
        return TRACKER_DROP;
    tracker_heard(self, first + count - 1);
    if (first + count <= self->next)
        return TRACKER_DROP;
    if (first > self->next)
        return TRACKER_HOLD;
    if (forks(self, marks))
        return TRACKER_FORK;
    *ret_skip = self->next - first;
    return TRACKER_TAKE;
}

void tracker_replay_came(struct tracker *self, int64_t now_ms)
{
    if (self->credit > 0)
        self->credit--;
    if (self->asked_ms != 0)
        self->asked_ms = now_ms;
}

int tracker_forked(struct tracker *self)
{
    self->owes_hello = self->committed + 1 < self->next;
    return self->owes_hello ? -1 : 0;
}

void tracker_took(struct tracker *self, uint64_t upto, uint64_t count, int replayed, uint64_t mark)
{
    self->next = upto + 1;
    self->mark = mark;
    *(replayed ? &self->replayed : &self->live) += count;
}

int tracker_hold(struct tracker *self, uint64_t first, uint64_t count, void *item)
{
    size_t at = self->held_count;
    while (at > 0 && self->held[at - 1].first > first)
        at--;
    int known = at > 0 && self->held[at - 1].first == first;
    if (known || self->held_count == TRACKER_HELD_MOST) {
        errno = known ? EEXIST : EAGAIN;
        return -1;
    }
    memmove(&self->held[at + 1], &self->held[at], (self->held_count - at) * sizeof(self->held[0]));
    self->held[at] = (struct tracker_frame){first, count, item};
    self->held_count++;
    return 0;
}

void *tracker_unhold_any(struct tracker *self)
{
    if (self->held_count == 0)
        return NULL;
    void *item = self->held[0].item;
    self->held_count--;
    memmove(&self->held[0], &self->held[1], self->held_count * sizeof(self->held[0]));
    return item;
}

void *tracker_unhold(struct tracker *self)
{
    return self->held_count > 0 && self->held[0].first <= self->next ? tracker_unhold_any(self)
                                                                     : NULL;
}

void tracker_committed(struct tracker *self, uint64_t epoch, uint64_t sequence, uint64_t mark)
{
    if (epoch != self->epoch || sequence <= self->committed)
        return;
    self->committed = sequence;
    self->committed_mark = mark;
}

void tracker_failed(struct tracker *self)
{
    self->next = self->committed + 1;
    self->mark = self->committed_mark;
    self->asked_ms = 0;
}

int tracker_wants(struct tracker *self, int64_t now_ms, uint64_t *ret_from, uint64_t *ret_to)
{
    uint64_t to = self->held_count > 0 ? self->held[0].first - 1 : self->last;
    if (self->epoch == 0 || self->next > to) {
        self->asked_ms = 0;
        return 0;
    }
    int waiting = self->asked_ms != 0 && self->credit > 0 && self->next <= self->asked_to;
    if (waiting && now_ms - self->asked_ms < ASK_AGAIN_MS)
        return 0;
    self->asked_ms = now_ms > 0 ? now_ms : 1;
    self->asked_to = to;
    self->credit = TRACKER_CREDIT;
    *ret_from = self->next;
    *ret_to = to;
    return 1;
}
