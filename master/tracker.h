// SPDX-License-Identifier: Apache-2.0
#pragma once

// How far one node's stream has been taken, without I/O: what to take, what to hold until a gap is
// filled, what to ask for again. Sequences count from 1 within an epoch.
#include "core/base/base.h"

enum { TRACKER_HELD_MOST = 256 }; // frames beyond a gap
enum { TRACKER_CREDIT = 8 };      // frames a replay may send at once

enum tracker_advice {
    TRACKER_TAKE, // they follow on what was taken
    TRACKER_HOLD, // they lie beyond a gap
    TRACKER_DROP, // taken before, of another epoch, or no room
    TRACKER_FORK, // of this epoch and next in number, yet they follow on other events than ours
};

// Where a frame stands in its node's outbox: a record's number and mark, the mark of the record
// before. A mark of 0 is not known.
struct tracker_marks {
    uint64_t record_first, mark, before;
};

struct tracker_frame {
    uint64_t first, count;
    void *item;
};

struct tracker {
    uint64_t epoch;     // 0: none known
    uint64_t next;      // first sequence not taken
    uint64_t committed; // watermark: durable in the store
    uint64_t last;      // the highest that the node spoke of
    int64_t asked_ms; // when a replay was asked for or last brought something, 0: none is under way
    uint64_t asked_to;
    unsigned credit;                              // frames that it may still bring
    struct tracker_frame held[TRACKER_HELD_MOST]; // by `first`
    size_t held_count;
    uint64_t live, replayed; // events taken from either
    uint64_t mark,
        committed_mark; // of the records that next - 1 and committed lie in; 0: not known
    int owes_hello;     // to be answered once what was taken is committed
};

void tracker_restore(struct tracker *self, uint64_t epoch, uint64_t committed, uint64_t mark);
// A new epoch, or a cut: nothing before `first` will come any more.
void tracker_begin(struct tracker *self, uint64_t epoch, uint64_t first);
void tracker_heard(struct tracker *self, uint64_t last); // the node's last sequence

// The node said hello, with its last sequence. Less than it spoke of before means that its disk was
// rolled back: what is held of that is void (the caller unholds it all first when
// tracker_is_behind). 0: answer now; -1: it lacks what was taken but is not committed, and only
// what is committed may tell it so: owes_hello.
int tracker_is_behind(const struct tracker *self, uint64_t epoch, uint64_t last);
NODISCARD int tracker_hello(struct tracker *self, uint64_t epoch, uint64_t last);
// The node remembers that we acknowledged `upto` in `acknowledged`, an epoch; it is in `epoch` now.
// Does our store lack some of that?
int tracker_lost(const struct tracker *self, uint64_t epoch, uint64_t acknowledged, uint64_t upto);
// Is it time for the hello that is owed? Once.
int tracker_pays_hello(struct tracker *self);

uint64_t tracker_lag(const struct tracker *self); // events that are not durable here

// A frame came. With TRACKER_TAKE the first `ret_skip` events of it are known already.
enum tracker_advice tracker_offer(struct tracker *self, uint64_t epoch, uint64_t first,
                                  uint64_t count, const struct tracker_marks *marks,
                                  uint64_t *ret_skip);
void tracker_replay_came(struct tracker *self,
                         int64_t now_ms); // a frame of a replay, of use or not
void tracker_took(struct tracker *self, uint64_t upto, uint64_t count, int replayed, uint64_t mark);
// A fork was met: the node must hear what we hold, as soon as that is committed. 0: now; -1: then.
NODISCARD int tracker_forked(struct tracker *self);
// Keeps a frame that tracker_offer said to hold; 0, or -1: no room, or held already.
NODISCARD int tracker_hold(struct tracker *self, uint64_t first, uint64_t count, void *item);
// A held frame that can be offered again, or is of no use any more; NULL: none.
void *tracker_unhold(struct tracker *self);
// Any held frame: for giving them up.
void *tracker_unhold_any(struct tracker *self);

void tracker_committed(struct tracker *self, uint64_t epoch, uint64_t sequence, uint64_t mark);
// What was taken but not committed is lost: it must come again.
void tracker_failed(struct tracker *self);

// Should a replay be asked for now? 1 with the range. Asks again after 2 s without progress.
int tracker_wants(struct tracker *self, int64_t now_ms, uint64_t *ret_from, uint64_t *ret_to);
