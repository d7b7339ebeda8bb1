// SPDX-License-Identifier: Apache-2.0
#pragma once

// What configuration documents may say: one table for worker, master, command line and console.
// Every document takes a `description` besides the keys of its kind.
#include "core/base/base.h"
#include <jansson.h>

enum schema_type {
    SCHEMA_FLAG,     // true or false
    SCHEMA_COUNT,    // whole number
    SCHEMA_SIZE,     // bytes: whole number, or text like "64K", "50M", "1G"
    SCHEMA_NUMBER,   // any number
    SCHEMA_LIMIT,    // a number, or null: never reached
    SCHEMA_TEXT,     // one text
    SCHEMA_CHOICE,   // one of `choices`
    SCHEMA_TEXTS,    // list of texts
    SCHEMA_NETWORKS, // list of networks, "10.0.0.0/8" or "::1"
    SCHEMA_HOPS,     // list of next hops, "HOST[:PORT]" or {"host", "port", "priority"}
};

struct schema_key {
    const char *name;
    enum schema_type type;
    double fallback; // a choice: its index; NAN: none
    double min, max; // of a number; of a text its length, of a list its entries
    const char *unit;
    const char *const *choices;            // ends with NULL
    const char *reference;                 // the text names a document of this kind
    const char *(*form)(const char *text); // NULL when the text is well formed, else the mend
    const char *about;                     // for people: what it does
};

struct schema_kind {
    const char *name;
    int named; // "domain/<name>"; otherwise there is one document with the kind's name
    const char *about;
    const struct schema_key *keys;
    size_t key_count;
};

enum {
    SCHEMA_TREE_MOST = 16 * 1024 * 1024, // bytes of a whole tree as JSON
    SCHEMA_DEPTH_MOST = 16,
    SCHEMA_NAME_MOST = 253,
    SCHEMA_NODE_NAME_MOST = 63,
    SCHEMA_DOCUMENTS_MOST = 20000,
    SCHEMA_DESCRIPTION_MOST = 4096,
};

extern const struct schema_kind schema_kinds[];
extern const size_t schema_kind_count;

// The kind of a document by its whole name ("domain/example.org"); NULL when there is none.
const struct schema_kind *schema_kind_of(const char *document);
const struct schema_key *schema_key_of(const struct schema_kind *kind, const char *name);

// Does the document say who belongs to the cluster? Such ones are never rolled back.
int schema_is_membership(const char *document);

// The value in force: the document's, or the default. `body` may be NULL: no such document.
double schema_number(const struct schema_kind *kind, const json_t *body, const char *key);
const char *schema_text(const json_t *body, const char *key); // NULL: not given

// Checks one document by itself. 0; or -1 with "document.key: reason; mend" in ret_error.
NODISCARD int schema_check_document(const char *document, const json_t *body, char *ret_error,
                                    size_t error_size);
// Checks an object {document: body} whole, references too.
NODISCARD int schema_check_tree(const json_t *documents, char *ret_error, size_t error_size);
// As schema_check_tree, when the tree was right before the named documents were changed or deleted;
// without names all is looked at.
NODISCARD int schema_check_changes(const json_t *documents, const char *const *changed,
                                   size_t count, char *ret_error, size_t error_size);
// Reads JSON of a bounded size and depth, without duplicate keys. NULL with "line N, column N:
// reason".
json_t *schema_read(const char *json, size_t size, char *ret_error, size_t error_size);
