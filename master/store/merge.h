// SPDX-License-Identifier: Apache-2.0
#pragma once

// How events about one recipient are merged, in whatever order they come: the higher rank wins, of
// equal ranks the later. So what ended a mail beats what only moved or deferred it.
#include "proto/event.pb-c.h"

enum rank {
    RANK_NONE,        // says nothing of the disposition
    RANK_MOVED,       // ingress gave custody on; what became of it another event tells
    RANK_DEFERRED,    // not yet a disposition
    RANK_QUARANTINED, // an end, but a release may follow
    RANK_ENDED,
};

enum quarantine_state { QUARANTINE_NONE, QUARANTINE_HELD, QUARANTINE_RELEASED, QUARANTINE_DELETED };

struct fate {
    Postern__Disposition disposition;
    enum rank rank;
};

struct fate merge_fate(const Postern__Event *event, const Postern__EventRecipient *recipient);
enum quarantine_state merge_quarantine(const Postern__Event *event,
                                       const Postern__EventRecipient *recipient);
// Did the mail that the event tells of get past 250?
int merge_accepted(const Postern__Event *event);

const char *disposition_name(Postern__Disposition disposition); // "" for none
const char *kind_name(Postern__Kind kind);
