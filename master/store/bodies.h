// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which quarantined bodies this master is to hold, in cluster.db: a row for each, made with its
// event. Whether one is held the blob itself says (master/store/blobs.h); the state here is a
// hint that may lag behind it.
#include "core/base/ulid.h"
#include "master/store/blobs.h"
#include "proto/event.pb-c.h"
#include <sqlite3.h>

enum body_state {
    BODY_WANTED,
    BODY_HELD,
    BODY_GONE, // deleted for all recipients, or past the retention: needed no more
};

struct body {
    struct ulid id;
    uint8_t sha256[SHA256_SIZE];
    char node[64]; // where it was quarantined
    char day[11];  // its folder there
    int64_t since_ms;
    enum body_state state;
};

extern const char bodies_schema[];

// What an event of `node` says of a body. 1: it is one to be wanted; ret is filled. 0: it says
// nothing.
int body_of_event(const Postern__Event *event, const char *node, struct body *ret);

// Adds a wanted one, within the transaction that cluster_commit_outcomes ends. 1: it is
// wanted, 0: held or gone, -1.
NODISCARD int bodies_add(sqlite3 *db, const struct body *body);
NODISCARD int bodies_set(sqlite3 *db, const struct ulid *id, enum body_state state);
// 1: found, 0: unknown, -1.
NODISCARD int bodies_find(sqlite3 *db, const struct ulid *id, struct body *ret);
typedef void body_row_fn(void *context, const struct body *body);
NODISCARD int bodies_wanted(sqlite3 *db, body_row_fn *fn, void *context);
// At most `most` that are not gone, of days before `day`.
NODISCARD int bodies_before(sqlite3 *db, const char *day, unsigned most, body_row_fn *fn,
                            void *context);
