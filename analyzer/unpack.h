// SPDX-License-Identifier: Apache-2.0
#pragma once

// Walks through an archive and the archives within it, in memory only: nothing is ever written by a
// member's name. Bytes, members, depth, density and time are counted on what really comes out.
#include "core/base/base.h"

enum unpack_problem {
    UNPACK_ENCRYPTED,
    UNPACK_BROKEN,    // it cannot be read whole
    UNPACK_LIMIT,     // it was not read whole; the detail names the limit
    UNPACK_TRAVERSAL, // a member's name or link leads out of the folder it is unpacked to
    UNPACK_DIFFERENT, // a zip whose directory and members tell different things
};

struct unpack_limits {
    uint64_t output_most; // bytes
    uint64_t ratio_from;  // bytes of output below which the density does not matter
    unsigned ratio_most;  // output for each byte of the archive
    uint64_t held_most;   // archives within archives are held in memory, all levels together
    unsigned members_most, depth_most;
    int64_t until_us; // monotonic
};

// Counted over all archives of a message, so that many small ones are no way around a limit.
struct unpack_totals {
    uint64_t input, output; // bytes
    unsigned members;
};

struct unpack_handler {
    // A piece of a member. Two pieces overlap by UNPACK_OVERLAP bytes, so that no pattern up to
    // that size is cut in two. Non-zero ends the walk.
    int (*bytes)(void *context, struct span bytes);
    void (*problem)(void *context, enum unpack_problem problem, const char *detail);
    void *context;
};

enum { UNPACK_OVERLAP = 128 };

// Do the bytes begin like an archive or a compressed file?
int unpack_knows(struct span bytes);
void unpack(struct span bytes, const struct unpack_limits *limits, struct unpack_totals *totals,
            const struct unpack_handler *handler);
