// SPDX-License-Identifier: Apache-2.0
#include "node/watch.h"

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/metrics.h"

enum {
    SINGLE_COPY_MS = 60000,
    CERTIFICATE_S = 14 * 24 * 3600,
    OUTBOX_PERCENT = 80,
};

static void see_lags(struct watch_of_node *self, const struct producer *producer, int64_t now_ms)
{
    for (unsigned i = 0; i < producer->master_count; i++) {
        const struct producer_master *master = &producer->masters[i];
        uint64_t have = master->epoch == producer->epoch ? master->upto : 0;
        self->lag_ms[i] = lag_look(&self->lags[i], producer->epoch, producer->last, have, now_ms);
    }
}

static void see_rates(struct watch_of_node *self, const struct stages *stages)
{
    static const struct {
        enum stage stage;
        const char *metric;
    } counters[RATE_COUNT] = {
        [RATE_ACCEPTED] = {STAGE_INGRESS, "messages_accepted_total"},
        [RATE_REJECTED] = {STAGE_INGRESS, "messages_rejected_total"},
        [RATE_DELIVERED] = {STAGE_DELIVERY, "delivery_recipients_total{disposition=\"delivered\"}"},
        [RATE_QUARANTINED] = {STAGE_DELIVERY,
                              "delivery_recipients_total{disposition=\"quarantined\"}"},
    };
    int64_t now[RATE_COUNT];
    for (int i = 0; i < RATE_COUNT; i++)
        now[i] = stages_sum(stages, counters[i].stage, counters[i].metric);
    rates_second(&self->rates, now);
}

int watch_is_single_copy(const struct watch_of_node *self, unsigned masters)
{
    int behind = 0, level = 0;
    for (unsigned i = 0; i < masters; i++) {
        behind |= self->lag_ms[i] >= SINGLE_COPY_MS;
        level |= self->lag_ms[i] < SINGLE_COPY_MS;
    }
    return behind && level;
}

static int certificate_ends(const struct stages *stages)
{
    json_int_t expires_s = stages_most(stages, STAGE_INGRESS, "certificate_expires_s");
    return expires_s > 0 && expires_s - CERTIFICATE_S < clock_wall_ms() / 1000;
}

static int nobody_listens(const struct status_sources *from)
{
    for (unsigned i = 0; i < uplink_count(from->uplink); i++)
        if (uplink_heard(from->uplink, i))
            return 0;
    return status_lag(from) > 0;
}

void watch_second(struct watch_of_node *self, const struct status_sources *from, int64_t now_ms,
                  alarm_fn *fn, void *context)
{
    const struct producer *producer = outbox_producer(from->outbox);
    const struct stages *stages = from->stages;
    see_lags(self, producer, now_ms);
    see_rates(self, stages);
    const int is_so[ALARM_COUNT] = {
        [ALARM_ANALYSIS_WAITS] =
            stages_most(stages, STAGE_INGRESS, "analysis_wait_ms") > ALARM_ANALYSIS_MS,
        [ALARM_STAGE_MISSING] = supervise_missing(from->supervise),
        [ALARM_DISK_LOW] = file_free_percent(from->conf->state) < ALARM_DISK_PERCENT,
        [ALARM_EVENTS_WAIT] = nobody_listens(from),
        [ALARM_QUARANTINE_FULL] = metric_value(metric("quarantine_full", "")) > 0,
        [ALARM_SINGLE_COPY] = watch_is_single_copy(self, producer->master_count),
        [ALARM_OUTBOX_FULL] = outbox_percent(from->outbox) >= OUTBOX_PERCENT,
        [ALARM_REDIS_AWAY] = stages_most(stages, STAGE_INGRESS, "degraded{what=\"redis\"}") > 0,
        [ALARM_CERTIFICATE] = certificate_ends(stages),
    };
    for (int i = 0; i < ALARM_COUNT; i++)
        alarms_see(&self->alarms, (enum alarm)i, is_so[i], fn, context);
}
