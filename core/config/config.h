// SPDX-License-Identifier: Apache-2.0
#pragma once

// The cluster's configuration as a set of revisions, and the tree of documents that it makes. The
// tree in force is a function of the set alone, so nodes merge by taking what they lack, in any
// order. No I/O: revisions and times are arguments, and whether a tree is valid the caller says.
#include "core/config/rules.h"

struct config;

// Is the tree valid? `changed` names the documents that differ from a tree that was, or is NULL
// when all are to be looked at. 0; or -1 with a reason.
typedef int config_valid_fn(void *context, const json_t *documents, const char *const *changed,
                            size_t count, char *ret_error, size_t error_size);

struct config *config_new(config_valid_fn *valid, void *context);
void config_destroy(struct config **self);

// Takes a revision over; config_merge brings what it changes into force. It is valid as long as the
// set. 0; or 1 when it is held already (and destroyed).
int config_add(struct config *self, struct revision **revision);
// After one or more additions. What would break the tree is held out of it, whole, in clock order.
void config_merge(struct config *self);

// {document: body}; valid until the next merge. Bodies are never changed, only replaced.
json_t *config_documents(const struct config *self);
// SHA-256 of {document: body}: of the tree in force, or of one that differs from it.
void config_hash(struct config *self, const json_t *documents, uint8_t ret_hash[TREE_HASH]);
// The revision that made the document as it is in force, its deletion too; NULL: there was none.
const struct revision *config_version(const struct config *self, const char *document);
// What whoever has read the document in force has seen of it; `all`: of every version known here.
// The caller frees.
void config_seen(const struct config *self, const char *document, int all, struct names *ret);
void config_seen_entry(const struct config *self, const char *document, const char *entry,
                       struct names *ret);

// In clock order.
size_t config_count(const struct config *self);
const struct known *config_at(const struct config *self, size_t at);
const struct revision *config_newest(const struct config *self); // NULL: none yet
const struct known *config_find(const struct config *self, const char *name);
const struct names *config_names(const struct config *self);

// For people and settling: [{document, in_force: {version, author, time, comment, body}, others:
// [...]}], a version per document that nobody has seen and that is not in force.
json_t *config_conflicts(const struct config *self);
