// SPDX-License-Identifier: Apache-2.0
#include "master/store/merge.h"
#include "core/base/base.h"
#include <string.h>

static const char *const dispositions[] = {"",        "delivered", "quarantined", "rejected",
                                           "bounced", "discarded", "deferred",    "unsure"};

static const struct {
    const char *name;
    Postern__Disposition disposition; // of a recipient that the event gives none
} kinds[] = {
    [POSTERN__KIND__KIND_NONE] = {"none", POSTERN__DISPOSITION__DISPOSITION_NONE},
    [POSTERN__KIND__KIND_DONE] = {"done", POSTERN__DISPOSITION__DISPOSITION_NONE},
    [POSTERN__KIND__KIND_ATTEMPT] = {"attempt", POSTERN__DISPOSITION__DISPOSITION_DEFERRED},
    [POSTERN__KIND__KIND_DELIVERED] = {"delivered", POSTERN__DISPOSITION__DISPOSITION_DELIVERED},
    [POSTERN__KIND__KIND_BOUNCED] = {"bounced", POSTERN__DISPOSITION__DISPOSITION_BOUNCED},
    [POSTERN__KIND__KIND_QUARANTINED] = {"quarantined",
                                         POSTERN__DISPOSITION__DISPOSITION_QUARANTINED},
    [POSTERN__KIND__KIND_REFUSED] = {"refused", POSTERN__DISPOSITION__DISPOSITION_REJECTED},
    [POSTERN__KIND__KIND_RELEASED] = {"released", POSTERN__DISPOSITION__DISPOSITION_NONE},
    [POSTERN__KIND__KIND_DELETED] = {"deleted", POSTERN__DISPOSITION__DISPOSITION_NONE},
    [POSTERN__KIND__KIND_NODE] = {"node", POSTERN__DISPOSITION__DISPOSITION_NONE},
    [POSTERN__KIND__KIND_STREAM_CUT] = {"stream.cut", POSTERN__DISPOSITION__DISPOSITION_NONE},
    [POSTERN__KIND__KIND_DEFERRED] = {"deferred", POSTERN__DISPOSITION__DISPOSITION_DEFERRED},
    [POSTERN__KIND__KIND_DISCARDED] = {"discarded", POSTERN__DISPOSITION__DISPOSITION_DISCARDED},
};

const char *disposition_name(Postern__Disposition disposition)
{
    return (size_t)disposition < ARRAY_LENGTH(dispositions) ? dispositions[disposition] : "";
}

int disposition_number(const char *name)
{
    for (size_t i = 1; i < ARRAY_LENGTH(dispositions); i++)
        if (strcmp(dispositions[i], name) == 0)
            return (int)i;
    return -1;
}

const char *kind_name(Postern__Kind kind)
{
    return (size_t)kind < ARRAY_LENGTH(kinds) ? kinds[kind].name : "unknown";
}

static enum rank rank_of(Postern__Disposition disposition)
{
    switch ((int)disposition) {
    case POSTERN__DISPOSITION__DISPOSITION_DEFERRED:
        return RANK_DEFERRED;
    case POSTERN__DISPOSITION__DISPOSITION_QUARANTINED:
        return RANK_QUARANTINED;
    case POSTERN__DISPOSITION__DISPOSITION_DELIVERED:
    case POSTERN__DISPOSITION__DISPOSITION_REJECTED:
    case POSTERN__DISPOSITION__DISPOSITION_BOUNCED:
    case POSTERN__DISPOSITION__DISPOSITION_DISCARDED:
        return RANK_ENDED;
    default:
        return RANK_NONE; // also what a newer version may send
    }
}

struct fate merge_fate(const Postern__Event *event, const Postern__EventRecipient *recipient)
{
    Postern__Disposition disposition = recipient->disposition;
    if (disposition == POSTERN__DISPOSITION__DISPOSITION_NONE &&
        (size_t)event->kind < ARRAY_LENGTH(kinds))
        disposition = kinds[event->kind].disposition;
    // A deleted mail stays one that was quarantined, as does one whose release failed; the timeline
    // tells the rest.
    int released = event->kind != POSTERN__KIND__KIND_RELEASED ||
                   disposition == POSTERN__DISPOSITION__DISPOSITION_DELIVERED;
    if (event->kind == POSTERN__KIND__KIND_DELETED || !released)
        disposition = POSTERN__DISPOSITION__DISPOSITION_NONE;
    struct fate fate = {disposition, rank_of(disposition)};
    if (recipient->moved && fate.rank != RANK_NONE)
        fate.rank = RANK_MOVED;
    return fate;
}

enum quarantine_state merge_quarantine(const Postern__Event *event,
                                       const Postern__EventRecipient *recipient)
{
    struct fate fate = merge_fate(event, recipient);
    switch ((int)event->kind) {
    case POSTERN__KIND__KIND_QUARANTINED:
        return QUARANTINE_HELD;
    case POSTERN__KIND__KIND_RELEASED:
        return fate.rank == RANK_ENDED ? QUARANTINE_RELEASED : QUARANTINE_NONE;
    case POSTERN__KIND__KIND_DELETED:
        return QUARANTINE_DELETED;
    default:
        return QUARANTINE_NONE;
    }
}

enum origin merge_origin(const Postern__Event *event)
{
    if (event->kind == POSTERN__KIND__KIND_REFUSED)
        return ORIGIN_REJECTED;
    // What delivery tells of a mail that no ingress gave it, and that is no release, is of its own
    // making.
    if (event->kind != POSTERN__KIND__KIND_DONE)
        return event->ingress > 0 || event->order.len > 0 ? ORIGIN_ACCEPTED : ORIGIN_NOTICE;
    for (size_t i = 0; i < event->n_recipients; i++)
        if (event->recipients[i]->disposition != POSTERN__DISPOSITION__DISPOSITION_REJECTED)
            return ORIGIN_ACCEPTED;
    return ORIGIN_REJECTED;
}
