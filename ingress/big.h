// SPDX-License-Identifier: Apache-2.0
#pragma once

// A message beyond `big_from`, written to big/<id> as it arrives, by the disk thread.
#include "core/base/buffer.h"
#include "core/journal/journal.h"

enum { BIG_CHUNK = 256 * 1024 };

struct big_file;

struct big_file *big_file_new(struct journal *journal, const char *folder, const char *name);
// Takes the buffer's bytes (and memory), leaving it empty. -1: the disk thread is busy, nothing was
// taken.
NODISCARD int big_file_write(struct big_file *self, struct buffer *bytes);
int big_file_failed(const struct big_file *self); // errno of a write that failed, 0: none
// Writes the rest, syncs file and folder, then calls `fn` on the loop with 0 or an errno (the file
// is then gone). Takes the file.
void big_file_finish(struct big_file **self, struct buffer *rest, journal_worked_fn *fn,
                     void *context);
void big_file_remove(struct big_file **self); // not needed after all
// Removes the file of a message that ended.
void big_file_unlink(struct journal *journal, const char *folder, const char *name);
