// SPDX-License-Identifier: Apache-2.0
// Attack 33: every type of message, from every role to every role. The cells that pass are written
// down here once more, so that a slip in the table shows.
#include "core/bus/control.h"
#include "core/bus/roles.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { TYPES = 256 };

static const struct cell {
    enum role from, to;
    unsigned type;
} cells[] = {
    {ROLE_WORKER, ROLE_MASTER, CONTROL_NODE_HELLO},
    {ROLE_WORKER, ROLE_MASTER, CONTROL_REPLAYED},
    {ROLE_WORKER, ROLE_MASTER, CONTROL_CONFIG_REQUEST},
    {ROLE_WORKER, ROLE_MASTER, CONTROL_CONFIG_REPORT},
    {ROLE_WORKER, ROLE_MASTER, CONTROL_REPLY},
    {ROLE_WORKER, ROLE_MASTER, CONTROL_BODY},
    {ROLE_WORKER, ROLE_MASTER, CONTROL_CONFIG_RETURNED},
    {ROLE_WORKER, ROLE_MASTER, CONTROL_BODIES_QUESTION},
    {ROLE_MASTER, ROLE_WORKER, CONTROL_BODIES_HELD},
    {ROLE_MASTER, ROLE_WORKER, CONTROL_BODY_GIVEN},
    {ROLE_WORKER, ROLE_MASTER, CONTROL_PUBLICATION},
    {ROLE_WORKER, ROLE_MASTER, CONTROL_HEARTBEAT},
    {ROLE_MASTER, ROLE_WORKER, CONTROL_MASTER_HELLO},
    {ROLE_MASTER, ROLE_WORKER, CONTROL_ACK},
    {ROLE_MASTER, ROLE_WORKER, CONTROL_REPLAY},
    {ROLE_MASTER, ROLE_WORKER, CONTROL_CONFIG},
    {ROLE_MASTER, ROLE_WORKER, CONTROL_COMMAND},
    {ROLE_MASTER, ROLE_WORKER, CONTROL_BODY_REQUEST},
    {ROLE_MASTER, ROLE_WORKER, CONTROL_CONFIG_WANTED},
    {ROLE_MASTER, ROLE_WORKER, CONTROL_ANNOUNCE},
    {ROLE_MASTER, ROLE_MASTER, CONTROL_ANNOUNCE},
    {ROLE_MASTER, ROLE_MASTER, CONTROL_PEER_HELLO},
    {ROLE_MASTER, ROLE_MASTER, CONTROL_PEER_SUMMARY},
    {ROLE_MASTER, ROLE_MASTER, CONTROL_PEER_RANGES},
    {ROLE_MASTER, ROLE_MASTER, CONTROL_PEER_ROWS},
    {ROLE_MASTER, ROLE_MASTER, CONTROL_PEER_EVENTS},
    {ROLE_MASTER, ROLE_MASTER, CONTROL_PEER_ORDERS},
    {ROLE_MASTER, ROLE_MASTER, CONTROL_PEER_BODY},
    {ROLE_MASTER, ROLE_WORKER, CONTROL_JOIN_ANSWER},
    {ROLE_MASTER, ROLE_MASTER, CONTROL_JOIN_ANSWER},
    {ROLE_WORKER, ROLE_MASTER, CONTROL_JOIN_KNOCK},
    {ROLE_MASTER, ROLE_MASTER, CONTROL_JOIN_KNOCK},
    {ROLE_MASTER, ROLE_MASTER, CONTROL_PEER_CONFIG},
};

static int is_a_cell(enum role from, enum role to, unsigned type)
{
    for (size_t i = 0; i < ARRAY_LENGTH(cells); i++)
        if (cells[i].from == from && cells[i].to == to && cells[i].type == type)
            return 1;
    return 0;
}

static void test_the_whole_matrix(void **state)
{
    (void)state;
    for (int from = 0; from < ROLE_COUNT; from++)
        for (int to = 0; to < ROLE_COUNT; to++)
            for (unsigned type = 0; type < TYPES; type++) {
                int may = role_may_send((enum role)from, (enum role)to, type);
                if (may != is_a_cell((enum role)from, (enum role)to, type))
                    fail_msg("%s to %s, type %u: %d", role_name((enum role)from),
                             role_name((enum role)to), type, may);
            }
}

static void test_roles_have_names(void **state)
{
    (void)state;
    for (int role = 0; role < ROLE_COUNT; role++)
        assert_int_equal(role_of(role_name((enum role)role)), role);
    assert_int_equal(role_of(""), -1);
    assert_int_equal(role_of("Worker"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_whole_matrix),
        cmocka_unit_test(test_roles_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
