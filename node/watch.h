// SPDX-License-Identifier: Apache-2.0
#pragma once

// Looks each second at what a person should know of, and at how the mail flows: lag of each master,
// rates, alarms.
#include "core/stream/lag.h"
#include "node/alarms.h"
#include "node/rates.h"
#include "node/status.h"

struct watch_of_node {
    struct lag lags[MASTERS_MOST];
    int64_t lag_ms[MASTERS_MOST];
    struct rates rates;
    struct alarms alarms;
};

// One master is far behind while another is not: what it lacks lies there and here only.
int watch_is_single_copy(const struct watch_of_node *self, unsigned masters);

// `fn` is told of alarms that begin or end.
void watch_second(struct watch_of_node *self, const struct status_sources *from, int64_t now_ms,
                  alarm_fn *fn, void *context);
