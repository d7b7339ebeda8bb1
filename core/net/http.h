// SPDX-License-Identifier: Apache-2.0
#pragma once

// HTTP over libmicrohttpd on a thread of its own. A handler runs there; it answers at once, gives
// the answer as a stream, or puts the request off until another thread answers it.
#include "core/base/buffer.h"
#include <jansson.h>

struct http;
struct request;

enum { HTTP_BODY_MOST = 16 * 1024 * 1024 };

typedef void http_fn(void *context, struct request *request);
// NULL with errno. The Unix socket lets in who may connect by its mode (0660) and runs as root, as
// this process's user, or in its group.
struct http *http_serve_unix(const char *path, http_fn *fn, void *context);
struct http *http_serve_tcp(const char *address, http_fn *fn, void *context); // host:port
void http_destroy(struct http **self); // every request put off must have been answered

const char *request_method(const struct request *self);
const char *request_path(const struct request *self); // decoded, without the query
const char *request_argument(const struct request *self, const char *name); // NULL: not given
// A header's value; NULL: not given.
const char *request_header(const struct request *self, const char *name);
struct span request_body(const struct request *self);
const char *request_author(const struct request *self); // "alice (uid 1000)"

void request_answer(struct request *self, unsigned status, const char *type, const void *body,
                    size_t size);
void request_answer_json(struct request *self, unsigned status,
                         json_t *value); // takes the reference
// {"error": text}
void request_refuse(struct request *self, unsigned status, const char *format, ...) PRINTF(3, 4);

// From now on another thread may answer, once. Nothing else of the request may be called by the
// handler after it has handed it over.
void request_put_off(struct request *self);

// The answer comes piece by piece: `more` appends to `out` and tells whether that was all. It may
// append nothing and be asked again, after others had their turn.
enum http_more { HTTP_MORE, HTTP_END, HTTP_WAIT }; // wait: nothing now, ask after http_wake
typedef enum http_more http_more_fn(void *context, struct buffer *out);
void request_stream(struct request *self, const char *type, http_more_fn *more,
                    void (*release)(void *context), void *context);
void http_wake(struct http *self); // from any thread: streams that wait look again
