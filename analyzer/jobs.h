// SPDX-License-Identifier: Apache-2.0
#pragma once

// The jobs that ingresses gave this analyzer: who may give some, which are under way, and verdicts
// that no pipe took yet. Holds nothing that would be missed after a crash.
#include "analyzer/engine.h"
#include "core/bus/bus.h"
#include "core/journal/journal.h"
#include "proto/job.pb-c.h"

struct jobs;

struct jobs_ops {
    // As bus_send, to an ingress: -1 when its pipe cannot take it now.
    NODISCARD int (*send)(void *io, unsigned ingress, enum bus_type type,
                          const ProtobufCMessage *message);
    // A record's payload, valid until `unmap`; NULL with errno.
    const void *(*map)(void *io, unsigned ingress, struct position where, void **ret_handle);
    void (*unmap)(void *io, unsigned ingress, void *handle);
};

enum { JOBS_CREDIT = 16 }; // outstanding for one ingress (DESIGN 5)

// `slot` and `incarnation` are this analyzer's; big messages lie in <state>/ingress/<slot>/big;
// `host` names it in Authentication-Results. Borrows all but the settings.
struct jobs *jobs_new(struct loop *loop, struct engine *engine, const struct jobs_ops *ops,
                      void *io, const struct slot *slot, const char *state, const char *host);
void jobs_destroy(struct jobs **self);

// From the pipes; what is for another incarnation, or from one that a newer replaced, is dropped.
void jobs_hello(struct jobs *self, const Postern__Hello *hello);
void jobs_take(struct jobs *self, const Postern__AnalyzerJob *job);
// The pipe to an ingress connected: what waits for it is sent.
void jobs_connected(struct jobs *self, unsigned ingress);

// Gives no more credit; what is held is finished. jobs_idle: nothing is held, for `quiet_ms` now.
void jobs_drain(struct jobs *self);
int jobs_idle(const struct jobs *self, int64_t quiet_ms);
size_t jobs_held(const struct jobs *self);
