// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a person should know of the cluster, as this master sees it: each alarm is an event of this
// master when it begins and when it is over.
#include "core/base/base.h"
#include <jansson.h>

enum master_alarm {
    MASTER_ALARM_NODE_LOST,
    MASTER_ALARM_STREAM_GAP, // events are missing in between
    MASTER_ALARM_STREAM_LAG,
    MASTER_ALARM_CLOCK_SKEW,
    MASTER_ALARM_PEER_LOST,
    MASTER_ALARM_DISK_LOW,
    MASTER_ALARM_COUNT,
};

struct alarms;
struct master;

struct alarms *alarms_new(struct master *master);
void alarms_destroy(struct alarms **self);
// Each second: looks at the members, the peer and the disk.
void alarms_second(struct alarms *self);
// Those that stand, as texts: "node-lost: worker-1"; a new reference.
json_t *alarms_json(const struct alarms *self);

// One look, without any source: is it so of `about` ("" for this master)? Raised once it has been
// so for a while, cleared when it is not.
void alarms_see(struct alarms *self, enum master_alarm alarm, const char *about, int is_so,
                const char *detail);
// After all looks of a second: what was not looked at any more (the member left) is over.
void alarms_seen(struct alarms *self);
