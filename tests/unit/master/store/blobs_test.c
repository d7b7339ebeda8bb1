// SPDX-License-Identifier: Apache-2.0
#include "core/base/buffer.h"
#include "master/store/blobs.h"

#include <errno.h>
#include <openssl/sha.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

static int make(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/postern-blobs-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    char command[96];
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

// A body of that many bytes; half of it repeats itself.
static char *body_of(size_t size, uint8_t ret_sha256[SHA256_SIZE])
{
    char *body = allocate(size + 1);
    for (size_t i = 0; i < size; i++)
        body[i] = (char)(i % 2 ? i * 2654435761u >> 13 : i >> 10);
    SHA256((unsigned char *)body, size, ret_sha256);
    return body;
}

static int keep(const char *body, size_t size, const uint8_t *sha256)
{
    struct blob_writer *writer = blob_writer_new(folder);
    assert_non_null(writer);
    for (size_t at = 0; at < size; at += 100000)
        assert_int_equal(
            blob_writer_add(writer, body + at, size - at < 100000 ? size - at : 100000), 0);
    return blob_writer_finish(&writer, sha256);
}

static void path_of(const uint8_t *sha256, char ret[256])
{
    char name[SHA256_TEXT];
    blob_name(sha256, name);
    snprintf(ret, 256, "%s/bodies/%.2s/%s.zst", folder, name, name);
}

static void a_body_comes_back_piece_by_piece(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 65536, 262144, 1000000};
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        uint8_t sha256[SHA256_SIZE];
        char *body = body_of(sizes[i], sha256);
        struct buffer out;
        int more;
        assert_int_equal(keep(body, sizes[i], sha256), 0);
        assert_true(blob_exists(folder, sha256));
        struct blob_reader *reader = blob_reader_new(folder, sha256);
        assert_non_null(reader);
        buffer_init(&out);
        while ((more = blob_reader_next(reader, 262144, &out)) == 1)
            assert_int_equal(blob_reader_at(reader), buffer_size(&out));
        assert_int_equal(more, 0);
        assert_int_equal(buffer_size(&out), sizes[i]);
        assert_memory_equal(buffer_bytes(&out), body, sizes[i]);
        blob_reader_destroy(&reader);
        buffer_free(&out);
        free(body);
    }
}

static void bytes_of_another_body_are_not_kept(void **state)
{
    (void)state;
    uint8_t sha256[SHA256_SIZE];
    char *body = body_of(5000, sha256);
    body[77] ^= 1;
    assert_int_equal(keep(body, 5000, sha256), -1);
    assert_int_equal(errno, EBADMSG);
    assert_false(blob_exists(folder, sha256));
    free(body);
}

// Wherever a byte rots: in the frame's head, its data, its end.
static void a_rotten_body_is_found_out_and_set_aside(void **state)
{
    (void)state;
    uint8_t sha256[SHA256_SIZE];
    char *body = body_of(300000, sha256), path[256];
    static const long places[] = {0, 6, 1000, -1};
    path_of(sha256, path);
    for (size_t i = 0; i < ARRAY_LENGTH(places); i++) {
        struct buffer out;
        int more;
        assert_int_equal(keep(body, 300000, sha256), 0);
        FILE *file = fopen(path, "r+");
        assert_int_equal(fseek(file, places[i], places[i] < 0 ? SEEK_END : SEEK_SET), 0);
        int byte = fgetc(file);
        fseek(file, -1, SEEK_CUR);
        fputc(byte ^ 0x41, file);
        fclose(file);
        struct blob_reader *reader = blob_reader_new(folder, sha256);
        buffer_init(&out);
        while ((more = blob_reader_next(reader, 262144, &out)) == 1)
            ;
        assert_int_equal(more, -1);
        assert_int_equal(errno, EBADMSG);
        blob_reader_destroy(&reader);
        buffer_free(&out);
        assert_int_equal(blob_set_aside(folder, sha256), 0);
        assert_false(blob_exists(folder, sha256));
    }
    free(body);
}

static void a_body_cut_short_is_rotten_too(void **state)
{
    (void)state;
    uint8_t sha256[SHA256_SIZE];
    char *body = body_of(300000, sha256), path[256];
    struct buffer out;
    int more;
    path_of(sha256, path);
    assert_int_equal(keep(body, 300000, sha256), 0);
    assert_int_equal(truncate(path, 2000), 0);
    struct blob_reader *reader = blob_reader_new(folder, sha256);
    buffer_init(&out);
    while ((more = blob_reader_next(reader, 262144, &out)) == 1)
        ;
    assert_int_equal(more, -1);
    blob_reader_destroy(&reader);
    buffer_free(&out);
    free(body);
}

static void what_a_dead_writer_left_is_swept(void **state)
{
    (void)state;
    char command[128];
    struct blob_writer *writer = blob_writer_new(folder);
    assert_int_equal(blob_writer_add(writer, "abc", 3), 0);
    snprintf(command, sizeof(command), "ls -A '%s/bodies' | grep -q making", folder);
    assert_int_equal(system(command), 0);
    blob_sweep(folder);
    assert_int_not_equal(system(command), 0);
    blob_writer_destroy(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_body_comes_back_piece_by_piece, make, end),
        cmocka_unit_test_setup_teardown(bytes_of_another_body_are_not_kept, make, end),
        cmocka_unit_test_setup_teardown(a_rotten_body_is_found_out_and_set_aside, make, end),
        cmocka_unit_test_setup_teardown(a_body_cut_short_is_rotten_too, make, end),
        cmocka_unit_test_setup_teardown(what_a_dead_writer_left_is_swept, make, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
