// SPDX-License-Identifier: Apache-2.0
#pragma once

// Small files and folders, done so that a power cut cannot undo them.
#include "core/base/base.h"

// Writes a temporary name, syncs it, renames it over `path`, syncs the folder. 0, or -1 with errno. Blocks: not on the loop.
NODISCARD int file_write_atomic(const char *path, const void *data, size_t size, unsigned mode);
// Reads a whole file of at most `max` bytes; the caller frees; one 0 byte after. NULL with errno (EFBIG when larger).
char *file_read(const char *path, size_t max, size_t *ret_size);
NODISCARD int file_make_folders(const char *path, unsigned mode); // like mkdir -p, each synced
NODISCARD int file_remove_folder(const char *path); // with the files in it; -1 when folders lie there
NODISCARD int file_sync_folder(const char *path);
NODISCARD int file_write_whole(int fd, const void *data, size_t size); // loops over short writes
// The free part of the folder's file system; 100 when it cannot be told.
unsigned file_free_percent(const char *folder);
