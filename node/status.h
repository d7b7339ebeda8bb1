// SPDX-License-Identifier: Apache-2.0
#pragma once

// How this worker is, as JSON for the masters and as text for the probes.
#include "core/base/buffer.h"
#include "node/supervise.h"
#include "node/uplink.h"

struct watch_of_node;

struct status_sources {
    const struct stages *stages;
    const struct supervise *supervise;
    const struct uplink *uplink;
    const struct outbox *outbox;
    const struct nodeconf *conf;
    const struct watch_of_node *watch;
    const char *revision;
    int unconfigured; // nobody has said what to do with mail
};

// The caller frees.
char *status_json(const struct status_sources *from);
// Metrics of all processes in Prometheus' text format.
void status_metrics(const struct status_sources *from, struct buffer *out);
// NULL when mail can come in and go out; else what is missing.
const char *status_unready(const struct status_sources *from);
// The most events that a master has not acknowledged.
uint64_t status_lag(const struct status_sources *from);
