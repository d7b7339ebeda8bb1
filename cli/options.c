// SPDX-License-Identifier: Apache-2.0
#include "cli/options.h"
#include <stdio.h>
#include <string.h>

static const struct option_row *find(const struct option_row *rows, size_t count, const char *text,
                                     size_t size)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(rows[i].name) == size && memcmp(rows[i].name, text, size) == 0)
            return &rows[i];
    return NULL;
}

int options_take(const struct option_row *rows, size_t count, int *argc, char **argv,
                 char *ret_error, size_t error_size)
{
    int kept = 0, plain = 0; // after "--" everything is
    for (int i = 0; i < *argc; i++) {
        const char *text = argv[i];
        if (plain || strncmp(text, "--", 2) != 0) {
            argv[kept++] = argv[i];
            continue;
        }
        plain = text[2] == 0;
        if (plain)
            continue;
        size_t size = strcspn(text + 2, "=");
        const struct option_row *row = find(rows, count, text + 2, size);
        const char *value = text[2 + size] == '=' ? text + 2 + size + 1 : NULL;
        if (row && !row->value && !value) {
            *row->flag = 1;
        } else if (row && row->value && (value || i + 1 < *argc)) {
            *row->value = value ? value : argv[++i];
        } else {
            snprintf(ret_error, error_size, "%.80s: %s", text,
                     !row         ? "there is no such option"
                     : row->value ? "it needs a value"
                                  : "it takes no value");
            return -1;
        }
    }
    *argc = kept;
    return 0;
}
