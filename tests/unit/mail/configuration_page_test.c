// SPDX-License-Identifier: Apache-2.0
// docs/configuration.md holds the tables that the schema makes, word for word. With the argument
// `--print` this program prints them.
#include "core/base/buffer.h"
#include "core/base/file.h"
#include "mail/schema.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PAGE_MOST = 1024 * 1024 };

static void add_size(struct buffer *out, double bytes)
{
    static const char *const units[] = {"", "K", "M", "G"};
    size_t unit = 0;
    for (; unit < 3 && bytes >= 1024; unit++)
        bytes /= 1024;
    buffer_printf(out, "%.15g%s", bytes, units[unit]);
}

static void add_range(struct buffer *out, const struct schema_key *key, const char *what)
{
    buffer_printf(out, "%s, ", what);
    if (key->type == SCHEMA_SIZE) {
        add_size(out, key->min);
        buffer_add_text(out, " to ");
        add_size(out, key->max);
    } else {
        buffer_printf(out, "%.15g to %.15g%s%s", key->min, key->max, key->unit ? " " : "",
                      key->unit ? key->unit : "");
    }
}

static void add_choices(struct buffer *out, const struct schema_key *key)
{
    for (size_t i = 0; key->choices[i]; i++)
        buffer_printf(out, "%s`%s`", i ? ", " : "", key->choices[i]);
}

static void add_type(struct buffer *out, const struct schema_key *key)
{
    switch (key->type) {
    case SCHEMA_FLAG:
        buffer_add_text(out, "true or false");
        break;
    case SCHEMA_COUNT:
        add_range(out, key, "whole number");
        break;
    case SCHEMA_SIZE:
        add_range(out, key, "size");
        break;
    case SCHEMA_NUMBER:
        add_range(out, key, "number");
        break;
    case SCHEMA_LIMIT:
        add_range(out, key, "number or null");
        break;
    case SCHEMA_TEXT:
        buffer_printf(out, "text, %.0f to %.0f bytes", key->min, key->max);
        break;
    case SCHEMA_CHOICE:
        add_choices(out, key);
        break;
    case SCHEMA_TEXTS:
        buffer_printf(out, "list of texts, %.0f to %.0f", key->min, key->max);
        break;
    case SCHEMA_NETWORKS:
        buffer_printf(out, "list of networks, %.0f to %.0f", key->min, key->max);
        break;
    case SCHEMA_HOPS:
        buffer_printf(out, "list of hops, %.0f to %.0f", key->min, key->max);
        break;
    }
}

static void add_fallback(struct buffer *out, const struct schema_key *key)
{
    switch (key->type) {
    case SCHEMA_FLAG:
        buffer_add_text(out, key->fallback != 0 ? "true" : "false");
        break;
    case SCHEMA_SIZE:
        add_size(out, key->fallback);
        break;
    case SCHEMA_COUNT:
    case SCHEMA_NUMBER:
    case SCHEMA_LIMIT:
        if (isnan(key->fallback))
            buffer_add_text(out, "none");
        else
            buffer_printf(out, "%.15g", key->fallback);
        break;
    case SCHEMA_CHOICE:
        buffer_printf(out, "`%s`", key->choices[(size_t)key->fallback]);
        break;
    case SCHEMA_TEXT:
    case SCHEMA_TEXTS:
    case SCHEMA_NETWORKS:
    case SCHEMA_HOPS:
        buffer_add_text(out, "none");
        break;
    }
}

static void add_kind(struct buffer *out, const struct schema_kind *kind)
{
    buffer_printf(out,
                  "## `%s%s`\n\n%s\n\n| key | value | default | |\n| --- | --- | --- | --- |\n",
                  kind->name, kind->named ? "/NAME" : "", kind->about);
    for (size_t i = 0; i < kind->key_count; i++) {
        const struct schema_key *key = &kind->keys[i];
        buffer_printf(out, "| `%s` | ", key->name);
        add_type(out, key);
        buffer_add_text(out, " | ");
        add_fallback(out, key);
        buffer_printf(out, " | %s |\n", key->about);
    }
    buffer_add_text(out, "\n"); // the table ends here
}

// tests/unit/mail/ of this file's path becomes docs/.
static char *read_page(void)
{
    const char *path = __FILE__, *end = strstr(path, "tests/unit/mail/");
    char name[512];
    size_t size;
    assert_non_null(end);
    snprintf(name, sizeof(name), "%.*sdocs/configuration.md", (int)(end - path), path);
    char *page = file_read(name, PAGE_MOST, &size);
    if (!page)
        fail_msg("%s cannot be read", name);
    return page;
}

static void test_the_page_holds_every_key(void **state)
{
    (void)state;
    char *page = read_page();
    for (size_t i = 0; i < schema_kind_count; i++) {
        struct buffer section;
        buffer_init(&section);
        add_kind(&section, &schema_kinds[i]);
        buffer_add(&section, "", 1);
        if (!strstr(page, buffer_bytes(&section)))
            fail_msg("docs/configuration.md does not hold:\n%s", buffer_bytes(&section));
        buffer_free(&section);
    }
    free(page);
}

static void test_the_page_holds_no_other_document(void **state)
{
    (void)state;
    char *page = read_page();
    size_t sections = 0;
    for (const char *at = page; (at = strstr(at, "\n## `")); at++)
        sections++;
    assert_int_equal(sections, schema_kind_count);
    free(page);
}

static int print_tables(void)
{
    struct buffer out;
    buffer_init(&out);
    for (size_t i = 0; i < schema_kind_count; i++)
        add_kind(&out, &schema_kinds[i]);
    size_t written = fwrite(buffer_bytes(&out), 1, buffer_size(&out), stdout);
    int code = written == buffer_size(&out) ? 0 : 1;
    buffer_free(&out);
    return code;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_page_holds_every_key),
        cmocka_unit_test(test_the_page_holds_no_other_document),
    };
    if (argc > 1 && strcmp(argv[1], "--print") == 0)
        return print_tables();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
