// SPDX-License-Identifier: Apache-2.0
#include "mail/spooled.h"

#include <errno.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void a_spooled_record_is_read_back(void **state)
{
    Postern__Envelope envelope = POSTERN__ENVELOPE__INIT;
    struct spooled spooled;
    size_t size;
    (void)state;
    envelope.helo = (ProtobufCBinaryData){4, (uint8_t *)(uintptr_t) "mine"};
    char *head = spooled_head(&envelope, &size);
    char *record = allocate(size + 5);
    memcpy(record, head, size);
    memcpy(record + size, "hello", 5);
    assert_int_equal(spooled_open(&spooled, record, size + 5, NULL), 0);
    assert_int_equal(spooled.size, 5);
    assert_memory_equal(spooled.message, "hello", 5);
    assert_int_equal(spooled.envelope->helo.len, 4);
    spooled_close(&spooled);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(spooled_open(&spooled, record, cut, NULL), -1);
    assert_int_equal(errno, EBADMSG);
    free(record);
    free(head);

    // The name of a big file comes from a record: it must not lead out of its folder.
    envelope.big = (ProtobufCBinaryData){12, (uint8_t *)(uintptr_t) "../etc/x/pwd"};
    head = spooled_head(&envelope, &size);
    assert_int_equal(spooled_open(&spooled, head, size, "/tmp"), -1);
    assert_int_equal(errno, EBADMSG);
    free(head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_spooled_record_is_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
