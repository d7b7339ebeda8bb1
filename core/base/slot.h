// SPDX-License-Identifier: Apache-2.0
#pragma once

// A slot: the number under which one instance of a stage runs (DESIGN 5). The lock is an open file
// description lock, freed by the kernel at death, visible in every container that shares the volume.
#include "core/base/base.h"

enum stage { STAGE_INGRESS = 1, STAGE_ANALYZER = 2, STAGE_DELIVERY = 3, STAGE_NODE = 4 };

enum { SLOT_MOST = 64 };

struct slot {
    enum stage stage;
    unsigned number;
    uint64_t incarnation; // random, drawn at taking, never 0
    int lock_fd;
    char path[96]; // state/<stage>/<slot>
};

const char *stage_name(enum stage stage); // "ingress"

// Takes the given slot, or with number < 0 the lowest free one, one with live records first
// (`has_records(path)` tells; may be NULL). Makes the folder. 0, or -1 with errno (EBUSY: all taken).
typedef int slot_records_fn(const char *path);
NODISCARD int slot_take(struct slot *self, const char *state, enum stage stage, int number,
                        slot_records_fn *has_records);
void slot_release(struct slot *self);
// Releases a slot in whose folder nothing lies any more but the lock, and removes it: whoever asks sees
// that nobody will ever speak for it. -1 with errno: something lies there; it is released all the same.
NODISCARD int slot_remove(struct slot *self);

// Is somebody alive in that slot? Takes no lock, so asking disturbs nobody. 1, 0, or -1 with errno.
int slot_locked(const char *state, enum stage stage, unsigned number);
// Which slot folders exist: a bit per number.
uint64_t slot_existing(const char *state, enum stage stage);
