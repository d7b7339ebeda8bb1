// SPDX-License-Identifier: Apache-2.0
#include "core/base/loop.h"
#include "master/api_internal.h"
#include "master/compare.h"
#include "master/peer.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The streams flow while they are compared: what differs is looked at again, up to where either
// side had been at first, until it has had time to arrive.
enum { AGAIN_MS = 1000, TRIES = 10 };

struct verification {
    struct call *call;
    struct api *api;
    struct master *master;
    struct timer *timer;
    struct compare *compare;
    struct reconcile_limit *reach; // of the first try
    size_t reach_count;
    unsigned tries;
};

static void end(struct verification *self)
{
    self->api->verification = NULL;
    timer_destroy(&self->timer);
    free(self->reach);
    free(self);
}

static json_t *difference_of(const struct reconcile_difference *difference)
{
    char epoch[17];
    snprintf(epoch, sizeof(epoch), "%016" PRIx64, difference->epoch);
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "node", difference->node, "epoch", epoch,
                     "from", (json_int_t)difference->first, "to", (json_int_t)difference->last,
                     "missing_here", (json_int_t)difference->missing_here, "missing_there",
                     (json_int_t)difference->missing_there);
}

static void answer(struct verification *self, const struct reconcile_report *report)
{
    const struct master *master = self->master;
    json_t *list = json_array();
    for (size_t i = 0; i < report->difference_count; i++)
        json_array_append_new(list, difference_of(&report->differences[i]));
    call_answer(self->call, 200,
                json_pack("{s:s, s:s, s:b, s:I, s:I, s:I, s:o}", "here", master->conf->name,
                          "there", peer_name(master->peer), "equal",
                          report->missing_here + report->missing_there == 0, "streams",
                          (json_int_t)report->streams, "missing_here",
                          (json_int_t)report->missing_here, "missing_there",
                          (json_int_t)report->missing_there, "differences", list));
}

static void compared(void *context, const struct reconcile_report *report)
{
    struct verification *self = context;
    self->compare = NULL;
    self->tries++;
    if (!report->complete) {
        call_refuse(self->call, 502, "the other master does not answer");
        end(self);
        return;
    }
    if (report->missing_here + report->missing_there == 0 || self->tries == TRIES) {
        answer(self, report);
        end(self);
        return;
    }
    if (!self->reach) {
        self->reach_count = report->reach_count;
        self->reach = allocate((report->reach_count + 1) * sizeof(*self->reach));
        memcpy(self->reach, report->reach, report->reach_count * sizeof(*self->reach));
    }
    timer_start(self->timer, AGAIN_MS);
}

static void begin(void *context)
{
    struct verification *self = context;
    self->compare = compare_start(self->master, 0, self->reach, self->reach_count, compared, self);
}

void verify_cancel(struct api *api)
{
    struct verification *self = api->verification;
    if (!self)
        return;
    compare_cancel(&self->compare);
    call_refuse(self->call, 503, "the master is stopping");
    end(self);
}

static const char *hindrance(const struct api *api, unsigned *ret_status)
{
    *ret_status = 409;
    if (!peer_known(api->master->peer))
        return "this master has no peer";
    if (api->verification)
        return "the masters are being verified already";
    *ret_status = 502;
    return peer_connected(api->master->peer) ? NULL : "the other master does not answer";
}

static void start(struct call *call)
{
    unsigned status;
    const char *why = hindrance(call->api, &status);
    if (why) {
        call_refuse(call, status, why);
        return;
    }
    struct verification *self = allocate(sizeof(*self));
    self->call = call;
    self->api = call->api;
    self->api->verification = self;
    self->master = call->api->master;
    self->timer = timer_new(self->master->loop, begin, self);
    begin(self);
}

void post_verify(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    api_call(self, request, start, json_object());
}
