// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"
#include "cli/messages.h"
#include "core/base/buffer.h"
#include "core/base/clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { WAIT_MS = 10000, POLL_US = 200000 };

// "gtube, mime-ambiguous"
static char *format_findings(const json_t *row)
{
    struct buffer text;
    json_t *finding;
    size_t i;
    buffer_init(&text);
    json_array_foreach(json_object_get(row, "findings"), i, finding)
        buffer_printf(&text, "%s%s", i ? ", " : "", text_of(finding, "name"));
    buffer_add(&text, "", 1);
    return text.data;
}

static int quarantine_list(struct cli *self, int argc, char **argv)
{
    static const struct column columns[] = {{"ID", "id", 0, NULL},
                                            {"RECEIVED", "received_at", 24, NULL},
                                            {"NODE", "node", 24, NULL},
                                            {"SENDER", "sender", 32, NULL},
                                            {"RECIPIENTS", "", 48, format_recipients},
                                            {"FINDINGS", "", 48, format_findings}};
    static const char *const names[] = {"sender", "recipient",  "since", "until",
                                        "limit",  "message_id", "node"};
    const char *values[ARRAY_LENGTH(names)] = {NULL};
    int code;
    const struct option_row rows[] = {
        {"sender", &values[0], NULL}, {"recipient", &values[1], NULL},
        {"since", &values[2], NULL},  {"until", &values[3], NULL},
        {"limit", &values[4], NULL},  {"message-id", &values[5], NULL},
        {"node", &values[6], NULL}};
    if (cli_options(self, rows, ARRAY_LENGTH(rows), &argc, argv, &code) < 0)
        return code;
    if (argc > 0)
        return cli_misused(self, "list takes no argument");
    struct buffer path;
    buffer_init(&path);
    buffer_add_text(&path, "/quarantine");
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        path_argument(&path, names[i], values[i]);
    buffer_add(&path, "", 1);
    code = print_rows(self, path.data, columns, ARRAY_LENGTH(columns));
    buffer_free(&path);
    return code;
}

// "/quarantine/ID" or "/quarantine/ID/ACTION"; the caller frees it.
static char *path_of(const char *id, const char *action)
{
    struct buffer path;
    buffer_init(&path);
    buffer_add_text(&path, "/quarantine");
    path_part(&path, id);
    if (action)
        path_part(&path, action);
    buffer_add(&path, "", 1);
    return path.data;
}

static void print_states(const json_t *mail)
{
    json_t *entry;
    size_t i;
    puts("");
    json_array_foreach(json_object_get(mail, "states"), i, entry)
    {
        printf("    %-10s ", text_of(entry, "state"));
        print_text(text_of(entry, "address"));
        puts("");
    }
    json_array_foreach(json_object_get(mail, "orders"), i, entry)
    {
        printf("    %s by %s, round %lld: %s  ", text_of(entry, "kind"), text_of(entry, "author"),
               (long long)json_integer_value(json_object_get(entry, "round")),
               *text_of(entry, "outcome")                             ? text_of(entry, "outcome")
               : json_is_true(json_object_get(entry, "unreplicated")) ? "under way, unreplicated"
                                                                      : "under way");
        print_text(text_of(entry, "reply"));
        print_text(text_of(entry, "advice"));
        puts("");
    }
}

static int print_body(struct cli *self, const char *id)
{
    char *path = path_of(id, "body");
    size_t size;
    char *bytes = client_fetch(&self->client, path, &size);
    free(path);
    if (!bytes)
        return 1;
    size_t written = fwrite(bytes, 1, size, stdout);
    free(bytes);
    return written == size ? 0 : 1;
}

static int quarantine_show(struct cli *self, int argc, char **argv)
{
    int body = 0, code;
    const struct option_row rows[] = {{"body", NULL, &body}};
    if (cli_options(self, rows, ARRAY_LENGTH(rows), &argc, argv, &code) < 0)
        return code;
    if (argc != 1)
        return cli_misused(self, "show takes one ID");
    if (body)
        return print_body(self, argv[0]);
    char *path = path_of(argv[0], NULL);
    json_t *mail = client_ask(&self->client, "GET", path, NULL);
    free(path);
    if (mail && self->json) {
        print_json(mail);
    } else if (mail) {
        print_message(mail);
        print_states(mail);
    }
    json_decref(mail);
    return mail ? 0 : 1;
}

// What became of the orders, by their keys; NULL: the error was printed.
static json_t *outcomes_of(struct cli *self, const char *id, const json_t *orders)
{
    char *path = path_of(id, NULL);
    json_t *mail = client_ask(&self->client, "GET", path, NULL), *known, *order;
    json_t *mine = mail ? json_array() : NULL;
    size_t i, k;
    free(path);
    json_array_foreach(orders, i, order)
        json_array_foreach(json_object_get(mail, "orders"), k,
                           known) if (strcmp(text_of(known, "order"), text_of(order, "order")) == 0)
            json_array_append(mine, known);
    json_decref(mail);
    return mine;
}

static int all_ended(const json_t *orders)
{
    for (size_t i = 0; i < json_array_size(orders); i++)
        if (!*text_of(json_array_get(orders, i), "outcome"))
            return 0;
    return 1;
}

static const char *pending_text(const json_t *order)
{
    if (*text_of(order, "advice"))
        return text_of(order, "advice");
    if (json_is_true(json_object_get(order, "unreplicated")))
        return "ordered, unreplicated: the other master does not hold the order yet";
    return "ordered, the outcome is not known yet";
}

static const char *outcome_text(const json_t *order)
{
    const char *outcome = text_of(order, "outcome");
    if (strcmp(outcome, "unsure") == 0)
        return "unsure: perhaps delivered; `release --again` sends it once more";
    return *outcome ? outcome : pending_text(order);
}

// Prints one line for each order. 0 when every one ended as it was meant.
static int tell_outcomes(const struct cli *self, const char *id, const json_t *orders)
{
    json_t *order;
    size_t i;
    int code = 0;
    json_array_foreach(orders, i, order)
    {
        const char *outcome = text_of(order, "outcome");
        int good =
            !*outcome || strcmp(outcome, "delivered") == 0 || strcmp(outcome, "deleted") == 0;
        code |= !good;
        if (self->json)
            continue;
        printf("%s  ", id);
        print_text(text_of(order, "address"));
        printf("  %s  ", outcome_text(order));
        print_text(text_of(order, "reply"));
        puts("");
    }
    if (self->json)
        print_json(orders);
    return code;
}

static int order_one(struct cli *self, const char *id, const char *action, const json_t *body,
                     int no_wait)
{
    char *path = path_of(id, action);
    json_t *answer = client_ask(&self->client, "POST", path, body);
    json_t *orders = json_incref(json_object_get(answer, "orders"));
    int64_t end_ms = clock_monotonic_ms() + WAIT_MS;
    free(path);
    json_decref(answer);
    if (!orders)
        return 1;
    while (!no_wait && !all_ended(orders) && clock_monotonic_ms() < end_ms) {
        usleep(POLL_US);
        json_t *known = outcomes_of(self, id, orders);
        if (!known)
            break;
        json_decref(orders);
        orders = known;
    }
    int code = tell_outcomes(self, id, orders);
    json_decref(orders);
    return code;
}

static int order(struct cli *self, int argc, char **argv, const char *action, int releases)
{
    const char *recipient = NULL;
    int again = 0, no_wait = 0, code = 0;
    const struct option_row rows[] = {
        {"recipient", &recipient, NULL}, {"no-wait", NULL, &no_wait}, {"again", NULL, &again}};
    if (cli_options(self, rows, ARRAY_LENGTH(rows) - !releases, &argc, argv, &code) < 0)
        return code;
    if (argc == 0)
        return cli_misused(self, "%s takes at least one ID", action);
    json_t *body = json_pack("{s:b, s:s*}", "again", again, "recipient", recipient);
    for (int i = 0; i < argc; i++)
        code |= order_one(self, argv[i], action, body, no_wait);
    json_decref(body);
    return code;
}

static int quarantine_release(struct cli *self, int argc, char **argv)
{
    return order(self, argc, argv, "release", 1);
}

static int quarantine_delete(struct cli *self, int argc, char **argv)
{
    return order(self, argc, argv, "delete", 0);
}

// -- the sender of a mail onto an allow list

// The list with the sender among its entries; NULL: it stands there already.
static json_t *list_with(json_t *documents, const char *document, const char *sender)
{
    json_t *list = json_object_get(documents, document), *entry;
    json_t *entries = json_object_get(list, "entries");
    size_t i;
    json_array_foreach(entries, i,
                       entry) if (json_is_string(entry) &&
                                  strcasecmp(json_string_value(entry), sender) == 0) return NULL;
    list = list ? json_deep_copy(list) : json_pack("{s:s, s:s}", "kind", "allow", "of", "sender");
    entries = json_object_get(list, "entries");
    if (!entries)
        json_object_set_new(list, "entries", entries = json_array());
    json_array_append_new(entries, json_string(sender));
    return list;
}

static int allow_sender(struct cli *self, const char *sender, const char *name)
{
    char document[80];
    snprintf(document, sizeof(document), "list/%s", name);
    json_t *tree = client_ask(&self->client, "GET", "/config", NULL);
    if (!tree)
        return 1;
    json_t *list = list_with(json_object_get(tree, "documents"), document, sender);
    json_t *done = NULL;
    int known = list == NULL;
    if (list) {
        json_t *edit = json_pack("{s:{s:o}, s:s, s:s}", "documents", document, list, "base",
                                 text_of(tree, "revision"), "comment", "allow-sender");
        done = client_ask(&self->client, "POST", "/config/apply", edit);
        json_decref(edit);
    }
    json_decref(tree);
    if (self->json && done)
        print_json(done);
    else if (done || known) {
        print_text(sender);
        printf("  %s %s\n", known ? "stands already in" : "was added to", document);
    }
    json_decref(done);
    return done || known ? 0 : 1;
}

static int allow_sender_of(struct cli *self, const char *id, const char *list)
{
    char *path = path_of(id, NULL);
    json_t *mail = client_ask(&self->client, "GET", path, NULL);
    const char *sender = text_of(mail, "sender");
    int code = 1;
    free(path);
    if (mail && !*sender)
        fprintf(stderr, "postern: %s has no sender\n", id);
    else if (mail)
        code = allow_sender(self, sender, list);
    json_decref(mail);
    return code;
}

static int quarantine_allow(struct cli *self, int argc, char **argv)
{
    const char *list = "allowed-senders";
    int code = 0;
    const struct option_row rows[] = {{"list", &list, NULL}};
    if (cli_options(self, rows, ARRAY_LENGTH(rows), &argc, argv, &code) < 0)
        return code;
    if (argc == 0)
        return cli_misused(self, "allow-sender takes at least one ID");
    if (self->local) {
        fprintf(stderr, "postern: lists are the masters'; ask one of them\n");
        return 1;
    }
    for (int i = 0; i < argc; i++)
        code |= allow_sender_of(self, argv[i], list);
    return code;
}

// -- another worker takes over

static int quarantine_takeover(struct cli *self, int argc, char **argv)
{
    const char *to = NULL;
    int force = 0, code;
    const struct option_row rows[] = {{"to", &to, NULL}, {"force", NULL, &force}};
    if (cli_options(self, rows, ARRAY_LENGTH(rows), &argc, argv, &code) < 0)
        return code;
    if (argc != 1)
        return cli_misused(self, "takeover takes one NODE");
    json_t *body = json_pack("{s:s, s:s*, s:b}", "node", argv[0], "to", to, "force", force);
    json_t *answer = client_ask(&self->client, "POST", "/takeovers", body);
    json_decref(body);
    if (answer && self->json)
        print_json(answer);
    else if (answer)
        printf("%s takes over from %s, %lld open orders%s\n", text_of(answer, "to"), argv[0],
               (long long)json_integer_value(json_object_get(answer, "orders_open")),
               json_is_true(json_object_get(answer, "copy_possible"))
                   ? "; a second copy of a mail is possible"
                   : "");
    json_decref(answer);
    return answer ? 0 : 1;
}

int command_quarantine(struct cli *self, int argc, char **argv)
{
    static const struct subcommand rows[] = {
        {"list", quarantine_list},          {"show", quarantine_show},
        {"release", quarantine_release},    {"delete", quarantine_delete},
        {"allow-sender", quarantine_allow}, {"takeover", quarantine_takeover}};
    return cli_choose(self, rows, ARRAY_LENGTH(rows), argc, argv);
}
