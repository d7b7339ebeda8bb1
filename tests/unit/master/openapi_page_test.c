// SPDX-License-Identifier: Apache-2.0
// docs/openapi.yaml describes what the API answers, and nothing else.
#include "core/base/file.h"
#include "master/api_internal.h"
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PAGE_MOST = 1024 * 1024, OPERATIONS_MOST = 100, PATH_MOST = 64 };

// "GET /messages/" for the page's /messages/{id}, get.
struct operation {
    char method[8], path[PATH_MOST];
};

struct page {
    struct operation operations[OPERATIONS_MOST];
    size_t count;
};

// tests/unit/master/ of this file's path becomes docs/.
static char *read_page(void)
{
    const char *path = __FILE__, *end = strstr(path, "tests/unit/master/");
    char name[512];
    size_t size;
    assert_non_null(end);
    snprintf(name, sizeof(name), "%.*sdocs/openapi.yaml", (int)(end - path), path);
    char *text = file_read(name, PAGE_MOST, &size);
    if (!text)
        fail_msg("%s cannot be read", name);
    return text;
}

// A path stands at two spaces, its methods at four.
static void read_line(struct page *self, const char *line, char path[PATH_MOST])
{
    char word[PATH_MOST];
    int end = 0;
    if (sscanf(line, "  /%62[^:]:%n", word, &end) == 1 && end && strncmp(line, "  /", 3) == 0) {
        word[strcspn(word, "{")] = 0; // what follows is the route's rest
        snprintf(path, PATH_MOST, "/%.62s", word);
    } else if (strncmp(line, "    ", 4) == 0 && islower((unsigned char)line[4]) && *path) {
        struct operation *operation = &self->operations[self->count];
        if (sscanf(line, "    %7[a-z]:", operation->method) != 1 ||
            strcmp(operation->method, "paramet") == 0)
            return;
        for (char *at = operation->method; *at; at++)
            *at = (char)toupper((unsigned char)*at);
        memcpy(operation->path, path, PATH_MOST);
        self->count++;
        assert_true(self->count < OPERATIONS_MOST);
    }
}

static void parse(struct page *self)
{
    char *text = read_page(), path[PATH_MOST] = "";
    char *line = strstr(text, "\npaths:\n"), *end = strstr(text, "\ncomponents:\n");
    assert_true(line && end);
    *end = 0;
    for (line = strtok(line, "\n"); line; line = strtok(NULL, "\n"))
        read_line(self, line, path);
    free(text);
}

static int is_described(const struct page *page, const struct route *route)
{
    for (size_t i = 0; i < page->count; i++)
        if (strcmp(page->operations[i].method, route->method) == 0 &&
            strcmp(page->operations[i].path, route->path) == 0)
            return 1;
    return 0;
}

static int is_answered(const struct operation *operation)
{
    for (size_t i = 0; i < api_route_count; i++)
        if (strcmp(api_routes[i].method, operation->method) == 0 &&
            strcmp(api_routes[i].path, operation->path) == 0)
            return 1;
    return 0;
}

static void test_the_page_describes_every_route_and_no_other(void **state)
{
    (void)state;
    struct page *page = allocate(sizeof(*page));
    parse(page);
    for (size_t i = 0; i < api_route_count; i++)
        if (!is_described(page, &api_routes[i]))
            fail_msg("docs/openapi.yaml lacks %s %s", api_routes[i].method, api_routes[i].path);
    for (size_t i = 0; i < page->count; i++)
        if (!is_answered(&page->operations[i]))
            fail_msg("nothing answers %s %s", page->operations[i].method, page->operations[i].path);
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_page_describes_every_route_and_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
