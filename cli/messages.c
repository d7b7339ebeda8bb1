// SPDX-License-Identifier: Apache-2.0
#include "cli/messages.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "core/base/buffer.h"
#include <stdio.h>
#include <stdlib.h>

// "a@b: delivered, c@d: deferred"
char *format_recipients(const json_t *row)
{
    struct buffer text;
    const json_t *list = json_object_get(row, "recipients");
    buffer_init(&text);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *recipient = json_array_get(list, i);
        const char *plain = json_string_value(recipient);
        if (plain)
            buffer_printf(&text, "%s%s", i ? ", " : "", plain);
        else
            buffer_printf(&text, "%s%s: %s", i ? ", " : "", text_of(recipient, "address"),
                          text_of(recipient, "disposition"));
    }
    buffer_add(&text, "", 1);
    return text.data;
}

static const struct column columns[] = {{"ID", "id", 0, NULL},
                                        {"RECEIVED", "received_at", 24, NULL},
                                        {"SENDER", "sender", 32, NULL},
                                        {"RECIPIENTS", "", 64, format_recipients},
                                        {"SUBJECT", "subject", 40, NULL}};

static void print_recipients(const json_t *list)
{
    json_t *recipient;
    size_t i;
    json_array_foreach(list, i, recipient)
    {
        printf("    %-12s ", text_of(recipient, "disposition"));
        print_text(text_of(recipient, "address"));
        if (*text_of(recipient, "hop")) {
            printf("  at ");
            print_text(text_of(recipient, "hop"));
        }
        if (*text_of(recipient, "reply")) {
            printf("  said: ");
            print_text(text_of(recipient, "reply"));
        }
        if (*text_of(recipient, "next_try"))
            printf("  next try %s", text_of(recipient, "next_try"));
        puts("");
    }
}

void print_findings(const json_t *list)
{
    json_t *finding;
    size_t i;
    json_array_foreach(list, i, finding)
    {
        printf("    %8.1f  ", json_number_value(json_object_get(finding, "score")));
        print_text(text_of(finding, "name"));
        printf("  ");
        print_text(text_of(finding, "sentence"));
        puts("");
    }
}

void print_message(const json_t *message)
{
    static const char *const keys[] = {"id",     "message_id", "node",
                                       "sender", "subject",    "received_at"};
    json_t *entry;
    size_t i;
    for (i = 0; i < ARRAY_LENGTH(keys); i++) {
        printf("%-12s ", keys[i]);
        print_text(text_of(message, keys[i]));
        puts("");
    }
    json_array_foreach(json_object_get(message, "timeline"), i, entry)
    {
        printf("\n%s  %s", text_of(entry, "time"), text_of(entry, "kind"));
        if (*text_of(entry, "detail")) {
            printf("  ");
            print_text(text_of(entry, "detail"));
        }
        puts("");
        print_recipients(json_object_get(entry, "recipients"));
        print_findings(json_object_get(entry, "findings"));
    }
}

static int show_one(struct cli *self, const char *id)
{
    struct buffer path;
    buffer_init(&path);
    buffer_add_text(&path, "/messages");
    path_part(&path, id);
    buffer_add(&path, "", 1);
    json_t *message = client_ask(&self->client, "GET", path.data, NULL);
    buffer_free(&path);
    if (message && self->json)
        print_json(message);
    else if (message)
        print_message(message);
    json_decref(message);
    return message ? 0 : 1;
}

int print_rows(struct cli *self, const char *path, const struct column *table, size_t count)
{
    if (self->json)
        return client_copy(&self->client, path, stdout) < 0;
    json_t *rows = client_ask(&self->client, "GET", path, NULL);
    if (!rows)
        return 1;
    print_table(rows, table, count);
    json_decref(rows);
    return 0;
}

int command_messages(struct cli *self, int argc, char **argv)
{
    static const char *const names[] = {"sender",      "recipient", "message_id", "node",
                                        "disposition", "since",     "until",      "limit"};
    const char *values[ARRAY_LENGTH(names)] = {NULL};
    int rejected = 0, notices = 0, code;
    const struct option_row rows[] = {
        {"sender", &values[0], NULL},      {"recipient", &values[1], NULL},
        {"message-id", &values[2], NULL},  {"node", &values[3], NULL},
        {"disposition", &values[4], NULL}, {"since", &values[5], NULL},
        {"until", &values[6], NULL},       {"limit", &values[7], NULL},
        {"rejected", NULL, &rejected},     {"notices", NULL, &notices}};
    if (cli_options(self, rows, ARRAY_LENGTH(rows), &argc, argv, &code) < 0)
        return code;
    if (argc > 1)
        return cli_misused(self, "one ID at a time");
    if (argc == 1)
        return show_one(self, argv[0]);
    struct buffer path;
    buffer_init(&path);
    buffer_add_text(&path, "/messages");
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        path_argument(&path, names[i], values[i]);
    path_argument(&path, "rejected", rejected ? "1" : NULL);
    path_argument(&path, "notices", notices ? "1" : NULL);
    buffer_add(&path, "", 1);
    code = print_rows(self, path.data, columns, ARRAY_LENGTH(columns));
    buffer_free(&path);
    return code;
}
