// SPDX-License-Identifier: Apache-2.0
#include "master/api_internal.h"
#include "master/orders.h"
#include "master/takeover.h"

static void taken_over(struct change *change)
{
    struct call *call = change->context;
    struct orders *orders = call->api->master->orders;
    const char *node = call_text(call, "node");
    if (change->status != 200) {
        call_refuse(call, change->status, change->error);
        return;
    }
    orders_hurry(orders, node);
    call_answer(call, 200,
                json_pack("{s:s, s:s, s:i, s:O}", "node", node, "to", call_text(call, "to"),
                          "orders_open", (int)orders_open_of(orders, node), "copy_possible",
                          json_object_get(call->arguments, "force")));
}

static void start_takeover(struct call *call)
{
    char error[256];
    unsigned status;
    if (takeover_check(call->api->master, call->arguments, &status, error, sizeof(error)) < 0) {
        call_refuse(call, status, error);
        return;
    }
    struct change *change = change_new(call->api->master, json_incref(call->arguments),
                                       takeover_make, taken_over, call);
    change->author = call_text(call, "author");
    change_start(change);
}

void post_takeover(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    json_t *body = body_object(request, 0);
    if (body)
        api_call(self, request, start_takeover, body);
}
