// SPDX-License-Identifier: Apache-2.0
#pragma once

// Shared by the api_*.c files.
#include "core/net/http.h"
#include "master/api.h"
#include <sqlite3.h>
#include <stdatomic.h>

struct mailbox;
struct verification;

struct api {
    struct master *master;
    struct http *http, *probes;
    struct mailbox *calls;             // from the HTTP thread to the loop
    struct store_reader *reader;       // the HTTP thread's
    sqlite3 *cluster;                  // the HTTP thread's, for reading
    struct verification *verification; // under way, on the loop
    // What the loop last said of itself, for the probes.
    _Atomic int64_t turned_ms; // monotonic
    atomic_int ready;
};

// A request on its way through the loop (and maybe the writer): whoever ends it answers and frees
// it.
struct call;
typedef void call_fn(struct call *call);
struct call {
    struct api *api;
    struct request *request;
    call_fn *fn;
    json_t *arguments; // an object
};

// Puts the request off and has `fn` run on the loop. Takes the arguments; adds the author.
void api_call(struct api *self, struct request *request, call_fn *fn, json_t *arguments);
void call_answer(struct call *call, unsigned status, json_t *value); // takes both
void call_answer_bytes(struct call *call, const char *type, const void *bytes, size_t size);
void call_refuse(struct call *call, unsigned status, const char *error);
const char *call_text(const struct call *call, const char *key); // "" when not given

// `rest` is what stands in the path after the route's prefix.
typedef void route_fn(struct api *self, struct request *request, const char *rest);
route_fn get_messages, get_message, get_events;
route_fn get_quarantine, get_quarantined, post_quarantined, post_takeover;
route_fn get_config, get_document, put_document, delete_document, post_apply, post_rollback,
    get_history, get_difference, get_conflicts, post_resolve;
route_fn post_verify;
route_fn get_status, get_nodes, get_node, post_node, post_node_change, delete_node, post_token;
route_fn get_queue, get_queued, post_queue, post_queued;

// A path that ends with '/' matches whatever follows, which is then the rest.
struct route {
    const char *method, *path;
    route_fn *fn;
};
extern const struct route api_routes[];
extern const size_t api_route_count;

void verify_cancel(struct api *self); // the loop ends
// Answers with the bytes of a quarantined mail; `states` are those of its recipients.
void answer_body(struct api *self, struct request *request, const char *id, const json_t *states);
void probes_answer(void *context, struct request *request); // http_fn

// Reads the argument as a whole number; `fallback` when it is not given. -1: it is none (answered
// 400).
NODISCARD int argument_number(struct request *request, const char *name, int64_t fallback,
                              int64_t *ret);
// The body as an object; an empty one where `optional`. NULL: answered 400.
json_t *body_object(struct request *request, int optional);
