// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"
#include "cli/output.h"
#include "core/base/buffer.h"
#include <stdio.h>

static int print_event(void *context, const char *line)
{
    const struct cli *self = context;
    if (self->json) {
        puts(line);
    } else {
        json_t *event = json_loads(line, 0, NULL);
        printf("%s  %-11s  %s  %s  ", text_of(event, "time"), text_of(event, "kind"),
               text_of(event, "node"), text_of(event, "id"));
        print_text(text_of(event, "message_id"));
        if (*text_of(event, "detail")) {
            printf("  ");
            print_text(text_of(event, "detail"));
        }
        puts("");
        json_decref(event);
    }
    return fflush(stdout) != 0; // whoever read us is gone
}

int command_events(struct cli *self, int argc, char **argv)
{
    const char *after = NULL, *limit = NULL;
    int follow = 0, code;
    const struct option_row rows[] = {
        {"after", &after, NULL}, {"limit", &limit, NULL}, {"follow", NULL, &follow}};
    if (cli_options(self, rows, ARRAY_LENGTH(rows), &argc, argv, &code) < 0)
        return code;
    if (argc > 0)
        return cli_misused(self, "it takes no argument");
    struct buffer path;
    buffer_init(&path);
    buffer_add_text(&path, "/events");
    path_argument(&path, "after", after);
    path_argument(&path, "limit", limit);
    path_argument(&path, "follow", follow ? "1" : NULL);
    buffer_add(&path, "", 1);
    code = client_follow(&self->client, path.data, print_event, self) < 0;
    buffer_free(&path);
    return code;
}
