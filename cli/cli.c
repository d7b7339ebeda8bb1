// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MOST = 24 };

static void find_socket(struct cli *self)
{
    const char *home = getenv("POSTERN_HOME");
    if (self->socket_option)
        snprintf(self->socket, sizeof(self->socket), "%s", self->socket_option);
    else if (self->run)
        snprintf(self->socket, sizeof(self->socket), "%s/api.sock", self->run);
    else if (home && *home)
        snprintf(self->socket, sizeof(self->socket), "%s/run/%s/api.sock", home,
                 self->local ? "worker" : "master");
    else
        snprintf(self->socket, sizeof(self->socket), "/run/postern/api.sock");
    self->client.socket = self->socket;
}

int cli_misused(const struct cli *self, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fprintf(stderr, "postern %s: ", self->name);
    vfprintf(stderr, format, list);
    fprintf(stderr, "\n%s", self->help);
    va_end(list);
    return 2;
}

int cli_options(struct cli *self, const struct option_row *rows, size_t count, int *argc,
                char **argv, int *ret_code)
{
    int help = 0;
    char error[160];
    const struct option_row common[] = {{"json", NULL, &self->json},
                                        {"run", &self->run, NULL},
                                        {"socket", &self->socket_option, NULL},
                                        {"local", NULL, &self->local},
                                        {"help", NULL, &help}};
    struct option_row all[OPTIONS_MOST];
    memcpy(all, common, sizeof(common));
    if (count > 0)
        memcpy(all + ARRAY_LENGTH(common), rows, count * sizeof(*rows));
    if (options_take(all, ARRAY_LENGTH(common) + count, argc, argv, error, sizeof(error)) < 0) {
        *ret_code = cli_misused(self, "%s", error);
        return -1;
    }
    if (help) {
        fputs(self->help, stdout);
        *ret_code = 0;
        return -1;
    }
    find_socket(self);
    return 0;
}

int cli_choose(struct cli *self, const struct subcommand *rows, size_t count, int argc, char **argv)
{
    if (argc < 1)
        return cli_misused(self, "what of it?");
    if (strcmp(argv[0], "--help") == 0) {
        fputs(self->help, stdout);
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, argv[0]) == 0)
            return rows[i].fn(self, argc - 1, argv + 1);
    return cli_misused(self, "there is no \"%s\"", argv[0]);
}
