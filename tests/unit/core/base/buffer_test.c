// SPDX-License-Identifier: Apache-2.0
#include "core/base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void bytes_leave_in_the_order_they_came(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    unsigned char in = 0, out = 0;
    for (int round = 0; round < 2000; round++) {
        unsigned char bytes[37];
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = in++;
        buffer_add(&buffer, bytes, sizeof(bytes));
        size_t taken = (size_t)(round % 74);
        if (taken > buffer_size(&buffer))
            taken = buffer_size(&buffer);
        for (size_t i = 0; i < taken; i++)
            assert_int_equal((unsigned char)buffer_bytes(&buffer)[i], out++);
        buffer_take(&buffer, taken);
    }
    assert_true(buffer.capacity <= 4096); // what was taken is used again
    buffer_free(&buffer);
    assert_int_equal(buffer_size(&buffer), 0);
}

static void printf_grows_as_needed(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    char text[1000];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    buffer_add_text(&buffer, "[");
    buffer_printf(&buffer, "%s%d", text, 42);
    buffer_printf(&buffer, "%s", "]");
    assert_int_equal(buffer_size(&buffer), 1 + 999 + 2 + 1);
    assert_memory_equal(buffer_bytes(&buffer) + 1000, "42]", 3);
    buffer_free(&buffer);
}

static void clearing_keeps_the_memory_and_reserving_gives_room(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer);
    assert_string_equal(buffer_bytes(&buffer), "");
    memset(buffer_reserve(&buffer, 5000), 'y', 5000);
    buffer_added(&buffer, 5000);
    size_t capacity = buffer.capacity;
    buffer_clear(&buffer);
    assert_int_equal(buffer_size(&buffer), 0);
    assert_int_equal(buffer.capacity, capacity);
    buffer_add(&buffer, NULL, 0);
    buffer_free(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_leave_in_the_order_they_came),
        cmocka_unit_test(printf_grows_as_needed),
        cmocka_unit_test(clearing_keeps_the_memory_and_reserving_gives_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
