// SPDX-License-Identifier: Apache-2.0
#pragma once

// The enrolled nodes as the loop knows them. A node is found by the key of its connection, never by
// what it claims to be.
#include "core/config/revision.h"
#include "core/stream/lag.h"
#include "mail/settings.h"
#include "master/tracker.h"
#include <jansson.h>

enum { MEMBER_FORMER_MOST = 16, MEMBERS_MOST = 256, MEMBER_LOST_MS = 10000 };
enum { WORKERS_TESTED = 64 }; // of a cluster: it works with more, but nobody tried

struct member {
    char name[64], key[41];
    char previous_key[41];    // "": none; good until
    int64_t previous_until_s; // Unix time
    char former[MEMBER_FORMER_MOST][64];
    size_t former_count;
    char record[64]; // the name in the record: the first that it had
    char route[41];  // the one of them that it spoke with last
    enum role role;
    enum node_wish wish;
    int is_seen; // by membership_follow, which sets it
    struct tracker tracker;
    uint64_t
        base; // where the stream began, or went on after a cut: what follows this needs no more
    int64_t heard_ms;       // monotonic, 0: never
    int64_t clock_ahead_ms; // its clock before ours, as of the last heartbeat
    struct lag lag;
    int64_t lag_ms; // for how long we have been behind its stream
    uint64_t first_kept;
    char site[64], revision[REVISION_NAME_SIZE], tree[2 * TREE_HASH + 1], version[32];
    char refused[REVISION_NAME_SIZE], reason[512]; // the revision it would not run, and why
    json_t *status;                                // of the last heartbeat, NULL: none
    int64_t forked_ms; // when a fork of its stream was met last, 0: never
};

struct members {
    struct member *list[MEMBERS_MOST];
    size_t count;
};

// What a person should think over, as texts: more workers than WORKERS_TESTED. A new reference.
json_t *members_warnings(const struct members *self);
// NULL: MEMBERS_MOST are there.
struct member *members_add(struct members *self, const char *name, const char *key, enum role role);
void members_remove(struct members *self, struct member *member);
void members_clear(struct members *self);
// Also by its key before, while that is good.
struct member *members_by_key(const struct members *self, const char *key);
// Also by a name it had.
struct member *members_by_name(const struct members *self, const char *name);
const char *member_state(const struct member *self, int64_t now_ms); // joining, up, lost
// For people: also draining, and maintenance once a draining node holds no mail any more.
const char *member_shown_state(const struct member *self, int64_t now_ms);
