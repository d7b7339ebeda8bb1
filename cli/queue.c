// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"
#include "cli/output.h"
#include "core/base/buffer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char *format_next(const json_t *row)
{
    char text[32] = "";
    struct tm parts;
    time_t next = (time_t)(json_integer_value(json_object_get(row, "next_ms")) / 1000);
    if (json_is_true(json_object_get(row, "held")))
        return duplicate("held");
    if (next && gmtime_r(&next, &parts))
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    return duplicate(text);
}

// The recipients that still wait, with what was said to them last.
static char *format_open(const json_t *row)
{
    struct buffer text;
    json_t *recipient;
    size_t i;
    buffer_init(&text);
    json_array_foreach(json_object_get(row, "recipients"), i, recipient)
    {
        if (!json_is_true(json_object_get(recipient, "open")))
            continue;
        buffer_printf(&text, "%s%s", buffer_size(&text) ? ", " : "", text_of(recipient, "address"));
        if (*text_of(recipient, "reply"))
            buffer_printf(&text, " (%s)", text_of(recipient, "reply"));
    }
    buffer_add(&text, "", 1);
    return text.data;
}

static const struct column columns[] = {
    {"ID", "id", 0, NULL},          {"NODE", "node", 24, NULL},
    {"TRIES", "attempts", 0, NULL}, {"NEXT TRY", "", 0, format_next},
    {"SENDER", "sender", 32, NULL}, {"WAITING", "", 96, format_open}};

// Says which workers could not be asked. The exit code.
static int print_errors(const json_t *answer)
{
    json_t *entry;
    size_t i;
    json_array_foreach(json_object_get(answer, "errors"), i, entry)
        fprintf(stderr, "postern: %s: %s\n", text_of(entry, "node"), text_of(entry, "error"));
    return json_array_size(json_object_get(answer, "errors")) > 0;
}

static int print_queue(struct cli *self, const char *path, int must_find)
{
    json_t *answer = client_ask(&self->client, "GET", path, NULL);
    json_t *rows = json_object_get(answer, "rows");
    if (!answer)
        return 1;
    if (self->json)
        print_json_rows(rows);
    else
        print_table(rows, columns, ARRAY_LENGTH(columns));
    int code = print_errors(answer);
    if (must_find && json_array_size(rows) == 0) {
        fprintf(stderr, "postern: no such mail waits in a queue\n");
        code = 1;
    }
    json_decref(answer);
    return code;
}

static int queue_list(struct cli *self, int argc, char **argv)
{
    const char *limit = NULL, *node = NULL;
    int code;
    const struct option_row rows[] = {{"limit", &limit, NULL}, {"node", &node, NULL}};
    if (cli_options(self, rows, ARRAY_LENGTH(rows), &argc, argv, &code) < 0)
        return code;
    if (argc > 0)
        return cli_misused(self, "list takes no argument");
    struct buffer path;
    buffer_init(&path);
    buffer_add_text(&path, "/queue");
    path_argument(&path, "limit", limit);
    path_argument(&path, "node", node);
    buffer_add(&path, "", 1);
    code = print_queue(self, path.data, 0);
    buffer_free(&path);
    return code;
}

static int queue_show(struct cli *self, int argc, char **argv)
{
    struct buffer path;
    int code;
    if (cli_options(self, NULL, 0, &argc, argv, &code) < 0)
        return code;
    if (argc != 1)
        return cli_misused(self, "show takes one ID");
    buffer_init(&path);
    buffer_add_text(&path, "/queue");
    path_part(&path, argv[0]);
    buffer_add(&path, "", 1);
    code = print_queue(self, path.data, 1);
    buffer_free(&path);
    return code;
}

// Tells how many mails it was done to; none is a failure.
static int tell_count(struct cli *self, json_t *answer, const char *action)
{
    json_int_t count = 0;
    json_t *row;
    size_t i;
    if (!answer)
        return 1;
    json_array_foreach(json_object_get(answer, "rows"), i, row) count +=
        json_integer_value(json_object_get(row, "count"));
    if (self->json)
        printf("{\"count\": %lld}\n", (long long)count);
    else
        printf("%s: %lld\n", action, (long long)count);
    int code = print_errors(answer);
    json_decref(answer);
    return count > 0 ? code : 1;
}

static int act(struct cli *self, int argc, char **argv, const char *action, int whole)
{
    int all = 0, code;
    const struct option_row rows[] = {{"all", NULL, &all}};
    if (cli_options(self, rows, whole ? ARRAY_LENGTH(rows) : 0, &argc, argv, &code) < 0)
        return code;
    if (argc + all != 1)
        return cli_misused(self, "%s takes one ID%s", action, whole ? ", or --all" : "");
    if (all) {
        json_t *body = json_pack("{s:s}", "action", action);
        json_t *answer = client_ask(&self->client, "POST", "/queue", body);
        json_decref(body);
        int told = answer != NULL;
        tell_count(self, answer, action);
        return told ? 0 : 1; // an empty queue is no failure
    }
    struct buffer path;
    buffer_init(&path);
    buffer_add_text(&path, "/queue");
    path_part(&path, argv[0]);
    path_part(&path, action);
    buffer_add(&path, "", 1);
    json_t *answer = client_ask(&self->client, "POST", path.data, NULL);
    buffer_free(&path);
    return tell_count(self, answer, action);
}

static int queue_retry(struct cli *self, int argc, char **argv)
{
    return act(self, argc, argv, "retry", 1);
}

static int queue_hold(struct cli *self, int argc, char **argv)
{
    return act(self, argc, argv, "hold", 0);
}

static int queue_delete(struct cli *self, int argc, char **argv)
{
    return act(self, argc, argv, "delete", 0);
}

int command_queue(struct cli *self, int argc, char **argv)
{
    static const struct subcommand rows[] = {{"list", queue_list},
                                             {"show", queue_show},
                                             {"retry", queue_retry},
                                             {"hold", queue_hold},
                                             {"delete", queue_delete}};
    return cli_choose(self, rows, ARRAY_LENGTH(rows), argc, argv);
}
