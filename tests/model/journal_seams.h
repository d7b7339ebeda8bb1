// SPDX-License-Identifier: Apache-2.0
#pragma once

// What stands around the journal in the model: the linker puts these in the place of the loop, the
// mailbox, the disk thread's start and the real disk (--wrap), so that the test decides what
// happens next. The same way each rule of the journal can be switched off; the code under test
// knows nothing of it.
#include "tests/model/journal_disk.h"

enum journal_rule {
    JOURNAL_RULE_SYNC,        // durable is said only after the sync
    JOURNAL_RULE_NO_RETRY,    // a failed sync is never tried again
    JOURNAL_RULE_NAME,        // a new segment's name is synced before it is used
    JOURNAL_RULE_UNLINK,      // an unlink is synced before it counts
    JOURNAL_RULE_UNLINK_THEN, // ... also one of a process that died before the sync
    JOURNAL_RULE_END_STAYS,   // a done is live until the unlink of what it ended is synced
    JOURNAL_RULE_COPY,        // what lies above the last mark is appended anew
    JOURNAL_RULE_COMPLETE,    // copies count once their replay is complete
    JOURNAL_RULE_CONFIRMED,   // ... and are copied again while its last marks may be lost
    JOURNAL_RULE_SEAL,        // marks void what a failed sync left, and what was copied
    JOURNAL_RULE_SEAL_ONLY,   // ... and nothing else
    JOURNAL_RULE_PIN,         // the marks that void a stretch outlive it
    JOURNAL_RULE_MARK,        // a mark says what is synced, not what is about to be
    JOURNAL_RULE_MARK_MOVES,  // each batch's mark says up to where the last sync reached
    JOURNAL_RULE_PLACE,       // a header counts only at its place
    JOURNAL_RULE_CHECKSUM,    // a payload is checked
    JOURNAL_RULE_TAKEN,       // events stay until they are taken
    JOURNAL_RULE_ORIGIN,      // a copy of an event tells its old place
    JOURNAL_RULES
};

extern const char *const journal_rule_names[JOURNAL_RULES];

// The next journal_new opens on this disk. `without`: the rule that is off, -1: none.
void seams_begin(struct disk *disk, int without);
// One step each; 0: there was nothing to do.
int seams_disk_round(void);
int seams_deliver(void);    // the oldest notice to the loop
size_t seams_notices(void); // that wait
void seams_end_turn(void);  // of the loop: what it gathered goes to the disk thread
int seams_fire_timer(void); // the oldest that runs
