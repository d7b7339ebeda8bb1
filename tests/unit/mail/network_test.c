// SPDX-License-Identifier: Apache-2.0
#include "mail/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void networks_hold_addresses(void **state)
{
    static const struct {
        const char *network, *address;
        int holds; // -1: the network is none
    } rows[] = {
        {"10.0.0.0/8", "10.255.1.2", 1},
        {"10.0.0.0/8", "11.0.0.1", 0},
        {"10.1.2.3/8", "10.9.9.9", 1},
        {"192.0.2.1", "192.0.2.1", 1},
        {"192.0.2.1", "192.0.2.2", 0},
        {"0.0.0.0/0", "203.0.113.9", 1},
        {"0.0.0.0/0", "2001:db8::1", 0},
        {"::/0", "2001:db8::1", 1},
        {"2001:db8::/32", "2001:db8:5::1", 1},
        {"2001:db8::/33", "2001:db8:8000::1", 0},
        {"::ffff:10.0.0.0/104", "10.1.1.1", 1},
        {"10.0.0.0/8", "::ffff:10.1.1.1", 1},
        {"10.0.0.0/33", "", -1},
        {"10.0.0.0/", "", -1},
        {"10.0.0/8", "", -1},
        {"10.0.0.0/8x", "", -1},
        {"example.org", "", -1},
        {"10.0.0.0/8", "not an address", 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct network network;
        int rc = network_parse(rows[i].network, &network);
        assert_int_equal(rc, rows[i].holds < 0 ? -1 : 0);
        if (rc == 0 && network_contains(&network, 1, rows[i].address) != rows[i].holds)
            fail_msg("%s %s", rows[i].network, rows[i].address);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_hold_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
