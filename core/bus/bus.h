// SPDX-License-Identifier: Apache-2.0
#pragma once

// The pipes between the processes of one worker: each instance binds a PULL at run/<stage>/<slot>
// and has its own PUSH (IMMEDIATE=1) to every peer it watches. Finds peers by inotify. Says nothing
// of who is alive: the locks and the Hello/Welcome of the layer above do. Messages to one peer
// within a turn of the loop leave as one frame. Frame: a run of { type u8, length u24
// little-endian, packed protobuf }.
#include "core/base/slot.h"
#include <protobuf-c/protobuf-c.h>

struct loop;
struct bus;

enum bus_type {
    BUS_HELLO = 1,   // Hello
    BUS_WELCOME = 2, // Welcome
    BUS_ANALYZER_JOB = 3,
    BUS_ANALYZER_BEGUN = 4,
    BUS_VERDICT = 5,
    BUS_DELIVERY_JOB = 6,
    BUS_OUTCOME = 7,
    BUS_OUTCOME_ACK = 8,
    BUS_TAKING = 9,  // stage → node
    BUS_TAKEN = 10,  // node → stage
    BUS_STATUS = 11, // StageStatus
    BUS_RELOAD = 12, // ReloadConfig
    BUS_RELOADED = 13,
    BUS_COMMAND = 14,         // StageCommand
    BUS_REPLY = 15,           // StageReply
    BUS_DELIVERY_BEGUN = 16,  // DeliveryBegun
    BUS_QUARANTINE_ROOM = 17, // QuarantineRoom: node → ingress
};
enum { BUS_TYPE_LAST = BUS_QUARANTINE_ROOM }; // later ones, of a newer version, are not handed on

// A message arrived. `data` is packed, valid during the call; foreign: unpack may fail.
typedef void bus_receive_fn(void *context, enum bus_type type, const uint8_t *data, size_t size);
// The pipe to a peer connected (present: say Hello) or broke; a reconnect is told as both. A hint.
// What was queued for a pipe that broke is gone: it is never given to the next that binds there.
typedef void bus_peer_fn(void *context, enum stage stage, unsigned slot, int present);

// Binds run/<stage>/<slot>. NULL with errno (ENAMETOOLONG: a socket path has at
// most 107 bytes). Only the holder of the slot's lock may call it. Not to be destroyed in its own
// callbacks.
struct bus *bus_new(struct loop *loop, const char *run, enum stage stage, unsigned slot,
                    bus_receive_fn *fn, void *context);
void bus_destroy(struct bus **self);
// Also receive for an adopted slot of the same stage; and stop that.
NODISCARD int bus_bind(struct bus *self, unsigned slot);
void bus_unbind(struct bus *self, unsigned slot);
// Watch the instances of a stage; `fn` is called for those already there, too,
// once the loop runs. The folder may appear later.
NODISCARD int bus_watch(struct bus *self, enum stage stage, bus_peer_fn *fn);

// Packs and queues; leaves with this turn of the loop. 0: it arrives unless the pipe breaks. -1:
// nothing was queued; EAGAIN: no such peer connected, or 1 MiB waits for it; EMSGSIZE: more than 1
// MiB.
NODISCARD int bus_send(struct bus *self, enum stage stage, unsigned slot, enum bus_type type,
                       const ProtobufCMessage *message);
int bus_present(const struct bus *self, enum stage stage, unsigned slot);
