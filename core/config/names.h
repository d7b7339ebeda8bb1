// SPDX-License-Identifier: Apache-2.0
#pragma once

// Names of revisions, and sets of them. A revision is named by its master, a random number drawn at
// that start of its process (a restored master never uses a name twice), and a count. What an
// author had seen, and what a node holds, is a set of names: ranges of numbers for each start.
#include "core/base/base.h"
#include "proto/config.pb-c.h"
#include <jansson.h>

enum { ORIGIN_MASTER_SIZE = 64, REVISION_NAME_SIZE = 112 };

struct revision_origin {
    char master[ORIGIN_MASTER_SIZE];
    uint64_t start;
};

struct names_range {
    uint64_t from, to;
};

struct names_origin {
    struct revision_origin origin;
    struct names_range *ranges; // ascending, apart from each other
    size_t count, capacity;
};

struct names {
    struct names_origin *origins; // by master, then start
    size_t count, capacity;
};

int origin_compare(const struct revision_origin *a, const struct revision_origin *b);
// "<master>.<start hex>.<number>"
void name_format(const struct revision_origin *origin, uint64_t number,
                 char ret_text[REVISION_NAME_SIZE]);
// 0, or -1: it is no name.
NODISCARD int name_parse(const char *text, struct revision_origin *ret_origin,
                         uint64_t *ret_number);

void names_free(struct names *self);
void names_add(struct names *self, const struct revision_origin *origin, uint64_t from,
               uint64_t to);
void names_unite(struct names *self, const struct names *other);
int names_hold(const struct names *self, const struct revision_origin *origin, uint64_t number);
// Where the range that holds the number begins; the number itself when none does.
uint64_t names_run(const struct names *self, const struct revision_origin *origin, uint64_t number);
int names_equal(const struct names *a, const struct names *b);
int names_hold_all(const struct names *self, const struct names *other);

// As messages, as many as there are origins. They borrow the masters' names.
Postern__ConfigNames **names_pack(const struct names *self);
void names_packed_free(Postern__ConfigNames ***list, size_t count);
// 0, or -1: malformed; ret is empty then.
NODISCARD int names_unpack(Postern__ConfigNames *const *list, size_t count, struct names *ret);

// {"<master>.<start hex>": [from, to, from, to, ...]}: from one thread to another, and for people.
json_t *names_json(const struct names *self);
void names_from_json(const json_t *json, struct names *ret); // of names_json
