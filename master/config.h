// SPDX-License-Identifier: Apache-2.0
#pragma once

// The cluster's configuration on a master: the set of revisions, in memory and in cluster.db, and
// the edits that add to it. All of it belongs to the writer's thread; what others need of it is
// given to them as a view.
#include "core/config/edit.h"
#include "core/config/transfer.h"
#include <sqlite3.h>

struct configuration;

// Reads all revisions, after those of older versions have been made ones. NULL: message in
// ret_error.
struct configuration *configuration_open(sqlite3 *db, const char *master,
                                         const struct sign_keys *keys, char *ret_error,
                                         size_t error_size);
void configuration_close(struct configuration **self);

struct config_edit {
    const json_t *changes; // {document: body, or null to delete it}
    int replace;           // documents that are not named go, but for members
    int settles;           // no conflict of the documents is left
    const json_t *bases;   // {document: version that the author has read}; NULL: whatever is there
    const char *author, *comment;
};

enum config_result { CONFIG_DONE, CONFIG_REFUSED, CONFIG_STALE, CONFIG_FAILED };

// The tree in force, for the loop: {"revision": name of the newest or "0", "tree": hash,
// "documents": {...}, "holds": names_json, "conflicts": how many, "made": name}. The caller frees
// it; bodies are shared and never change. "made" is there after an edit that made a revision.
json_t *config_tree(struct configuration *self);
// Makes a revision of the changes, unless they change nothing. ret_tree: as config_tree, durable.
// Otherwise ret_error says why (document.key: reason; mend), and nothing changed. A stale edit
// gives
// [{document, version, body}] as ret_tree instead.
enum config_result config_apply(struct configuration *self, const struct config_edit *edit,
                                json_t **ret_tree, char *ret_error, size_t error_size);
// Takes what came from elsewhere, as far as its signatures are trusted. NULL: nothing new, or it
// could not be written; otherwise as config_tree.
json_t *config_take(struct configuration *self, const struct batch *batch);
// A master whose key CURVE has proven says that it signs with this one.
void config_trust(struct configuration *self, const uint8_t key[SIGN_PUBLIC]);
const struct config *config_set(const struct configuration *self);

// What takes the documents back to a revision, as changes for config_apply; members and revocations
// stay. NULL: there is no such revision.
json_t *config_changes_to(const struct configuration *self, const char *revision);

// For readers, newest first: [{revision, time, author, comment, documents: [...], held}].
json_t *config_history(const struct configuration *self, unsigned limit);
// [{document, before, after}] between two revisions, bodies null where there was none; `to` NULL:
// what is in force; `from` NULL: before `to`. NULL: there is no such revision.
json_t *config_difference(const struct configuration *self, const char *from, const char *to);
// What people should know who have just made the one of the other: a list of texts.
json_t *config_warnings(const json_t *before, const json_t *after);
// {document: version in force}.
json_t *config_versions(const struct configuration *self);
// Bodies, or a list of rows with bodies, as people may see them: secrets as fingerprints. A new
// reference.
json_t *config_shown(const json_t *documents);
json_t *config_shown_rows(const json_t *rows);
// The same changes with fingerprints that are in force put back to what they stand for.
json_t *config_unshown(const struct configuration *self, const json_t *changes);
