// SPDX-License-Identifier: Apache-2.0
#include "core/base/buffer.h"
#include "core/base/ulid.h"
#include "master/store/public.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 250 };

static ProtobufCBinaryData bytes(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static Postern__PublicEvent *packed_and_read(const Postern__Event *event, const struct ulid *id)
{
    struct store_event at = {"worker-1", 0xabc, 7, {"", 0}, event};
    struct buffer packed;
    buffer_init(&packed);
    public_pack(&at, id, "<known@b>", &packed);
    Postern__PublicEvent *read = public_read(buffer_bytes(&packed), buffer_size(&packed), 42);
    buffer_free(&packed);
    assert_non_null(read);
    return read;
}

static Postern__PublicEvent *simple_event(void)
{
    Postern__EventRecipient rows[2] = {POSTERN__EVENT_RECIPIENT__INIT,
                                       POSTERN__EVENT_RECIPIENT__INIT};
    Postern__EventRecipient *pointers[2] = {&rows[0], &rows[1]};
    Postern__Event event = POSTERN__EVENT__INIT;
    event.kind = POSTERN__KIND__KIND_BOUNCED;
    event.sender = bytes("Anna@Example.org");
    rows[0].address = bytes("bert@example.net");
    rows[0].disposition = POSTERN__DISPOSITION__DISPOSITION_BOUNCED;
    rows[1].address = bytes("carl@sub.example.net");
    event.n_recipients = 2;
    event.recipients = pointers;
    return packed_and_read(&event, NULL);
}

static void it_is_read_as_it_was_packed(void **state)
{
    (void)state;
    struct ulid id = {{1}};
    Postern__Event event = POSTERN__EVENT__INIT;
    struct buffer line;
    event.kind = POSTERN__KIND__KIND_NODE;
    event.alarm = bytes("disk-low");
    event.detail = bytes("3 % free \xff");
    event.time_ms = 1767258000000;
    Postern__PublicEvent *read = packed_and_read(&event, &id);
    buffer_init(&line);
    public_json(read, &line);
    buffer_add(&line, "", 1);
    assert_string_equal(line.data,
                        "{\"commit\":42,\"node\":\"worker-1\",\"epoch\":\"0000000000000abc\","
                        "\"sequence\":7,\"time\":\"2026-01-01T09:00:00.000Z\",\"kind\":\"node\","
                        "\"id\":\"01000000000000000000000000\",\"message_id\":\"<known@b>\","
                        "\"detail\":\"3 % free ?\",\"alarm\":\"disk-low\",\"clear\":false}\n");
    buffer_free(&line);
    postern__public_event__free_unpacked(read, NULL);
}

static void filters_look_at_kind_node_and_addresses(void **state)
{
    (void)state;
    static const struct {
        struct public_filter filter;
        int fits;
    } cases[] = {
        {{0}, 1},
        {{.kind = "bounced"}, 1},
        {{.kind = "bounce"}, 0},
        {{.node = "WORKER-1"}, 1},
        {{.node = "worker-2"}, 0},
        {{.sender = "anna@example.org"}, 1},
        {{.sender = "@example.org"}, 1},
        {{.sender = "@ample.org"}, 0},
        {{.sender = "@example.org", .kind = "done"}, 0},
        {{.recipient = "bert@example.net"}, 1},
        {{.recipient = "carl@sub.example.net"}, 1},
        {{.recipient = "@sub.example.net"}, 1},
        {{.recipient = "@example.net", .sender = "bert@example.net"}, 0},
        {{.recipient = "ert@example.net"}, 0},
        {{.recipient = ""}, 0},
    };
    Postern__PublicEvent *event = simple_event();
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        if (public_matches(event, &cases[i].filter) != cases[i].fits)
            fail_msg("case %zu", i);
    postern__public_event__free_unpacked(event, NULL);
}

static void what_a_mail_says_is_bounded(void **state)
{
    (void)state;
    Postern__EventRecipient rows[MANY], *pointers[MANY];
    Postern__Finding findings[MANY], *finding_pointers[MANY];
    Postern__Event event = POSTERN__EVENT__INIT;
    char *big = allocate(100000);
    memset(big, 'x', 99999);
    for (size_t i = 0; i < MANY; i++) {
        postern__event_recipient__init(&rows[i]);
        postern__finding__init(&findings[i]);
        rows[i].address = rows[i].reply = findings[i].name = bytes(big);
        pointers[i] = &rows[i];
        finding_pointers[i] = &findings[i];
    }
    event.sender = event.message_id = event.detail = event.alarm = event.client_address =
        bytes(big);
    event.n_recipients = event.n_findings = MANY;
    event.recipients = pointers;
    event.findings = finding_pointers;
    Postern__PublicEvent *read = packed_and_read(&event, NULL);
    assert_int_equal(read->n_recipients, 100);
    assert_int_equal(read->n_findings, 50);
    assert_in_range(postern__public_event__get_packed_size(read), 1, 200 * 1024);
    postern__public_event__free_unpacked(read, NULL);
    free(big);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_read_as_it_was_packed),
        cmocka_unit_test(filters_look_at_kind_node_and_addresses),
        cmocka_unit_test(what_a_mail_says_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
