// SPDX-License-Identifier: Apache-2.0
#include "master/api_internal.h"
#include "master/commands.h"
#include "master/door.h"
#include "master/member_changes.h"
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

static void answer_done(struct change *change)
{
    struct call *call = change->context;
    if (change->status == 200)
        call_answer(call, 200, json_pack("{s:s}", "name", change_text(change, "name")));
    else
        call_refuse(call, change->status, change->error);
}

static void answer_made(struct change *change)
{
    struct call *call = change->context;
    if (change->status == 200)
        call_answer(call, 201,
                    json_pack("{s:s, s:o}", "name", change_text(change, "name"), "warnings",
                              members_warnings(&change->master->members)));
    else
        call_refuse(call, change->status, change->error);
}

static void start(struct call *call, change_make_fn *make, change_done_fn *done)
{
    struct change *change =
        change_new(call->api->master, json_incref(call->arguments), make, done, call);
    change->author = call_text(call, "author");
    change_start(change);
}

static void start_add(struct call *call)
{
    start(call, member_add, answer_made);
}

static void start_remove(struct call *call)
{
    start(call, member_remove, answer_done);
}

void post_node(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    json_t *body = body_object(request, 0);
    if (body)
        api_call(self, request, start_add, body);
}

void delete_node(struct api *self, struct request *request, const char *rest)
{
    json_t *arguments = json_pack("{s:s}", "name", rest);
    if (arguments)
        api_call(self, request, start_remove, arguments);
    else
        request_refuse(request, 400, "this is no name");
}

static const struct {
    const char *action;
    change_make_fn *make;
} actions[] = {
    {"drain", member_drain},
    {"undrain", member_undrain},
    {"revoke", member_revoke},
    {"rename", member_rename},
};

enum { ROTATE_MS = 10000 };

static void rotated(void *context, const struct member *member, json_t *reply, const char *error)
{
    struct call *call = context;
    (void)member;
    if (error) {
        call_refuse(call, 503, error);
        return;
    }
    json_object_set(call->arguments, "key", json_object_get(reply, "key"));
    start(call, member_rekey, answer_done);
}

// The node makes its key itself and tells the public half.
static void start_rotation(struct call *call)
{
    struct master *master = call->api->master;
    struct member *member = members_by_name(&master->members, call_text(call, "name"));
    json_t *command = json_pack("{s:s}", "command", "rotate-key");
    int is_us = strcmp(call_text(call, "name"), master->conf->name) == 0;
    if (!member && !is_us)
        call_refuse(call, 404, "there is no node of that name; see `postern node list`");
    else if (is_us || member->role != ROLE_WORKER)
        call_refuse(call, 422, "only a worker's key can be rotated; a master joins anew");
    else
        commands_send(master->commands, member, command, ROTATE_MS, rotated, call);
    json_decref(command);
}

static void start_action(struct call *call)
{
    const char *action = call_text(call, "action");
    if (strcmp(action, "rotate-key") == 0) {
        start_rotation(call);
        return;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(actions); i++)
        if (strcmp(actions[i].action, action) == 0) {
            start(call, actions[i].make, answer_done);
            return;
        }
    call_refuse(call, 404, "no such path");
}

// POST /nodes/NAME/ACTION
void post_node_change(struct api *self, struct request *request, const char *rest)
{
    const char *slash = strrchr(rest, '/');
    json_t *body = slash ? body_object(request, 1) : NULL;
    if (!slash)
        request_refuse(request, 404, "no such path");
    if (!body)
        return;
    json_object_set_new(body, "name", json_stringn(rest, (size_t)(slash - rest)));
    json_object_set_new(body, "action", json_string(slash + 1));
    api_call(self, request, start_action, body);
}

// -- tokens

enum { LIFETIME_S = 3600, LIFETIME_MOST_S = 7 * 24 * 3600 };

static void answer_token(struct call *call)
{
    const json_t *lifetime = json_object_get(call->arguments, "lifetime_s");
    const char *role = call_text(call, "role");
    int64_t lifetime_s = lifetime ? json_integer_value(lifetime) : LIFETIME_S;
    char error[256];
    if (*role && role_of(role) != ROLE_WORKER && role_of(role) != ROLE_MASTER) {
        call_refuse(call, 422, "role: give worker or master");
        return;
    }
    if (lifetime_s < 1 || lifetime_s > LIFETIME_MOST_S) {
        call_refuse(call, 422, "lifetime_s: give 1 to 604800 seconds");
        return;
    }
    char *token =
        door_token(call->api->master->door, *role ? (enum role)role_of(role) : ROLE_WORKER,
                   call_text(call, "name"), lifetime_s, error, sizeof(error));
    if (!token) {
        call_refuse(call, 503, error);
        return;
    }
    call_answer(call, 201,
                json_pack("{s:s, s:I}", "token", token, "lifetime_s", (json_int_t)lifetime_s));
    OPENSSL_cleanse(token, strlen(token));
    free(token);
}

void post_token(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    json_t *body = body_object(request, 1);
    if (body)
        api_call(self, request, answer_token, body);
}
