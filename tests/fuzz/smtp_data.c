// SPDX-License-Identifier: Apache-2.0
// DATA and BDAT decoding: cutting the bytes elsewhere changes nothing, an end is CRLF.CRLF, mended
// text is clean.
#include "core/base/buffer.h"
#include "mail/smtp_line.h"

#include <assert.h>
#include <string.h>

// Returns how many bytes it took up to the end, or all.
static size_t decode(struct span in, size_t piece, int normalise, int *ret_end, struct buffer *out)
{
    struct smtp_data data;
    size_t at = 0, used;
    smtp_data_init(&data, normalise);
    *ret_end = 0;
    while (at < in.size && !*ret_end) {
        size_t size = in.size - at < piece ? in.size - at : piece;
        *ret_end = smtp_data_feed(&data, (struct span){in.data + at, size}, out, &used);
        at += used;
    }
    return at;
}

static void assert_clean(const struct buffer *out, size_t size)
{
    const char *bytes = buffer_bytes(out);
    for (size_t i = 0; i < size; i++) {
        assert(bytes[i] != 0);
        assert(bytes[i] != '\n' || (i && bytes[i - 1] == '\r'));
        assert(bytes[i] != '\r' || i + 1 == size || bytes[i + 1] == '\n');
    }
}

static void check_chunk(struct span in, size_t piece)
{
    struct smtp_data data;
    struct buffer out;
    buffer_init(&out);
    smtp_data_init(&data, 1);
    for (size_t at = 0; at < in.size; at += piece)
        smtp_chunk_feed(
            &data, (struct span){in.data + at, in.size - at < piece ? in.size - at : piece}, &out);
    smtp_chunk_end(&data, &out);
    assert_clean(&out, buffer_size(&out));
    buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < 2)
        return 0;
    struct span in = {(const char *)bytes + 1, size - 1};
    size_t piece = bytes[0] % 16 + 1u;
    for (int normalise = 0; normalise < 2; normalise++) {
        struct buffer whole, pieces;
        int whole_end, pieces_end;
        buffer_init(&whole);
        buffer_init(&pieces);
        size_t used = decode(in, in.size, normalise, &whole_end, &whole);
        assert(decode(in, piece, normalise, &pieces_end, &pieces) == used);
        assert(whole_end == pieces_end && buffer_size(&whole) == buffer_size(&pieces));
        assert(!memcmp(buffer_bytes(&whole), buffer_bytes(&pieces), buffer_size(&whole)));
        assert(!whole_end || (used >= 3 && !memcmp(in.data + used - 3, ".\r\n", 3)));
        assert(!whole_end || used == 3 || !memcmp(in.data + used - 5, "\r\n.\r\n", 5));
        if (normalise)
            assert_clean(&whole, buffer_size(&whole));
        buffer_free(&whole);
        buffer_free(&pieces);
    }
    check_chunk(in, piece);
    return 0;
}
