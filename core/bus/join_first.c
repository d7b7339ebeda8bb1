// SPDX-License-Identifier: Apache-2.0
#include "core/base/process.h"
#include "core/bus/join.h"
#include "core/bus/socket.h"
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_REFUSED = 1, EXIT_USAGE = 2, REASON = 512 };

// Those that are kept are for process_start, too.
static const struct row {
    const char *name;
    size_t offset;
    int kept;
} rows[] = {
    {"--join", offsetof(struct join_options, token), 0},
    {"--name", offsetof(struct join_options, name), 0},
    {"--site", offsetof(struct join_options, site), 0},
    {"--smtp", offsetof(struct join_options, smtp), 0},
    {"--https", offsetof(struct join_options, https), 0},
    {"--config", offsetof(struct join_options, config), 1},
    {"--state", offsetof(struct join_options, state), 1},
    {"--run", offsetof(struct join_options, run), 1},
};

static const struct row *row_of(const char *argument)
{
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        size_t size = strlen(rows[i].name);
        if (strncmp(argument, rows[i].name, size) == 0 &&
            (argument[size] == 0 || argument[size] == '='))
            return &rows[i];
    }
    return NULL;
}

static struct join_options take_options(const char *program, int *argc, char **argv)
{
    struct join_options found = {0};
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        const struct row *row = row_of(argv[i]);
        const char *equals = row ? strchr(argv[i], '=') : NULL;
        int first = i;
        if (row && !equals && ++i == *argc) {
            fprintf(stderr, "%s: %s needs a value\n", program, row->name);
            exit(EXIT_USAGE);
        }
        if (row)
            *(const char **)((char *)&found + row->offset) = equals ? equals + 1 : argv[i];
        for (int at = first; (!row || row->kept) && at <= i; at++)
            argv[kept++] = argv[at];
    }
    argv[kept] = NULL;
    *argc = kept;
    return found;
}

void join_first(const char *program, const char *role, int *argc, char **argv)
{
    static char config[256];
    struct join_options options = take_options(program, argc, argv);
    struct nodeconf conf;
    char error[REASON] = "";
    if (!options.token)
        return;
    options.role = role;
    options.config = process_config_path(options.config, options.state, config);
    switch (join_node(&options, &conf, error, sizeof(error))) {
    case JOIN_DONE:
        fprintf(stderr, "%s: joined as %s\n", program, conf.name);
        break;
    case JOIN_BEFORE:
        fprintf(stderr, "%s: it has joined as %s, the token is not used\n", program, conf.name);
        break;
    case JOIN_FAILED:
        fprintf(stderr, "%s: not joined: %s\n", program, error);
        exit(EXIT_REFUSED);
    }
    socket_context_end(); // the daemon makes its own
}
