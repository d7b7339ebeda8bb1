// SPDX-License-Identifier: Apache-2.0
#pragma once

// The payload of RECORD_MESSAGE: u32 little-endian length of the packed Envelope, the Envelope, then the message bytes
// (unless Envelope.big names a file in `big/`, which then holds them).
#include "core/base/base.h"
#include "proto/envelope.pb-c.h"

struct spooled {
    Postern__Envelope *envelope; // owned
    const char *message;         // borrowed from the payload, or mapped from the big file
    size_t size;
    void *mapped;                // of a big file
    size_t mapped_size;
};

// `big_folder` may be NULL when the message cannot be big. 0; or -1 with EBADMSG or the file's errno.
NODISCARD int spooled_open(struct spooled *ret, const void *payload, size_t size, const char *big_folder);
void spooled_close(struct spooled *self);
// Gives the head of the record (length and packed envelope) for journal_append's first piece; the caller frees.
void *spooled_head(const Postern__Envelope *envelope, size_t *ret_size);
