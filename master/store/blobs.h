// SPDX-License-Identifier: Apache-2.0
#pragma once

// Quarantined bodies at rest: one zstd file for each, named by the SHA-256 of what is in it, under
// bodies/<2 digits>/. A file that is there is whole and synced with its folder. Blocks: for the
// master's disk thread.
#include "core/base/base.h"

enum { SHA256_SIZE = 32, SHA256_TEXT = 65 };

struct buffer;
struct blob_writer;
struct blob_reader;

void blob_name(const uint8_t sha256[SHA256_SIZE], char ret_text[SHA256_TEXT]);
int blob_exists(const char *folder, const uint8_t sha256[SHA256_SIZE]);

// A body on its way in. NULL with errno.
struct blob_writer *blob_writer_new(const char *folder);
NODISCARD int blob_writer_add(struct blob_writer *self, const void *data, size_t size);
// Ends it: durable under its name when it returns 0. -1 with EBADMSG: its bytes are not those of
// `sha256`, nothing is kept. Destroys the writer either way.
NODISCARD int blob_writer_finish(struct blob_writer **self, const uint8_t sha256[SHA256_SIZE]);
void blob_writer_destroy(struct blob_writer **self); // what it wrote is gone

// A body on its way out. NULL with errno (ENOENT: there is none).
struct blob_reader *blob_reader_new(const char *folder, const uint8_t sha256[SHA256_SIZE]);
// Appends up to `most` bytes; 1: there is more, 0: that was the end and the SHA-256 agrees. -1 with
// EBADMSG: rotten, and what was given before counts for nothing.
NODISCARD int blob_reader_next(struct blob_reader *self, size_t most, struct buffer *out);
uint64_t blob_reader_at(const struct blob_reader *self); // bytes given so far
void blob_reader_destroy(struct blob_reader **self);

// Moves a rotten one to bodies/corrupt/ for people to look at.
NODISCARD int blob_set_aside(const char *folder, const uint8_t sha256[SHA256_SIZE]);
NODISCARD int blob_remove(const char *folder, const uint8_t sha256[SHA256_SIZE]); // gone is good
// Removes what writers left when the process died. At the start.
void blob_sweep(const char *folder);
