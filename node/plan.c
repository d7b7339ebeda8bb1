// SPDX-License-Identifier: Apache-2.0
#include "node/plan.h"

struct plan plan_stage(const struct plan_slot slots[SLOT_MOST], unsigned wanted)
{
    struct plan plan = {0};
    unsigned have = 0;
    for (unsigned i = 0; i < SLOT_MOST; i++)
        have += (slots[i].ours || i < wanted) && !slots[i].stopping &&
                (slots[i].state == PLAN_LIVING || slots[i].state == PLAN_WAITING);
    for (unsigned i = 0; i < SLOT_MOST && have < wanted; i++) {
        if (slots[i].state != PLAN_FREE)
            continue;
        plan.start |= 1ull << i;
        have++;
    }
    for (unsigned i = SLOT_MOST; i-- > 0 && have > wanted;) {
        if (!slots[i].ours || slots[i].stopping ||
            (slots[i].state != PLAN_LIVING && slots[i].state != PLAN_WAITING))
            continue;
        plan.stop |= 1ull << i;
        have--;
    }
    return plan;
}

int64_t backoff_next(struct backoff *self, int64_t lived_ms)
{
    if (self->delay_ms == 0 || lived_ms >= BACKOFF_FORGIVEN_MS)
        self->delay_ms = BACKOFF_FIRST_MS;
    else
        self->delay_ms =
            self->delay_ms * 2 < BACKOFF_MOST_MS ? self->delay_ms * 2 : BACKOFF_MOST_MS;
    return self->delay_ms;
}
