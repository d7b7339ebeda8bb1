// SPDX-License-Identifier: Apache-2.0
#include "node/stages.h"

#include <limits.h>

enum { SPEAKS_S = 5, JSON_MOST = 64 * 1024 };

static void forget(struct told *told)
{
    json_decref(told->metrics);
    *told = (struct told){.connected = told->connected, .silent_s = UINT_MAX};
}

void stages_free(struct stages *self)
{
    for (unsigned stage = STAGE_INGRESS; stage < STAGES_END; stage++)
        for (unsigned slot = 0; slot < SLOT_MOST; slot++)
            forget(&self->told[stage][slot]);
}

void stages_status(struct stages *self, const Postern__StageStatus *status)
{
    if (status->stage < STAGE_INGRESS || status->stage >= STAGES_END || status->slot >= SLOT_MOST ||
        status->json.len > JSON_MOST)
        return;
    struct told *told = &self->told[status->stage][status->slot];
    json_decref(told->metrics);
    told->metrics =
        json_loadb((const char *)status->json.data, status->json.len, JSON_REJECT_DUPLICATES, NULL);
    told->pid = status->pid;
    told->incarnation = status->incarnation;
    told->silent_s = 0;
}

void stages_connected(struct stages *self, enum stage stage, unsigned slot, int connected)
{
    self->told[stage][slot].connected = connected;
}

void stages_second(struct stages *self)
{
    for (unsigned stage = STAGE_INGRESS; stage < STAGES_END; stage++)
        for (unsigned slot = 0; slot < SLOT_MOST; slot++) {
            struct told *told = &self->told[stage][slot];
            if (told->pid && told->silent_s < UINT_MAX)
                told->silent_s++;
        }
}

void stages_ended(struct stages *self, enum stage stage, unsigned slot)
{
    forget(&self->told[stage][slot]);
}

int stages_speaks(const struct stages *self, enum stage stage, unsigned slot, unsigned within_s)
{
    const struct told *told = &self->told[stage][slot];
    return told->pid && told->silent_s <= within_s;
}

unsigned stages_count(const struct stages *self, enum stage stage)
{
    unsigned count = 0;
    for (unsigned slot = 0; slot < SLOT_MOST; slot++)
        count += (unsigned)stages_speaks(self, stage, slot, SPEAKS_S);
    return count;
}

static json_int_t value_of(const struct stages *self, enum stage stage, unsigned slot,
                           const char *metric)
{
    if (!stages_speaks(self, stage, slot, SPEAKS_S))
        return 0;
    return json_integer_value(json_object_get(self->told[stage][slot].metrics, metric));
}

json_int_t stages_sum(const struct stages *self, enum stage stage, const char *metric)
{
    json_int_t sum = 0;
    for (unsigned slot = 0; slot < SLOT_MOST; slot++)
        sum += value_of(self, stage, slot, metric);
    return sum;
}

json_int_t stages_most(const struct stages *self, enum stage stage, const char *metric)
{
    json_int_t most = 0;
    for (unsigned slot = 0; slot < SLOT_MOST; slot++) {
        json_int_t value = value_of(self, stage, slot, metric);
        most = value > most ? value : most;
    }
    return most;
}
