// SPDX-License-Identifier: Apache-2.0
#pragma once

// A segment as a file: its name, its making, its reading.
#include "core/journal/io.h"

enum { SEGMENT_NAME = 32 };
#define SEGMENT_BYTES_MOST ((uint32_t)2 << 30)

void segment_name(uint64_t number, char ret_name[SEGMENT_NAME]);
uint64_t segment_number(const char *name); // 0: not the name of a segment
int segment_numbers(const struct journal_io *io, uint64_t **ret_numbers,
                    size_t *ret_count); // ascending; the caller frees

// One being written.
struct segment {
    uint64_t number; // 0: none
    int fd;
    uint32_t size;
    uint32_t filled;  // zeros written so far
    uint32_t settled; // of these, those whose write-back has ended
};

// Makes the file and takes its space. On failure nothing is left of it.
NODISCARD int segment_create(struct segment *ret, const struct journal_io *io, uint64_t number,
                             uint32_t size);
// Does a little more: writes zeros, has them brought to the disk while others commit, syncs at the
// end. 0: more is needed; 1: done, file and folder synced; -1: failed, and the file is gone. Zeros
// first, because then a commit changes no metadata: measured, half as many syncs again per second.
NODISCARD int segment_fill(struct segment *self, const struct journal_io *io);
NODISCARD int segment_write(const struct segment *self, const struct journal_io *io,
                            const void *data, size_t size, uint64_t offset);
void segment_close(struct segment *self, const struct journal_io *io);
void segment_discard(struct segment *self, const struct journal_io *io); // closes and unlinks

// The bytes of a segment file up to `to` (clipped to the file): the caller frees. What cannot be
// read is zeros, and counted in *ret_unreadable (blocks). NULL with errno.
unsigned char *segment_read(const struct journal_io *io, uint64_t number, uint32_t to,
                            uint32_t *ret_size, uint64_t *ret_unreadable);
