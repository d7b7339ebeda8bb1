// SPDX-License-Identifier: Apache-2.0
#pragma once

// A revision: a set of document changes that a master made at once. Never changed once made.
#include "core/base/buffer.h"
#include "core/config/names.h"
#include "core/config/signature.h"
#include <jansson.h>

// Hybrid logical clock: the wall clock, but never behind what its master had seen.
struct config_clock {
    uint64_t ms;
    uint32_t count;
};

enum change_kind { CHANGE_SET, CHANGE_DELETE, CHANGE_ADD, CHANGE_REMOVE };

struct revision_change {
    char *document;
    enum change_kind kind;
    struct names seen; // every version of it (of each entry) that its author had seen
    json_t *body;      // CHANGE_SET
    char **entries;    // CHANGE_ADD, CHANGE_REMOVE
    size_t entry_count;
};

enum {
    REVISION_MOST = 16 * 1024 * 1024, // bytes, packed
    REVISION_TEXT_MOST = 1024,        // author, comment
    DOCUMENT_NAME_MOST = 320,
    TREE_HASH = 32,
};

struct revision {
    struct revision_origin origin;
    uint64_t number;
    struct config_clock clock;
    char *author, *comment;
    uint8_t tree[TREE_HASH];
    struct revision_change *changes;
    size_t change_count, change_capacity;
    // As it was signed; NULL until then.
    uint8_t *packed;
    size_t packed_size;
};

struct revision *revision_new(const struct revision_origin *origin, uint64_t number,
                              struct config_clock clock, const char *author, const char *comment);
void revision_destroy(struct revision **self);
// Empty, for the caller to fill; valid until the next one is added.
struct revision_change *revision_add_change(struct revision *self, const char *document,
                                            enum change_kind kind);
void change_add_entry(struct revision_change *self, const char *entry);

// Makes `packed` of it. -1: more than REVISION_MOST.
NODISCARD int revision_sign(struct revision *self, const struct sign_keys *keys);
// Reads signed bytes, whoever signed them. NULL with a reason (a literal).
struct revision *revision_read(const void *packed, size_t size, const char **ret_reason);
// Do the bytes that it was read from carry this master's signature?
int revision_signed_by(const struct revision *self, const uint8_t public_key[SIGN_PUBLIC]);

void revision_name(const struct revision *self, char ret_text[REVISION_NAME_SIZE]);
