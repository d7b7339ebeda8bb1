// SPDX-License-Identifier: Apache-2.0
#include "core/base/ulid.h"
#include "core/base/random.h"

#include <string.h>

enum { TIME_BYTES = 6, RANDOM_BYTES = ULID_SIZE - TIME_BYTES };

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static void set_time(struct ulid *self, int64_t wall_ms)
{
    for (int i = 0; i < TIME_BYTES; i++)
        self->bytes[i] = (uint8_t)((uint64_t)wall_ms >> (8 * (TIME_BYTES - 1 - i)));
}

int64_t ulid_time_ms(const struct ulid *self)
{
    int64_t wall_ms = 0;
    for (int i = 0; i < TIME_BYTES; i++)
        wall_ms = wall_ms << 8 | self->bytes[i];
    return wall_ms;
}

static void count_up(struct ulid *self)
{
    for (int i = ULID_SIZE - 1; i >= TIME_BYTES; i--)
        if (++self->bytes[i])
            return;
}

struct ulid ulid_new(int64_t wall_ms)
{
    // A clock that steps back goes on counting in the later millisecond, so names still sort. The
    // top random bit starts as 0, so that counting never overflows.
    static _Thread_local struct ulid last;
    if (wall_ms > ulid_time_ms(&last)) {
        set_time(&last, wall_ms);
        random_bytes(last.bytes + TIME_BYTES, RANDOM_BYTES);
        last.bytes[TIME_BYTES] &= 0x7f;
    } else {
        count_up(&last);
    }
    return last;
}

void ulid_format(const struct ulid *self, char ret_text[ULID_TEXT])
{
    // 128 bits in 26 digits of 5: the first digit holds the 3 topmost bits.
    unsigned held = 0;
    unsigned bits = 2;
    size_t at = 0;
    for (int i = 0; i < ULID_SIZE; i++) {
        held = (held << 8 | self->bytes[i]) & 0xffff;
        for (bits += 8; bits >= 5; bits -= 5)
            ret_text[at++] = digits[held >> (bits - 5) & 31];
    }
    ret_text[at] = 0;
}

static int digit_value(char c)
{
    if (c >= 'a' && c <= 'z')
        c = (char)(c - ('a' - 'A'));
    const char *found = c ? strchr(digits, c) : NULL;
    return found ? (int)(found - digits) : -1;
}

int ulid_parse(const char *text, size_t size, struct ulid *ret)
{
    if (size != ULID_TEXT - 1 || text[0] > '7')
        return -1;
    struct ulid parsed = {{0}};
    unsigned held = 0;
    int bits = -2;
    size_t at = 0;
    for (size_t i = 0; i < size; i++) {
        int value = digit_value(text[i]);
        if (value < 0)
            return -1;
        held = (held << 5 | (unsigned)value) & 0xffff;
        bits += 5;
        if (bits >= 8) {
            bits -= 8;
            parsed.bytes[at++] = (uint8_t)(held >> bits);
        }
    }
    *ret = parsed;
    return 0;
}
