// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"
#include "cli/output.h"
#include "core/base/buffer.h"
#include <stdio.h>
#include <string.h>

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
        if (*text_of(event, "alarm")) {
            printf("  %s ", json_is_true(json_object_get(event, "clear")) ? "over:" : "ALARM");
            print_text(text_of(event, "alarm"));
        }
        if (*text_of(event, "detail")) {
            printf("  ");
            print_text(text_of(event, "detail"));
        }
        puts("");
        json_decref(event);
    }
    return fflush(stdout) != 0; // whoever read us is gone
}

// "kind=bounced,node=worker-1": each becomes an argument of the request. -1: it is no filter.
static int add_filter(struct buffer *path, const char *filter)
{
    static const char *const names[] = {"kind", "node", "sender", "recipient"};
    char text[2048], *rest = text, *part;
    if ((size_t)snprintf(text, sizeof(text), "%s", filter) >= sizeof(text))
        return -1;
    while ((part = strsep(&rest, ","))) {
        char *value = strchr(part, '=');
        size_t i = 0;
        if (!value || !value[1])
            return -1;
        *value++ = 0;
        while (i < ARRAY_LENGTH(names) && strcmp(names[i], part) != 0)
            i++;
        if (i == ARRAY_LENGTH(names))
            return -1;
        path_argument(path, names[i], value);
    }
    return 0;
}

int command_events(struct cli *self, int argc, char **argv)
{
    const char *after = NULL, *limit = NULL, *filter = NULL;
    int follow = 0, code;
    const struct option_row rows[] = {{"after", &after, NULL},
                                      {"limit", &limit, NULL},
                                      {"filter", &filter, NULL},
                                      {"follow", NULL, &follow}};
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
    if (filter && add_filter(&path, filter) < 0) {
        buffer_free(&path);
        return cli_misused(self, "filter: give NAME=VALUE[,...] of kind, node, sender, recipient");
    }
    buffer_add(&path, "", 1);
    code = client_follow(&self->client, path.data, print_event, self) < 0;
    buffer_free(&path);
    return code;
}
