// SPDX-License-Identifier: Apache-2.0
#pragma once

// What a person should know of this worker: each alarm is an event when it begins and when it is
// over. No I/O inside.
#include "core/base/base.h"

enum alarm {
    ALARM_ANALYSIS_WAITS, // accepted mail waits for a verdict
    ALARM_STAGE_MISSING,  // fewer processes live than are wanted
    ALARM_DISK_LOW,
    ALARM_EVENTS_WAIT, // no master has taken events for a while
    ALARM_SINGLE_COPY, // one master has taken them, the other has not
    ALARM_OUTBOX_FULL, // nearly: then events are cut
    ALARM_REDIS_AWAY,
    ALARM_CERTIFICATE, // the SMTP server's ends soon
    ALARM_QUARANTINE_FULL, // bodies that no master holds fill their share of the disk
    ALARM_COUNT,
};

enum { ALARM_ANALYSIS_MS = 60 * 1000, ALARM_DISK_PERCENT = 10 };

// `event` says what is so, or that it is over (clear).
typedef void alarm_fn(void *context, const char *name, const char *detail, int clear);

struct alarms {
    unsigned since_s[ALARM_COUNT]; // how long it has been so
    int raised[ALARM_COUNT];
};

const char *alarm_name(enum alarm alarm);
// Each second: is it so? Raised once it has been so for a while, cleared when it is not.
void alarms_see(struct alarms *self, enum alarm alarm, int is_so, alarm_fn *fn, void *context);
