// SPDX-License-Identifier: Apache-2.0
#pragma once

// Counters and gauges of this process, by name; told to node each second and shown at /metrics.
#include "core/base/base.h"

struct metric;

// Makes or finds it. The name is a Prometheus name without the "postern_" prefix; `labels` like
// `disposition="delivered"` or "". Lives for ever.
struct metric *metric(const char *name, const char *labels);
void metric_add(struct metric *self, int64_t by);
void metric_set(struct metric *self, int64_t value);
int64_t metric_value(const struct metric *self);
// {"name{labels}": value, ...}; the caller frees.
char *metrics_json(void);
