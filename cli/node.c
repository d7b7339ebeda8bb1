// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"
#include "cli/messages.h"
#include "core/base/buffer.h"
#include <stdio.h>

// Does it run another tree than this master?
static char *format_drift(const json_t *row)
{
    return duplicate(json_is_true(json_object_get(row, "drift")) ? "DRIFT" : "");
}

static int node_list(struct cli *self, int argc, char **argv)
{
    static const struct column columns[] = {
        {"NAME", "name", 32, NULL},        {"ROLE", "role", 0, NULL},
        {"STATE", "state", 0, NULL},       {"SITE", "site", 24, NULL},
        {"REVISION", "revision", 0, NULL}, {"DRIFT", "", 0, format_drift},
        {"VERSION", "version", 0, NULL},   {"REFUSED", "reason", 80, NULL}};
    int code;
    if (cli_options(self, NULL, 0, &argc, argv, &code) < 0)
        return code;
    if (argc > 0)
        return cli_misused(self, "list takes no argument");
    return print_rows(self, "/nodes", columns, ARRAY_LENGTH(columns));
}

static int node_add(struct cli *self, int argc, char **argv)
{
    const char *role = "worker";
    int code;
    const struct option_row rows[] = {{"role", &role, NULL}};
    if (cli_options(self, rows, ARRAY_LENGTH(rows), &argc, argv, &code) < 0)
        return code;
    if (argc != 2)
        return cli_misused(self, "add takes NAME and KEY");
    json_t *body = json_pack("{s:s, s:s, s:s}", "name", argv[0], "key", argv[1], "role", role);
    json_t *answer = client_ask(&self->client, "POST", "/nodes", body);
    if (answer && self->json)
        print_json(answer);
    else if (answer)
        printf("%s is a member now\n", argv[0]);
    print_warnings(answer);
    json_decref(body);
    json_decref(answer);
    return answer ? 0 : 1;
}

static int node_remove(struct cli *self, int argc, char **argv)
{
    struct buffer path;
    int code;
    if (cli_options(self, NULL, 0, &argc, argv, &code) < 0)
        return code;
    if (argc != 1)
        return cli_misused(self, "remove takes one NAME");
    buffer_init(&path);
    buffer_add_text(&path, "/nodes");
    path_part(&path, argv[0]);
    buffer_add(&path, "", 1);
    json_t *answer = client_ask(&self->client, "DELETE", path.data, NULL);
    buffer_free(&path);
    if (answer && self->json)
        print_json(answer);
    else if (answer)
        printf("%s is removed, its key revoked\n", argv[0]);
    json_decref(answer);
    return answer ? 0 : 1;
}

// Does something to a node: POST /nodes/NAME/ACTION.
static int act(struct cli *self, char **argv, const char *action, json_t *body, const char *done)
{
    struct buffer path;
    buffer_init(&path);
    buffer_add_text(&path, "/nodes");
    path_part(&path, argv[0]);
    path_part(&path, action);
    buffer_add(&path, "", 1);
    json_t *answer = client_ask(&self->client, "POST", path.data, body);
    buffer_free(&path);
    if (answer && self->json)
        print_json(answer);
    else if (answer)
        printf("%s %s\n", argv[0], done);
    json_decref(body);
    json_decref(answer);
    return answer ? 0 : 1;
}

static int act_simply(struct cli *self, int argc, char **argv, const char *action, const char *done)
{
    int code;
    if (cli_options(self, NULL, 0, &argc, argv, &code) < 0)
        return code;
    if (argc != 1)
        return cli_misused(self, "%s takes one NAME", action);
    return act(self, argv, action, json_object(), done);
}

static int node_drain(struct cli *self, int argc, char **argv)
{
    return act_simply(self, argc, argv, "drain", "takes no new mail and finishes what it has");
}

static int node_undrain(struct cli *self, int argc, char **argv)
{
    return act_simply(self, argc, argv, "undrain", "takes mail again");
}

static int node_revoke(struct cli *self, int argc, char **argv)
{
    return act_simply(self, argc, argv, "revoke", "is revoked: its key can never come back");
}

static int node_rotate(struct cli *self, int argc, char **argv)
{
    return act_simply(self, argc, argv, "rotate-key", "has a new key; the old one ends in a day");
}

static int node_rename(struct cli *self, int argc, char **argv)
{
    int code;
    if (cli_options(self, NULL, 0, &argc, argv, &code) < 0)
        return code;
    if (argc != 2)
        return cli_misused(self, "rename takes NAME and its new name");
    return act(self, argv, "rename", json_pack("{s:s}", "to", argv[1]), "is renamed");
}

static int node_show(struct cli *self, int argc, char **argv)
{
    struct buffer path;
    int code;
    if (cli_options(self, NULL, 0, &argc, argv, &code) < 0)
        return code;
    if (argc != 1)
        return cli_misused(self, "show takes one NAME");
    buffer_init(&path);
    buffer_add_text(&path, "/nodes");
    path_part(&path, argv[0]);
    buffer_add(&path, "", 1);
    json_t *answer = client_ask(&self->client, "GET", path.data, NULL);
    buffer_free(&path);
    if (answer && self->json)
        print_json(answer);
    else if (answer)
        print_json_indented(answer);
    json_decref(answer);
    return answer ? 0 : 1;
}

int command_node(struct cli *self, int argc, char **argv)
{
    static const struct subcommand rows[] = {
        {"list", node_list},     {"show", node_show},       {"add", node_add},
        {"drain", node_drain},   {"undrain", node_undrain}, {"revoke", node_revoke},
        {"remove", node_remove}, {"rename", node_rename},   {"rotate-key", node_rotate}};
    return cli_choose(self, rows, ARRAY_LENGTH(rows), argc, argv);
}
