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

// Where the mail comes from. Of several events about one mail the highest counts.
enum origin {
    ORIGIN_NOTICE,   // a delivery wrote it itself: a notification about another mail
    ORIGIN_REJECTED, // it never got its 250
    ORIGIN_ACCEPTED,
};
enum origin merge_origin(const Postern__Event *event);

const char *disposition_name(Postern__Disposition disposition); // "" for none
int disposition_number(const char *name);                       // -1: there is no such
const char *kind_name(Postern__Kind kind);
