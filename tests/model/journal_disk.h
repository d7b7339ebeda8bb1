// SPDX-License-Identifier: Apache-2.0
#pragma once

// A disk in memory under the journal (core/journal/io.h): what was written is in the page cache,
// what was synced is on the disk. A power cut keeps any part of the rest, sector by sector, in any
// order; a death of the process keeps the page cache. A sync that fails leaves its pages clean, as
// Linux does.
#include "core/journal/io.h"

struct disk;

enum disk_fault {
    DISK_SOUND,
    DISK_NO_SYNC,   // the next fdatasync gives EIO
    DISK_NO_WRITE,  // the next pwrite gives EIO, half done
    DISK_SHORT,     // the next pwrite writes less, or is interrupted
    DISK_FULL,      // until it is healed: no new files, no space for them
    DISK_NO_FOLDER, // the next sync of the folder fails
    DISK_NO_UNLINK, // the next unlink fails
    DISK_NO_READ,   // a block of the next pread cannot be read
    DISK_FAULTS
};

struct disk *disk_new(uint64_t seed);
void disk_destroy(struct disk **self);
// The disk as one process sees it. `after` operations from now it dies (0: it does not): nothing
// that it does changes the disk any more. The next disk_open stands for the next process.
void disk_open(struct disk *self, struct journal_io *ret);
void disk_kill_after(struct disk *self, unsigned after);
void disk_kill(struct disk *self);
int disk_killed(const struct disk *self);
void disk_power_cut(struct disk *self); // of a killed process

void disk_break(struct disk *self, enum disk_fault fault);
void disk_heal(struct disk *self);
unsigned disk_failures(const struct disk *self); // operations that failed so far

// Rules of the journal that stand on the disk's answers, switched off.
struct disk_lies {
    int sync_is_nothing;    // fdatasync says 0 and does nothing
    int failed_sync_again;  // one that failed is tried again: 0
    int no_folder_for_new;  // a folder's sync forgets new files
    int no_folder_for_gone; // ... and unlinked ones
    int no_folder_for_dead; // ... and those that a process unlinked that died
};
void disk_lie(struct disk *self, const struct disk_lies *lies);

// For tests that spoil what is there, while no process runs. NULL: no such file.
const unsigned char *disk_file(const struct disk *self, const char *name, size_t *ret_size);
void disk_truncate(struct disk *self, const char *name, size_t size);
void disk_flip(struct disk *self, const char *name, size_t offset, unsigned bit);
void disk_each(const struct disk *self, journal_name_fn *fn, void *context); // names
unsigned disk_kept(const struct disk *self);           // bad stretches put aside
uint64_t disk_draw(struct disk *self, uint64_t below); // the random numbers of this run
struct disk *disk_copy(const struct disk *self);       // of what is on it
