// SPDX-License-Identifier: Apache-2.0
#pragma once

// The enrolled nodes as the loop knows them. A node is found by the key of its connection, never by
// what it claims to be.
#include "master/tracker.h"
#include <jansson.h>

enum { MEMBERS_MOST = 256, MEMBER_LOST_MS = 10000 };

struct member {
    char name[64], key[41], role[16];
    struct tracker tracker;
    uint64_t
        base; // where the stream began, or went on after a cut: what follows this needs no more
    int64_t heard_ms; // monotonic, 0: never
    uint64_t first_kept;
    char site[64], revision[65], version[32];
    char refused[65], reason[512]; // the revision it would not run, and why
    json_t *status;                // of the last heartbeat, NULL: none
};

struct members {
    struct member *list[MEMBERS_MOST];
    size_t count;
};

// A name is 1 to 63 of a-z 0-9 - _ . ; a key is Z85; a role worker, master or monitor. NULL, or the
// mend.
const char *member_mend(const char *name, const char *key, const char *role);
struct member *members_add(struct members *self, const char *name, const char *key,
                           const char *role);
void members_remove(struct members *self, struct member *member);
void members_clear(struct members *self);
struct member *members_by_key(const struct members *self, const char *key);
struct member *members_by_name(const struct members *self, const char *name);
const char *member_state(const struct member *self, int64_t now_ms); // joining, up, lost
