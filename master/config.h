// SPDX-License-Identifier: Apache-2.0
#pragma once

// The cluster's configuration in cluster.db: documents in force, and every revision that led there.
// An edit is validated by the parser that will run it before it is kept.
#include "core/base/base.h"
#include <jansson.h>
#include <sqlite3.h>

struct config_edit {
    json_t *changes; // {document: body, or null to delete it}; borrowed
    int replace;     // documents that are not named go, but node/* and revoked/*
    int64_t base;    // the revision that the author had seen, -1: whichever is in force
    const char *author, *comment;
};

enum config_result { CONFIG_DONE, CONFIG_REFUSED, CONFIG_STALE, CONFIG_FAILED };

// The tree in force: {"revision": "N", "documents": {...}}; NULL: logged.
json_t *config_tree(sqlite3 *db);
// Makes a revision of the changes, unless they change nothing. ret_tree: the new tree, durable.
// Otherwise ret_error says why (document.key: reason; mend), and nothing changed.
enum config_result config_apply(sqlite3 *db, const struct config_edit *edit, json_t **ret_tree,
                                char *ret_error, size_t error_size);
// What takes the documents back to a revision, as changes for config_apply; node/* and revoked/*
// stay. NULL:
// there is no such revision.
json_t *config_changes_to(sqlite3 *db, int64_t revision);

// For readers, newest first: [{revision, time, author, comment, documents: [...]}].
json_t *config_history(sqlite3 *db, unsigned limit);
// [{document, before, after}] between two revisions, bodies null where there was none. NULL: no
// such revision.
json_t *config_difference(sqlite3 *db, int64_t from, int64_t to);
