// SPDX-License-Identifier: Apache-2.0
#pragma once

// state/master/cluster.db: the cluster's configuration with all history, and the
// orders given about quarantined mail. Used by the writer's thread.
#include "core/base/base.h"
#include "proto/event.pb-c.h"
#include <jansson.h>
#include <sqlite3.h>

sqlite3 *cluster_open(const char *folder, char *ret_error, size_t error_size);
void cluster_close(sqlite3 **self);

// Members stood in tables of their own before they were configuration. Tells each, revoked keys
// with the role "". 1: they are there; 0: they are not; -1.
typedef void cluster_member_fn(void *context, const char *name, const char *key, const char *role);
NODISCARD int cluster_old_members(sqlite3 *self, cluster_member_fn *fn, void *context);
NODISCARD int cluster_drop_old_members(sqlite3 *self);

// An order about one recipient of a quarantined mail; its key names it for ever:
// "ID|RECIPIENT|ROUND" for a release, "ID|RECIPIENT|delete".
struct order {
    char key[160];
    char id[32];
    unsigned recipient;
    char address[321];
    int deletes;
    unsigned round;
    char node[64];
    char day[11];
    char author[128];
    int copied; // the peer holds it, too
};
// A click: it fixes the round, one that follows the last whose outcome is known here (`again`), or
// that one. Durable when it returns 0; an order given before stays as it was. ret_outcome: "" while
// it is not known.
NODISCARD int cluster_order(sqlite3 *self, struct order *order, int again, char *ret_outcome,
                            size_t outcome_size);
// The same of an order whose key stands already: it was clicked on the peer.
NODISCARD int cluster_order_keep(sqlite3 *self, struct order *order, char *ret_outcome,
                                 size_t outcome_size);
NODISCARD int cluster_order_copied(sqlite3 *self, const char *key); // the peer keeps it
typedef void cluster_order_fn(void *context, const struct order *order);
NODISCARD int cluster_open_orders(sqlite3 *self, cluster_order_fn *fn, void *context);
// What an event says of an order, within a transaction that cluster_commit_outcomes ends.
// An order that was never given here (it was clicked on the peer, or on the worker) is known from
// then on, with its outcome. 1: noted, 0: known before, or none, -1.
NODISCARD int cluster_order_outcome(sqlite3 *self, const char *key, const char *node,
                                    const Postern__Event *event);
// The same by the node's word alone, committed by itself; an outcome known before stays.
NODISCARD int cluster_order_settle(sqlite3 *self, const char *key, const char *outcome);
NODISCARD int cluster_commit_outcomes(sqlite3 *self);
