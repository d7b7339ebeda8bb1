// SPDX-License-Identifier: Apache-2.0
#pragma once

// Mail as a file. Blocks: only where journal work runs.
#include "delivery/body.h"

// Writes `head` (may be empty) and the body under folder/name, so that it is whole and durable or
// not there: another name first, synced, renamed, the folder synced. Makes the folder. 0, or an
// errno.
int pieces_file_write(const char *folder, const char *name, struct span head,
                      const struct body *body);
// Maps a file and reads it ahead. NULL with errno. The caller unmaps.
void *pieces_file_map(const char *path, size_t *ret_size);
