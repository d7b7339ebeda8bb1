// SPDX-License-Identifier: Apache-2.0
#include "core/bus/roles.h"
#include "core/bus/control.h"
#include <string.h>

// Who says it to whom. Monitors say nothing: they only subscribe.
enum {
    WORKER_TO_MASTER = 1 << 0,
    MASTER_TO_WORKER = 1 << 1,
    MASTER_TO_MASTER = 1 << 2,
    MASTER_TO_MONITOR = 1 << 3,
};

static const unsigned ways[ROLE_COUNT][ROLE_COUNT] = {
    [ROLE_WORKER] = {[ROLE_MASTER] = WORKER_TO_MASTER},
    [ROLE_MASTER] = {[ROLE_WORKER] = MASTER_TO_WORKER,
                     [ROLE_MASTER] = MASTER_TO_MASTER,
                     [ROLE_MONITOR] = MASTER_TO_MONITOR},
};

static const struct row {
    unsigned type;
    unsigned ways;
} rows[] = {
    {CONTROL_NODE_HELLO, WORKER_TO_MASTER},
    {CONTROL_MASTER_HELLO, MASTER_TO_WORKER},
    {CONTROL_ACK, MASTER_TO_WORKER},
    {CONTROL_REPLAY, MASTER_TO_WORKER},
    {CONTROL_REPLAYED, WORKER_TO_MASTER},
    {CONTROL_CONFIG_REQUEST, WORKER_TO_MASTER},
    {CONTROL_CONFIG, MASTER_TO_WORKER},
    {CONTROL_CONFIG_REPORT, WORKER_TO_MASTER},
    {CONTROL_COMMAND, MASTER_TO_WORKER},
    {CONTROL_REPLY, WORKER_TO_MASTER},
    {CONTROL_BODY_REQUEST, MASTER_TO_WORKER},
    {CONTROL_BODY, WORKER_TO_MASTER},
    {CONTROL_CONFIG_WANTED, MASTER_TO_WORKER},
    {CONTROL_CONFIG_RETURNED, WORKER_TO_MASTER},
    {CONTROL_BODIES_QUESTION, WORKER_TO_MASTER},
    {CONTROL_BODIES_HELD, MASTER_TO_WORKER},
    {CONTROL_BODY_GIVEN, MASTER_TO_WORKER},
    {CONTROL_PUBLICATION, WORKER_TO_MASTER},
    {CONTROL_HEARTBEAT, WORKER_TO_MASTER},
    {CONTROL_ANNOUNCE, MASTER_TO_WORKER | MASTER_TO_MASTER},
    {CONTROL_PEER_HELLO, MASTER_TO_MASTER},
    {CONTROL_PEER_SUMMARY, MASTER_TO_MASTER},
    {CONTROL_PEER_RANGES, MASTER_TO_MASTER},
    {CONTROL_PEER_ROWS, MASTER_TO_MASTER},
    {CONTROL_PEER_EVENTS, MASTER_TO_MASTER},
    {CONTROL_PEER_ORDERS, MASTER_TO_MASTER},
    {CONTROL_PEER_BODY, MASTER_TO_MASTER},
    {CONTROL_JOIN_ANSWER, MASTER_TO_WORKER | MASTER_TO_MASTER},
    {CONTROL_JOIN_KNOCK, WORKER_TO_MASTER | MASTER_TO_MASTER},
    {CONTROL_PEER_CONFIG, MASTER_TO_MASTER},
};

int role_may_send(enum role from, enum role to, unsigned type)
{
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        if (rows[i].type == type)
            return (rows[i].ways & ways[from][to]) != 0;
    return 0;
}

static const char *const names[ROLE_COUNT] = {"worker", "master", "monitor"};

const char *role_name(enum role role)
{
    return names[role];
}

int role_of(const char *name)
{
    for (int i = 0; i < ROLE_COUNT; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return -1;
}
