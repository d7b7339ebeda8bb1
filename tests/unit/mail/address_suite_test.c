// SPDX-License-Identifier: Apache-2.0
// Paths and mailboxes of Dovecot's tests, when POSTERN_SUITES names the folder of the suites.
#include "mail/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

// Dovecot takes these although RFC 5321 does not: labels that begin with a hyphen, misplaced dots.
static const char *const lenient[] = {"email@-example.com", "email.@example.com",
                                      "Abc..123@example.com", "Abc..@example.com"};

static int is_lenient(const char *text)
{
    for (size_t i = 0; i < ARRAY_LENGTH(lenient); i++)
        if (!strcmp(text, lenient[i]))
            return 1;
    return 0;
}

// Brackets or none, as the case has them. 1 when it is a mailbox or path and nothing else.
static int accepted(const char *text, const char *flags)
{
    struct address address;
    size_t used;
    if (text[0] != '<')
        return address_parse(span_of(text), 1, &address) == 0;
    int allow = strstr(flags, "ALLOW_EMPTY") ? ADDRESS_NULL : 0;
    return address_parse_path(span_of(text), allow, 1, &address, &used) == 0 && !text[used];
}

static unsigned run(const json_t *suite, const char *name, int wanted)
{
    const json_t *cases = json_object_get(suite, name), *one;
    size_t index;
    unsigned count = 0;
    json_array_foreach((json_t *)(uintptr_t)cases, index, one)
    {
        const char *text = json_string_value(json_object_get(one, "input"));
        const char *flags = json_string_value(json_object_get(one, "flags"));
        flags = flags ? flags : "";
        // What those flags repair we refuse; an empty mailbox is the caller's affair.
        if (strstr(flags, "IGNORE_BROKEN") || strstr(flags, "ALLOW_LOCALPART") || !text[0])
            continue;
        if (accepted(text, flags) != (wanted && !is_lenient(text)))
            fail_msg("%s: %s is %s", name, text, wanted ? "refused" : "accepted");
        count++;
    }
    return count;
}

static void dovecots_paths_are_judged_alike(void **state)
{
    (void)state;
    const char *folder = getenv("POSTERN_SUITES");
    char path[512];
    snprintf(path, sizeof(path), "%s/smtp/dovecot-smtp-syntax.json", folder ? folder : "");
    json_t *suite = folder ? json_load_file(path, 0, NULL) : NULL;
    if (!suite)
        skip();
    assert_true(run(suite, "valid_path_parse_tests", 1) >= 2);
    assert_true(run(suite, "invalid_path_parse_tests", 0) > 30);
    assert_true(run(suite, "valid_mailbox_parse_tests", 1) > 8);
    assert_true(run(suite, "invalid_mailbox_parse_tests", 0) > 15);
    json_decref(suite);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(dovecots_paths_are_judged_alike)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
