// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a process that reads hostile bytes gives up before it reads the first: whoever takes it over
// by a broken mail finds no program to start, no network, no key to read and no file to write.
// Nothing given up comes back. A sanitizer needs what is forbidden here (it forks and traces at its
// end), so its builds go without.
#include "core/base/base.h"

enum { SANDBOX_PATHS = 16 };

struct sandbox {
    const char *readable[SANDBOX_PATHS]; // NULL at the end; none: everything may be read
    const char *writable[SANDBOX_PATHS]; // and read
    uint64_t memory_max;                 // bytes of address space
};

// No core dumps, no more memory and descriptors than these.
void sandbox_limits(const struct sandbox *self, unsigned descriptors);
// Files, by Landlock: for the calling thread and the threads it starts. 0, or -1: this kernel has
// it not (errno), or a sanitizer is in.
NODISCARD int sandbox_files(const struct sandbox *self);
// System calls, by seccomp: for all threads. Whoever breaks it is killed (SIGSYS). 0, or -1.
NODISCARD int sandbox_calls(void);
