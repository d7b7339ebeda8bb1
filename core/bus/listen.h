// SPDX-License-Identifier: Apache-2.0
#pragma once

// Listening sockets in the file system.
#include "core/base/base.h"

// A listening socket at `path`, which takes the place of what stands there. It appears in one step,
// ready: who sees the name can connect. The name stays when the socket is closed. Returns the
// descriptor, or -1 with errno.
NODISCARD int listen_at(const char *path);
