// SPDX-License-Identifier: Apache-2.0
#pragma once

// Gives our listening sockets to a restarted node (DESIGN 5): who connects to run/ingress/<slot>.fd
// with our uid (or root) gets one byte 'F' with the descriptors (SCM_RIGHTS), then the end.
struct loop;
struct fd_server;

enum { FD_SERVER_MOST = 16 };

// Replaces a socket left at `path`; only the holder of the slot's lock may call it. The descriptors
// are borrowed. NULL with errno.
struct fd_server *fd_server_new(struct loop *loop, const char *path, const int *fds,
                                unsigned count);
void fd_server_destroy(struct fd_server **self); // unlinks
