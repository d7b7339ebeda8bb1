// SPDX-License-Identifier: Apache-2.0
#include "core/bus/bus.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/bus/frame.h"
#include "core/bus/link.h"
#include "core/bus/peer.h"
#include "core/bus/roster.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { STAGES = STAGE_NODE + 1, HIGH_WATER = 128, FOLDER_MODE = 0750 };
static const char scheme[] = "ipc://";

struct bus {
    struct loop *loop;
    char *run;
    enum stage stage;
    bus_receive_fn *fn;
    void *context;
    struct link *bound[SLOT_MOST]; // PULL, the own slot's and the adopted ones'
    struct roster *roster;
    bus_peer_fn *watchers[STAGES];
    struct peer *peers[STAGES][SLOT_MOST];
    uint64_t gathering[STAGES]; // a bit per peer that has records for the end of the turn
    struct hook *turn_end;
    struct timer *late; // for records sent after this turn's end was already called
    uint64_t malformed;
};

static void complain(struct bus *self)
{
    self->malformed++;
    if ((self->malformed & (self->malformed - 1)) == 0) // a peer can send any number of them
        log_warning("frame-malformed", "count=%llu", (unsigned long long)self->malformed);
}

static void on_frame(void *context, zmq_msg_t *parts, size_t count)
{
    struct bus *self = context;
    struct span frame = {zmq_msg_data(&parts[0]), zmq_msg_size(&parts[0])};
    struct frame_record record;
    enum frame_result result = count == 1 ? frame_next(&frame, &record) : FRAME_MALFORMED;
    while (result == FRAME_RECORD) {
        if (record.type >= BUS_HELLO && record.type <= BUS_TYPE_LAST)
            self->fn(self->context, (enum bus_type)record.type, record.data, record.size);
        result = frame_next(&frame, &record);
    }
    if (result == FRAME_MALFORMED)
        complain(self);
}

static void on_turn_end(void *context)
{
    struct bus *self = context;
    for (int stage = STAGE_INGRESS; stage < STAGES; stage++) {
        for (; self->gathering[stage]; self->gathering[stage] &= self->gathering[stage] - 1)
            peer_flush(self->peers[stage][__builtin_ctzll(self->gathering[stage])]);
    }
    timer_stop(self->late);
}

static void on_late(void *context)
{
    (void)context; // it only keeps the loop from waiting: the end of its turn sends
}

static void forget_peer(struct bus *self, enum stage stage, unsigned slot)
{
    self->gathering[stage] &= ~(1ULL << slot);
    int was_connected = bus_present(self, stage, slot);
    peer_destroy(&self->peers[stage][slot]);
    if (was_connected)
        self->watchers[stage](self->context, stage, slot, 0);
}

static void on_roster(void *context, enum stage stage, unsigned slot, int present)
{
    struct bus *self = context;
    struct peer **peer = &self->peers[stage][slot];
    if (!present)
        forget_peer(self, stage, slot);
    else if (*peer)
        peer_renew(*peer);
    else
        *peer = peer_new(self->loop, self->run, stage, slot, self->watchers[stage], self->context);
    if (present && !*peer)
        log_error("pipe-failed", "stage=%s slot=%u error=%s", stage_name(stage), slot,
                  strerror(errno));
}

// run/<stage>/<slot> as an endpoint. Returns its path within `ret`, or NULL.
static const char *endpoint_of(const struct bus *self, unsigned slot, char *ret, size_t size)
{
    int length =
        snprintf(ret, size, "%s%s/%s/%u", scheme, self->run, stage_name(self->stage), slot);
    if (length < (int)size)
        return ret + strlen(scheme);
    errno = ENAMETOOLONG;
    return NULL;
}

int bus_bind(struct bus *self, unsigned slot)
{
    char endpoint[sizeof(struct sockaddr_un) + sizeof(scheme)];
    assert(slot < SLOT_MOST);
    if (self->bound[slot]) {
        errno = EEXIST;
        return -1;
    }
    if (!endpoint_of(self, slot, endpoint, sizeof(endpoint)))
        return -1;
    struct socket_options options = {.kind = SOCKET_PIPE_IN,
                                     .bind = 1,
                                     .endpoint = endpoint,
                                     .message_most = FRAME_MOST,
                                     .high_water = HIGH_WATER};
    struct link_handlers handlers = {.received = on_frame, .context = self};
    self->bound[slot] = link_new(self->loop, &options, &handlers);
    return self->bound[slot] ? 0 : -1;
}

void bus_unbind(struct bus *self, unsigned slot)
{
    char endpoint[sizeof(struct sockaddr_un) + sizeof(scheme)];
    if (slot >= SLOT_MOST || !self->bound[slot])
        return;
    // The name goes while the lock is still ours: the next owner's must not be taken away.
    const char *path = endpoint_of(self, slot, endpoint, sizeof(endpoint));
    if (path)
        unlink(path);
    link_destroy(&self->bound[slot]);
}

static int prepare(struct bus *self)
{
    char folder[sizeof(struct sockaddr_un)];
    int length = snprintf(folder, sizeof(folder), "%s/%s", self->run, stage_name(self->stage));
    if (length >= (int)sizeof(folder)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (file_make_folders(folder, FOLDER_MODE) < 0)
        return -1;
    self->roster = roster_new(self->loop, self->run, on_roster, self);
    return self->roster ? 0 : -1;
}

struct bus *bus_new(struct loop *loop, const char *run, enum stage stage, unsigned slot,
                    bus_receive_fn *fn, void *context)
{
    struct bus *self = allocate(sizeof(*self));
    self->loop = loop;
    self->run = duplicate(run);
    self->stage = stage;
    self->fn = fn;
    self->context = context;
    self->turn_end = hook_new(loop, on_turn_end, self);
    self->late = timer_new(loop, on_late, self);
    if (prepare(self) < 0 || bus_bind(self, slot) < 0) {
        int failure = errno;
        bus_destroy(&self);
        errno = failure;
    }
    return self;
}

void bus_destroy(struct bus **self)
{
    struct bus *bus = *self;
    if (!bus)
        return;
    roster_destroy(&bus->roster);
    for (int stage = STAGE_INGRESS; stage < STAGES; stage++)
        for (unsigned slot = 0; slot < SLOT_MOST; slot++)
            peer_destroy(&bus->peers[stage][slot]);
    for (unsigned slot = 0; slot < SLOT_MOST; slot++)
        bus_unbind(bus, slot);
    timer_destroy(&bus->late);
    hook_destroy(&bus->turn_end);
    free(bus->run);
    free(bus);
    *self = NULL;
}

int bus_watch(struct bus *self, enum stage stage, bus_peer_fn *fn)
{
    self->watchers[stage] = fn;
    return roster_watch(self->roster, stage);
}

int bus_send(struct bus *self, enum stage stage, unsigned slot, enum bus_type type,
             const ProtobufCMessage *message)
{
    assert(stage >= STAGE_INGRESS && stage <= STAGE_NODE);
    struct peer *peer = slot < SLOT_MOST ? self->peers[stage][slot] : NULL;
    if (!peer) {
        errno = EAGAIN;
        return -1;
    }
    if (peer_add(peer, type, message) < 0)
        return -1;
    self->gathering[stage] |= 1ULL << slot;
    if (!timer_active(self->late))
        timer_start(self->late, 0);
    return 0;
}

int bus_present(const struct bus *self, enum stage stage, unsigned slot)
{
    const struct peer *peer = slot < SLOT_MOST ? self->peers[stage][slot] : NULL;
    return peer && peer_connected(peer);
}
