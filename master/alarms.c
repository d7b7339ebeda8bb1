// SPDX-License-Identifier: Apache-2.0
#include "master/alarms.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "core/base/table.h"
#include "master/master.h"
#include "master/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    GAP_S = 30,
    LAG_MS = 60000,
    SKEW_MS = 30000,
    PEER_S = 10,
    DISK_S = 10,
    AWAITED_S = 60, // after a start, for who was here before
    DISK_PERCENT = 10,
};

static const struct {
    const char *name;
    unsigned after_s;
} all[MASTER_ALARM_COUNT] = {
    [MASTER_ALARM_NODE_LOST] = {"node-lost", 0},
    [MASTER_ALARM_STREAM_GAP] = {"stream-gap", GAP_S},
    [MASTER_ALARM_STREAM_LAG] = {"stream-lag", 0},
    [MASTER_ALARM_CLOCK_SKEW] = {"clock-skew", 2},
    [MASTER_ALARM_PEER_LOST] = {"peer-lost", PEER_S},
    [MASTER_ALARM_DISK_LOW] = {"disk-low", DISK_S},
};

// One alarm about one node. It exists only while something is so.
struct state {
    enum master_alarm alarm;
    char about[64];
    unsigned since_s;
    int raised, seen;
};

struct alarms {
    struct master *master;
    struct table *states; // alarm, then whom it is about
    unsigned standing[MASTER_ALARM_COUNT];
    unsigned seconds; // since the start
};

struct alarms *alarms_new(struct master *master)
{
    struct alarms *self = allocate(sizeof(*self));
    self->master = master;
    self->states = table_new();
    return self;
}

static int free_state(const void *key, size_t size, void *value, void *context)
{
    (void)key, (void)size, (void)context;
    free(value);
    return 0;
}

void alarms_destroy(struct alarms **self)
{
    if (!*self)
        return;
    (void)table_each((*self)->states, free_state, NULL);
    table_destroy(&(*self)->states);
    free(*self);
    *self = NULL;
}

// -- telling

static void tell(struct alarms *self, const struct state *state, const char *detail, int clear)
{
    const char *name = all[state->alarm].name;
    char text[400];
    Postern__Event event = POSTERN__EVENT__INIT;
    snprintf(text, sizeof(text), "%s%s%s", state->about, *state->about && *detail ? ": " : "",
             detail);
    log_write(clear ? LOG_INFO : LOG_ERROR, "alarm", "%s=%s detail=\"%s\"",
              clear ? "cleared" : "raised", name, text);
    event.kind = POSTERN__KIND__KIND_NODE;
    event.time_ms = clock_wall_ms();
    event.alarm = (ProtobufCBinaryData){strlen(name), (uint8_t *)(uintptr_t)name};
    event.detail = (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
    event.clear = clear;
    // Without the event there are still the log and the status.
    if (writer_note(self->master->writer, self->master->conf->name, &event) < 0)
        log_warning("alarm.untold", "name=%s", name);
}

static size_t name_of(enum master_alarm alarm, const char *about, char ret[80])
{
    return (size_t)snprintf(ret, 80, "%d %.63s", (int)alarm, about);
}

static void end(struct alarms *self, struct state *state, const char *detail)
{
    char name[80];
    size_t size = name_of(state->alarm, state->about, name);
    if (state->raised) {
        self->standing[state->alarm]--;
        tell(self, state, detail, 1);
    }
    (void)table_remove(self->states, name, size);
    free(state);
}

void alarms_see(struct alarms *self, enum master_alarm alarm, const char *about, int is_so,
                const char *detail)
{
    char name[80];
    size_t size = name_of(alarm, about, name);
    struct state *state = table_get(self->states, name, size);
    if (!is_so) {
        if (state)
            end(self, state, "it is over");
        return;
    }
    if (!state) {
        state = allocate(sizeof(*state));
        state->alarm = alarm;
        snprintf(state->about, sizeof(state->about), "%s", about);
        (void)table_put(self->states, name, size, state);
    }
    state->seen = 1;
    if (state->raised || state->since_s++ < all[alarm].after_s)
        return;
    state->raised = 1;
    self->standing[alarm]++;
    tell(self, state, detail, 0);
}

static int end_unseen(const void *key, size_t size, void *value, void *context)
{
    (void)key, (void)size;
    struct state *state = value;
    if (!state->seen)
        end(context, state, "it left");
    else
        state->seen = 0;
    return 0;
}

void alarms_seen(struct alarms *self)
{
    (void)table_each(self->states, end_unseen, self);
    for (int i = 0; i < MASTER_ALARM_COUNT; i++) {
        char label[48];
        snprintf(label, sizeof(label), "name=\"%s\"", all[i].name);
        metric_set(metric("alarm_raised", label), self->standing[i]);
    }
}

static int add_text(const void *key, size_t size, void *value, void *context)
{
    (void)key, (void)size;
    const struct state *state = value;
    if (state->raised)
        json_array_append_new(context, json_sprintf("%s%s%s", all[state->alarm].name,
                                                    *state->about ? ": " : "", state->about));
    return 0;
}

json_t *alarms_json(const struct alarms *self)
{
    json_t *list = json_array();
    (void)table_each(self->states, add_text, list);
    return list;
}

// -- looking

static void look_at_clock(struct alarms *self, const char *node, int64_t ahead_ms)
{
    char detail[64];
    snprintf(detail, sizeof(detail), "its clock is %lld s %s ours",
             (long long)llabs(ahead_ms) / 1000, ahead_ms > 0 ? "before" : "behind");
    alarms_see(self, MASTER_ALARM_CLOCK_SKEW, node, llabs(ahead_ms) > SKEW_MS, detail);
}

static void look_at_worker(struct alarms *self, const struct member *member, int64_t now_ms)
{
    char detail[128];
    const struct tracker *tracker = &member->tracker;
    int lost = strcmp(member_state(member, now_ms), "lost") == 0;
    int awaited = member->heard_ms == 0 && tracker->epoch && self->seconds > AWAITED_S;
    alarms_see(self, MASTER_ALARM_NODE_LOST, member->name, lost || awaited,
               lost ? "silent for ten seconds" : "not heard of since this master started");
    snprintf(detail, sizeof(detail), "its stream waits for event %llu",
             (unsigned long long)tracker->next);
    alarms_see(self, MASTER_ALARM_STREAM_GAP, member->name, tracker->held_count > 0, detail);
    snprintf(detail, sizeof(detail), "%llu events behind for over a minute",
             (unsigned long long)tracker_lag(tracker));
    alarms_see(self, MASTER_ALARM_STREAM_LAG, member->name, member->lag_ms >= LAG_MS, detail);
    look_at_clock(self, member->name, lost ? 0 : member->clock_ahead_ms);
}

static void look_at_peer(struct alarms *self)
{
    const struct peer *peer = self->master->peer;
    int connected = peer_connected(peer);
    if (!peer_known(peer))
        return;
    alarms_see(self, MASTER_ALARM_PEER_LOST, "", !connected, "the other master does not answer");
    look_at_clock(self, peer_name(peer), connected ? peer_clock_ahead_ms(peer) : 0);
}

void alarms_second(struct alarms *self)
{
    const struct master *master = self->master;
    int64_t now_ms = loop_now_ms(master->loop);
    self->seconds++;
    for (size_t i = 0; i < master->members.count; i++)
        if (master->members.list[i]->role == ROLE_WORKER)
            look_at_worker(self, master->members.list[i], now_ms);
    look_at_peer(self);
    alarms_see(self, MASTER_ALARM_DISK_LOW, "",
               file_free_percent(master->conf->state) < DISK_PERCENT,
               "less than a tenth of the file system is free");
    alarms_seen(self);
}
