// SPDX-License-Identifier: Apache-2.0
#pragma once

// Shared by the files that make up struct config.
#include "core/base/table.h"
#include "core/config/config.h"

// What is versioned by itself: a document (a list without its entries), or one entry of a list.
struct unit {
    struct version *versions; // in clock order
    size_t count, capacity;
    struct names seen; // by any of them
};

struct entry {
    struct unit unit;
    char text[];
};

struct document {
    char *name;
    struct unit whole;
    struct table *entries;         // of a list, else NULL
    const struct revision *newest; // of all its versions, entries included
    int touched;                   // since the last merge
    json_t *hashed;                // body that `hash` belongs to
    uint8_t hash[TREE_HASH];
};

struct config {
    config_valid_fn *valid;
    void *context;
    struct known **order; // clock order
    size_t count, capacity;
    struct names names;
    struct table *by_name, *documents;
    json_t *tree;
    struct document **touched;
    size_t touched_count, touched_capacity;
    int holds; // some revisions are held
};

int is_list(const char *document);
struct document *document_find(const struct config *self, const char *name);
// The last version that takes part; NULL: none.
const struct version *unit_in_force(const struct unit *self, const char *document);
// Does the list allow, by its keys in force?
int list_allows(const struct document *self);
// The body as it takes part: a new reference, NULL: there is no such document.
json_t *document_compose(const struct document *self);
// Finds out which revisions cannot take part, and makes the tree of the others.
void config_hold(struct config *self);
