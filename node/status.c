// SPDX-License-Identifier: Apache-2.0
#include "node/status.h"
#include "node/watch.h"

#include "core/base/file.h"
#include "core/base/metrics.h"
#include "core/net/exposition.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *process_row(const char *name, unsigned slot, uint64_t pid)
{
    return json_pack("{s:s, s:i, s:I}", "name", name, "slot", (int)slot, "pid", (json_int_t)pid);
}

static json_t *processes(const struct status_sources *from)
{
    json_t *list = json_array();
    json_array_append_new(list, process_row("node", 0, (uint64_t)getpid()));
    for (unsigned stage = STAGE_INGRESS; stage < STAGES_END; stage++)
        for (unsigned slot = 0; slot < SLOT_MOST; slot++) {
            uint64_t pid = supervise_pid(from->supervise, (enum stage)stage, slot);
            if (pid)
                json_array_append_new(list, process_row(stage_name((enum stage)stage), slot, pid));
        }
    return list;
}

static uint64_t lag_of(const struct producer *producer, unsigned master)
{
    const struct producer_master *known = &producer->masters[master];
    return producer->last - (known->epoch == producer->epoch ? known->upto : 0);
}

uint64_t status_lag(const struct status_sources *from)
{
    const struct producer *producer = outbox_producer(from->outbox);
    uint64_t most = 0;
    for (unsigned i = 0; i < producer->master_count; i++)
        most = lag_of(producer, i) > most ? lag_of(producer, i) : most;
    return most;
}

static json_t *lags(const struct status_sources *from)
{
    const struct producer *producer = outbox_producer(from->outbox);
    json_t *all = json_object();
    for (unsigned i = 0; i < producer->master_count; i++)
        json_object_set_new(all, from->conf->masters[i].name,
                            json_integer((json_int_t)lag_of(producer, i)));
    return all;
}

// For how many seconds each master has been behind.
static json_t *lag_seconds(const struct status_sources *from)
{
    json_t *all = json_object();
    for (unsigned i = 0; i < from->conf->master_count; i++)
        json_object_set_new(all, from->conf->masters[i].name,
                            json_real((double)from->watch->lag_ms[i] / 1000));
    return all;
}

static json_t *rates(const struct rates *rates)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "accepted",
                     (json_int_t)rates_minute(rates, RATE_ACCEPTED), "rejected",
                     (json_int_t)rates_minute(rates, RATE_REJECTED), "delivered",
                     (json_int_t)rates_minute(rates, RATE_DELIVERED), "quarantined",
                     (json_int_t)rates_minute(rates, RATE_QUARANTINED));
}

static json_t *raised(const struct alarms *alarms)
{
    json_t *list = json_array();
    for (int i = 0; i < ALARM_COUNT; i++)
        if (alarms->raised[i])
            json_array_append_new(list, json_string(alarm_name((enum alarm)i)));
    return list;
}

// What the stages do without, by their own word.
static json_t *degraded(const struct stages *stages)
{
    json_t *list = json_array();
    if (stages_most(stages, STAGE_INGRESS, "degraded{what=\"redis\"}") > 0)
        json_array_append_new(list, json_string("redis"));
    return list;
}

// Redis as the ingresses find it, the worst of what they say.
static json_t *redis(const struct stages *stages)
{
    json_int_t away = stages_most(stages, STAGE_INGRESS, "degraded{what=\"redis\"}");
    json_int_t up = stages_most(stages, STAGE_INGRESS, "redis_up");
    json_int_t took_us = stages_most(stages, STAGE_INGRESS, "redis_round_trip_us");
    return json_pack("{s:s, s:f}", "role",
                     away > 0 ? "away"
                     : up > 0 ? "primary"
                              : "none",
                     "round_trip_ms", (double)took_us / 1000);
}

static json_int_t syncs(const struct status_sources *from)
{
    return stages_sum(from->stages, STAGE_INGRESS, "journal_syncs_total") +
           stages_sum(from->stages, STAGE_DELIVERY, "journal_syncs_total") +
           (json_int_t)journal_syncs(outbox_journal(from->outbox));
}

char *status_json(const struct status_sources *from)
{
    const struct stages *stages = from->stages;
    const struct producer *producer = outbox_producer(from->outbox);
    json_t *status = json_pack(
        "{s:o, s:{s:I, s:I}, s:{s:I, s:I}, s:{s:i}, s:I, s:o, s:{s:I, s:I, s:I}, s:s, s:o, s:o}",
        "processes", processes(from), "spool", "messages",
        stages_sum(stages, STAGE_INGRESS, "custody"), "analysis_wait_ms",
        stages_most(stages, STAGE_INGRESS, "analysis_wait_ms"), "queue", "messages",
        stages_sum(stages, STAGE_DELIVERY, "queue"), "oldest_ms",
        stages_most(stages, STAGE_DELIVERY, "queue_oldest_ms"), "disk", "free_percent",
        (int)file_free_percent(from->conf->state), "syncs", syncs(from), "lag_events", lags(from),
        "outbox", "first_kept", (json_int_t)producer_first_kept(producer), "last",
        (json_int_t)producer->last, "bytes",
        (json_int_t)journal_bytes(outbox_journal(from->outbox)), "revision", from->revision,
        "alarms", raised(&from->watch->alarms), "degraded", degraded(stages));
    json_object_set_new(status, "redis", redis(stages));
    json_object_set_new(status, "lag_seconds", lag_seconds(from));
    json_object_set_new(status, "mail_per_minute", rates(&from->watch->rates));
    const char *unready = status_unready(from);
    if (unready)
        json_object_set_new(status, "unready", json_string(unready));
    char *text = json_dumps(status, JSON_COMPACT);
    json_decref(status);
    return text ? text : duplicate("{}");
}

static void add_stages(struct exposition *exposition, const struct stages *stages)
{
    char labels[64];
    for (unsigned stage = STAGE_INGRESS; stage < STAGES_END; stage++)
        for (unsigned slot = 0; slot < SLOT_MOST; slot++) {
            if (!stages->told[stage][slot].metrics)
                continue;
            snprintf(labels, sizeof(labels), "stage=\"%s\",slot=\"%u\"",
                     stage_name((enum stage)stage), slot);
            exposition_add(exposition, stages->told[stage][slot].metrics, labels);
        }
}

static json_t *own_metrics(const struct status_sources *from)
{
    char *text = metrics_json(), name[96];
    json_t *own = json_loads(text, 0, NULL);
    free(text);
    json_object_set_new(own, "build_info{version=\"" POSTERN_VERSION "\"}", json_integer(1));
    json_object_set_new(own, "outbox_events",
                        json_integer((json_int_t)outbox_producer(from->outbox)->last));
    json_object_set_new(own, "outbox_lag_events", json_integer((json_int_t)status_lag(from)));
    json_object_set_new(own, "journal_syncs_total",
                        json_integer((json_int_t)journal_syncs(outbox_journal(from->outbox))));
    for (int i = 0; i < ALARM_COUNT; i++) {
        snprintf(name, sizeof(name), "alarm_raised{name=\"%s\"}", alarm_name((enum alarm)i));
        json_object_set_new(own, name, json_integer(from->watch->alarms.raised[i]));
    }
    for (unsigned i = 0; i < from->conf->master_count; i++) {
        snprintf(name, sizeof(name), "outbox_lag_ms{master=\"%.63s\"}",
                 from->conf->masters[i].name);
        json_object_set_new(own, name, json_integer((json_int_t)from->watch->lag_ms[i]));
    }
    json_object_set_new(own, "disk_free_percent",
                        json_integer(file_free_percent(from->conf->state)));
    for (unsigned stage = STAGE_INGRESS; stage < STAGES_END; stage++) {
        snprintf(name, sizeof(name), "stages_up{of=\"%s\"}", stage_name((enum stage)stage));
        json_object_set_new(own, name, json_integer(stages_count(from->stages, (enum stage)stage)));
    }
    return own;
}

void status_metrics(const struct status_sources *from, struct buffer *out)
{
    struct exposition *exposition = exposition_new();
    json_t *own = own_metrics(from);
    exposition_add(exposition, own, "stage=\"node\",slot=\"0\"");
    add_stages(exposition, from->stages);
    exposition_write(exposition, out);
    json_decref(own);
    exposition_destroy(&exposition);
}

const char *status_unready(const struct status_sources *from)
{
    if (from->unconfigured)
        return "no configuration yet";
    if (!stages_count(from->stages, STAGE_INGRESS))
        return "no ingress lives";
    if (!stages_count(from->stages, STAGE_ANALYZER))
        return "no analyzer lives";
    if (!stages_count(from->stages, STAGE_DELIVERY))
        return "no delivery lives";
    return NULL;
}
