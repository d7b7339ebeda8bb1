// SPDX-License-Identifier: Apache-2.0
#pragma once

// From what a person wants changed to a revision, on a master.
#include "core/config/config.h"

// Who makes revisions here: a name that no other start has, and the clock. The caller remembers it.
struct edit_maker {
    struct revision_origin origin;
    uint64_t number;           // of the last that was made
    struct config_clock clock; // not behind any revision that is held
};

struct edit {
    const json_t *changes; // {document: body, or null to delete it}
    int replace;           // documents that are not named go, but for those that a rollback spares
    int settles;           // names every version of the documents, so that no conflict is left
    const json_t *bases;   // {document: version that its author has read, or null: there was none}
    const char *author, *comment;
};

enum edit_result { EDIT_MADE, EDIT_SAME, EDIT_STALE, EDIT_INVALID };

// Makes the revision, unsigned and not yet part of the set. EDIT_SAME: it would change nothing.
// Otherwise the reason is in ret_error; of a stale edit, ret_stale is [{document, version, body}]
// as it is now (the caller's).
enum edit_result edit_make(struct config *config, struct edit_maker *maker, const struct edit *edit,
                           uint64_t now_ms, struct revision **ret, json_t **ret_stale,
                           char *ret_error, size_t error_size);

// {document: body or null} that takes the documents back to those given, as far as a rollback may.
json_t *edit_rollback(const struct config *config, const json_t *documents);
// Keeps the maker's clock ahead of a revision that came from elsewhere.
void edit_maker_saw(struct edit_maker *self, const struct revision *revision);
