// SPDX-License-Identifier: Apache-2.0
#pragma once

// Starting a sibling program: nothing of ours reaches it but what is given.
#include "core/base/base.h"
#include <sys/types.h>

enum { SPAWN_FDS_MOST = 9, SPAWN_FD_FIRST = 3 };

// Runs `argv[0]`, looked for in the folder of our own program, with stdin from /dev/null and our
// stdout and stderr; `fds` become its descriptors 3, 4, ... The pid, or -1 with errno. Does not
// fork: a child that shares our threads' locks and sockets never exists.
pid_t spawn(char *const *argv, const int *fds, unsigned fd_count);
// Does that process run the program? Guards against a pid that was given to another meanwhile.
int spawned_is(pid_t pid, const char *program);
// A descriptor high enough not to stand in the way of those that a child is given; closes `fd`. -1
// with errno.
int spawn_move_up(int fd);
