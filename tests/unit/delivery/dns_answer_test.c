// SPDX-License-Identifier: Apache-2.0
#include "delivery/dns_answer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HEADER(questions, answers) "\0\0\x81\x80\0" questions "\0" answers "\0\0\0\0"
#define QUESTION "\1x\7example\0\0\xf\0\1" // x.example, at offset 12
#define AT_NAME "\xc0\x0c"                 // points there

static void test_packets(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *packet;
        size_t size;
        enum dns_type type;
        int rc;
        size_t count;
        const char *host; // of the first MX
    } rows[] = {
#define PACKET(bytes) bytes, sizeof(bytes) - 1
        {"an MX",
         PACKET(HEADER("\1", "\1") QUESTION AT_NAME "\0\xf\0\1\0\0\0\x3c\0\7\0\xa\2mx" AT_NAME),
         DNS_MX, 0, 1, "mx.x.example"},
        {"null MX", PACKET(HEADER("\1", "\1") QUESTION AT_NAME "\0\xf\0\1\0\0\0\x3c\0\3\0\0\0"),
         DNS_MX, 0, 1, ""},
        {"an address",
         PACKET(HEADER("\1", "\1") QUESTION AT_NAME "\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"), DNS_A, 0,
         1, NULL},
        {"a CNAME before it",
         PACKET(HEADER("\1", "\2") QUESTION AT_NAME "\0\5\0\1\0\0\0\x3c\0\2" AT_NAME AT_NAME
                                                    "\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"),
         DNS_A, 0, 1, NULL},
        {"an address of the wrong size",
         PACKET(HEADER("\1", "\1") QUESTION AT_NAME "\0\1\0\1\0\0\0\x3c\0\3\xc0\0\2"), DNS_A, 0, 0,
         NULL},
        {"a name that points at itself",
         PACKET(HEADER("\0", "\1") "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\1\2\3\4"), DNS_A, -1, 0, NULL},
        {"an MX that points behind the end",
         PACKET(HEADER("\1", "\1") QUESTION AT_NAME "\0\xf\0\1\0\0\0\x3c\0\4\0\xa\xc0\xff"), DNS_MX,
         0, 0, NULL},
        {"a host with a blank in it",
         PACKET(HEADER("\1", "\1") QUESTION AT_NAME "\0\xf\0\1\0\0\0\x3c\0\6\0\xa\2a \0\0"), DNS_MX,
         0, 0, NULL},
        {"data longer than the packet",
         PACKET(HEADER("\1", "\1") QUESTION AT_NAME "\0\1\0\1\0\0\0\x3c\xff\4\1\2\3\4"), DNS_A, -1,
         0, NULL},
        {"too short", PACKET("\0\0"), DNS_A, -1, 0, NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct dns_answer answer;
        int rc = dns_answer_read(&answer, rows[i].type, rows[i].packet, rows[i].size);
        if (rc != rows[i].rc || (rc == 0 && answer.count != rows[i].count))
            fail_msg("%s: %d, %zu records", rows[i].name, rc, rc == 0 ? answer.count : 0);
        if (rc == 0 && rows[i].host)
            assert_string_equal(answer.records[0].host, rows[i].host);
    }
}

// Every cut of a good packet is refused or yields less, never more.
static void test_cuts(void **state)
{
    (void)state;
    static const char packet[] =
        HEADER("\1", "\1") QUESTION AT_NAME "\0\xf\0\1\0\0\0\x3c\0\7\0\xa\2mx" AT_NAME;
    for (size_t size = 0; size < sizeof(packet) - 1; size++) {
        struct dns_answer answer;
        char copy[sizeof(packet)];
        memcpy(copy, packet, size);
        assert_int_equal(dns_answer_read(&answer, DNS_MX, copy, size), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packets),
        cmocka_unit_test(test_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
