// SPDX-License-Identifier: Apache-2.0
#pragma once

// Listening sockets for SMTP.
#include "core/base/base.h"

// Binds `address` (host:port, [v6]:port, or *:port for both families). `shared`: beside others that
// do so, too (SO_REUSEPORT). The descriptor, non-blocking; or -1 with errno (EINVAL: not an
// address).
int listening_socket(const char *address, int shared);
// Is `fd` a listening socket that is bound to that address?
int listening_socket_is(int fd, const char *address);
