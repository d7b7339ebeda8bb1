// SPDX-License-Identifier: Apache-2.0
#pragma once

// The rules by which a set of revisions becomes one configuration (DESIGN 7). Each is a function of
// its own, which tests/model/config_test puts another in the place of, to see what it protects.
#include "core/config/revision.h"

// One revision's word on a document, or on an entry of a list. Kept in clock order.
struct version {
    struct known *known;                  // the revision
    const struct revision_change *change; // in it
    int head;                             // no other version of the same has seen it
};

// A revision that is held here.
struct known {
    struct revision *revision;
    char *held; // why its changes are not in force; NULL: they take part
};

// The order of revisions, the same everywhere: clock, then master, start, number.
int rule_compare(const struct revision *a, const struct revision *b);
// The clock of a revision made now, after everything that its master has seen.
struct config_clock rule_next_clock(struct config_clock seen, uint64_t now_ms);
// Is the entry on the list? Of changes that had not seen each other, adding wins on a block list,
// removing on an allow list.
int rule_entry_stands(const struct version *versions, size_t count, int allows);
// revoked/<key> cannot be taken back.
int rule_only_grows(const char *document);
// Is a version that nobody has seen, and that is not in force, a conflict?
int rule_conflicts(const struct version *version, const json_t *in_force);
// Changes that take part although the revision is held: nothing can depend on them.
int rule_is_spared(const char *document);
// Documents that a rollback leaves as they are.
int rule_survives_rollback(const char *document);
// Has the document changed since its author read it? `seen`, `now`: names of versions, or NULL.
int rule_is_stale(const char *seen, const char *now);
// Whoever settles a document names every version of it that is known here.
int rule_sees_all(int settles);
