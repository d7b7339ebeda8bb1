// SPDX-License-Identifier: Apache-2.0
#include "node/alarms.h"

static const struct {
    const char *name, *detail;
    unsigned after_s;
} all[ALARM_COUNT] = {
    [ALARM_ANALYSIS_WAITS] = {"analysis-waits",
                              "accepted mail has waited for a verdict for over a minute", 0},
    [ALARM_STAGE_MISSING] = {"stage-missing", "fewer processes live than the configuration wants",
                             15},
    [ALARM_DISK_LOW] = {"disk-low", "less than a tenth of the file system is free", 10},
    [ALARM_EVENTS_WAIT] = {"events-wait", "no master has taken events for five minutes", 300},
    [ALARM_SINGLE_COPY] = {"single-copy",
                           "one of the masters has taken no events for a minute: the other has the "
                           "only copy beside this worker's",
                           0},
    [ALARM_OUTBOX_FULL] = {"outbox-full",
                           "the outbox has four fifths of the disk that it may take; then the "
                           "oldest events are cut",
                           0},
    [ALARM_REDIS_AWAY] = {"redis-away", "Redis does not answer; ingresses go on alone", 5},
    [ALARM_CERTIFICATE] = {"certificate-expiry",
                           "the SMTP server's certificate ends within 14 days", 0},
    [ALARM_QUARANTINE_FULL] = {"quarantine-full",
                               "quarantined mail that no master holds fills its share of the disk",
                               0},
};

const char *alarm_name(enum alarm alarm)
{
    return all[alarm].name;
}

void alarms_see(struct alarms *self, enum alarm alarm, int is_so, alarm_fn *fn, void *context)
{
    if (!is_so) {
        self->since_s[alarm] = 0;
        if (self->raised[alarm])
            fn(context, all[alarm].name, all[alarm].detail, 1);
        self->raised[alarm] = 0;
        return;
    }
    if (self->raised[alarm] || self->since_s[alarm]++ < all[alarm].after_s)
        return;
    self->raised[alarm] = 1;
    fn(context, all[alarm].name, all[alarm].detail, 0);
}
