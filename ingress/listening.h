// SPDX-License-Identifier: Apache-2.0
#pragma once

// Listening sockets of an ingress that was given none: it binds for itself, beside others
// (SO_REUSEPORT).
#include "core/base/base.h"

// Binds `address` (host:port, [v6]:port, or *:port). The descriptor; or -1 with errno (EINVAL: not
// an address).
int listening_socket(const char *address);
