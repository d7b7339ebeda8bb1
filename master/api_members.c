// SPDX-License-Identifier: Apache-2.0
#include "master/api_internal.h"
#include "master/member_changes.h"

static void answer(struct change *change, unsigned status)
{
    struct call *call = change->context;
    if (change->status == 200)
        call_answer(call, status, json_pack("{s:s}", "name", change_text(change, "name")));
    else
        call_refuse(call, change->status, change->error);
}

static void answer_made(struct change *change)
{
    answer(change, 201);
}

static void answer_done(struct change *change)
{
    answer(change, 200);
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
