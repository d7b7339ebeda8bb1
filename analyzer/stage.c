// SPDX-License-Identifier: Apache-2.0
#include "analyzer/stage.h"

#include "analyzer/jobs.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "core/base/unpack.h"
#include "proto/local.pb-c.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECOND_MS = 1000, NODE_SLOT = 0, SEGMENTS_KEPT = 2, QUIET_MS = 500 };

struct stage_of_analyzer {
    struct loop *loop;
    const char *state;
    const struct slot *slot;
    struct bus *bus;
    struct settings *settings;
    struct engine *engine;
    struct jobs *jobs;
    struct segment_map *maps[SLOT_MOST]; // of the ingresses' journals
    struct timer *second;
};

// -- what the jobs ask for

static int send_to_ingress(void *io, unsigned ingress, enum bus_type type,
                           const ProtobufCMessage *message)
{
    struct stage_of_analyzer *self = io;
    return bus_send(self->bus, STAGE_INGRESS, ingress, type, message);
}

static const void *map_record(void *io, unsigned ingress, struct position where, void **ret_handle)
{
    struct stage_of_analyzer *self = io;
    if (self->maps[ingress] == NULL) {
        char folder[PATH_MAX];
        snprintf(folder, sizeof(folder), "%s/%s/%u/journal", self->state, stage_name(STAGE_INGRESS),
                 ingress);
        self->maps[ingress] = segment_map_new(folder, SEGMENTS_KEPT);
    }
    return segment_map_get(self->maps[ingress], where, ret_handle);
}

static void unmap_record(void *io, unsigned ingress, void *handle)
{
    struct stage_of_analyzer *self = io;
    segment_map_done(self->maps[ingress], handle);
}

static const struct jobs_ops ops = {
    .send = send_to_ingress,
    .map = map_record,
    .unmap = unmap_record,
};

// -- the bus

static void tell_node(struct stage_of_analyzer *self, enum bus_type type,
                      const ProtobufCMessage *message)
{
    // Node asks again by the next ReloadConfig, and the next second brings a status.
    if (bus_send(self->bus, STAGE_NODE, NODE_SLOT, type, message) < 0)
        log_debug("node.untold", "type=%d", (int)type);
}

static void read_settings(struct stage_of_analyzer *self)
{
    char error[512];
    struct settings *settings = settings_read(self->state, error, sizeof(error));
    Postern__StageReloaded reloaded = POSTERN__STAGE_RELOADED__INIT;
    reloaded.stage = STAGE_ANALYZER;
    reloaded.slot = self->slot->number;
    if (settings != NULL) {
        settings_release(&self->settings);
        self->settings = settings;
        engine_set_settings(self->engine, settings);
        log_info("settings.read", "revision=%s", settings->revision);
    } else {
        log_error("settings.refused", "reason=\"%s\"", error);
        reloaded.error = (ProtobufCBinaryData){strlen(error), (uint8_t *)error};
    }
    const char *revision = self->settings->revision;
    reloaded.revision = (ProtobufCBinaryData){strlen(revision), (uint8_t *)revision};
    tell_node(self, BUS_RELOADED, &reloaded.base);
}

static void receive(void *context, enum bus_type type, const uint8_t *data, size_t size)
{
    struct stage_of_analyzer *self = context;
    if (type == BUS_RELOAD) {
        read_settings(self);
    } else if (type == BUS_HELLO) {
        Postern__Hello *hello = postern__hello__unpack(&unpack_allocator, size, data);
        if (hello != NULL)
            jobs_hello(self->jobs, hello);
        postern__hello__free_unpacked(hello, NULL);
    } else if (type == BUS_ANALYZER_JOB) {
        Postern__AnalyzerJob *job = postern__analyzer_job__unpack(&unpack_allocator, size, data);
        if (job != NULL)
            jobs_take(self->jobs, job);
        postern__analyzer_job__free_unpacked(job, NULL);
    } else {
        log_warning("bus.unexpected", "type=%d", (int)type);
    }
}

static void peer_seen(void *context, enum stage stage, unsigned slot, int present)
{
    struct stage_of_analyzer *self = context;
    if (stage == STAGE_INGRESS && present)
        jobs_connected(self->jobs, slot);
}

// -- time

// A journal whose ingress is gone is not kept mapped.
static void drop_maps(struct stage_of_analyzer *self)
{
    for (unsigned slot = 0; slot < SLOT_MOST; slot++)
        if (self->maps[slot] != NULL && jobs_held(self->jobs) == 0 &&
            !bus_present(self->bus, STAGE_INGRESS, slot))
            segment_map_destroy(&self->maps[slot]);
}

static void on_second(void *context)
{
    struct stage_of_analyzer *self = context;
    timer_start(self->second, SECOND_MS);
    drop_maps(self);
    metric_set(metric("analyzer_jobs", ""), (int64_t)jobs_held(self->jobs));
    Postern__StageStatus status = POSTERN__STAGE_STATUS__INIT;
    status.stage = STAGE_ANALYZER;
    status.slot = self->slot->number;
    status.incarnation = self->slot->incarnation;
    status.pid = (uint64_t)getpid();
    char *json = metrics_json();
    status.json = (ProtobufCBinaryData){strlen(json), (uint8_t *)json};
    tell_node(self, BUS_STATUS, &status.base);
    free(json);
}

// -- life

struct stage_of_analyzer *stage_new(struct loop *loop, const char *state, const char *run,
                                    const char *hostname, const struct slot *slot,
                                    struct settings *settings)
{
    struct stage_of_analyzer *self = allocate(sizeof(*self));
    *self = (struct stage_of_analyzer){.loop = loop, .state = state, .slot = slot};
    self->settings = settings_retain(settings);
    self->engine = engine_new(loop, settings);
    self->jobs = jobs_new(loop, self->engine, &ops, self, slot, state, hostname);
    self->bus = bus_new(loop, run, STAGE_ANALYZER, slot->number, receive, self);
    if (self->bus == NULL || bus_watch(self->bus, STAGE_INGRESS, peer_seen) < 0 ||
        bus_watch(self->bus, STAGE_NODE, peer_seen) < 0) {
        int saved = errno;
        stage_destroy(&self);
        errno = saved;
        return NULL;
    }
    self->second = timer_new(loop, on_second, self);
    timer_start(self->second, SECOND_MS);
    return self;
}

void stage_destroy(struct stage_of_analyzer **self_pointer)
{
    struct stage_of_analyzer *self = *self_pointer;
    if (self == NULL)
        return;
    timer_destroy(&self->second);
    engine_destroy(&self->engine);
    jobs_destroy(&self->jobs);
    for (unsigned i = 0; i < SLOT_MOST; i++)
        segment_map_destroy(&self->maps[i]);
    bus_destroy(&self->bus);
    settings_release(&self->settings);
    free(self);
    *self_pointer = NULL;
}

void stage_drain(struct stage_of_analyzer *self)
{
    jobs_drain(self->jobs);
}

int stage_idle(const struct stage_of_analyzer *self)
{
    return jobs_idle(self->jobs, QUIET_MS);
}

size_t stage_held(const struct stage_of_analyzer *self)
{
    return jobs_held(self->jobs);
}
