// SPDX-License-Identifier: Apache-2.0
#include "node/probes.h"

#include "core/base/clock.h"
#include "core/net/http.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STUCK_MS = 10000 };

struct probes {
    struct http *http;
    pthread_mutex_t lock; // of what follows
    struct buffer metrics;
    char unready[128]; // empty: ready
    int64_t told_ms;
};

static void answer_text(struct request *request, unsigned status, const char *text)
{
    char line[160];
    snprintf(line, sizeof(line), "%s\n", text);
    request_answer(request, status, "text/plain", line, strlen(line));
}

static void answer(void *context, struct request *request)
{
    struct probes *self = context;
    const char *path = request_path(request);
    if (strcmp(request_method(request), "GET") != 0) {
        request_refuse(request, 405, "only GET");
        return;
    }
    pthread_mutex_lock(&self->lock);
    int alive = clock_monotonic_ms() - self->told_ms < STUCK_MS;
    if (strcmp(path, "/metrics") == 0)
        request_answer(request, 200, "text/plain; version=0.0.4", buffer_bytes(&self->metrics),
                       buffer_size(&self->metrics));
    else if (strcmp(path, "/healthz") == 0)
        answer_text(request, alive ? 200 : 503, alive ? "ok" : "the loop does not turn");
    else if (strcmp(path, "/readyz") == 0)
        answer_text(request, alive && !self->unready[0] ? 200 : 503,
                    !alive             ? "the loop does not turn"
                    : self->unready[0] ? self->unready
                                       : "ok");
    else
        request_refuse(request, 404, "no such path");
    pthread_mutex_unlock(&self->lock);
}

struct probes *probes_new(const char *address)
{
    struct probes *self = allocate(sizeof(*self));
    pthread_mutex_init(&self->lock, NULL);
    buffer_init(&self->metrics);
    self->told_ms = clock_monotonic_ms();
    snprintf(self->unready, sizeof(self->unready), "just starting");
    self->http = http_serve_tcp(address, answer, self);
    if (!self->http)
        probes_destroy(&self);
    return self;
}

void probes_destroy(struct probes **self)
{
    if (!*self)
        return;
    http_destroy(&(*self)->http);
    buffer_free(&(*self)->metrics);
    pthread_mutex_destroy(&(*self)->lock);
    free(*self);
    *self = NULL;
}

void probes_tell(struct probes *self, const char *metrics, size_t size, const char *unready)
{
    pthread_mutex_lock(&self->lock);
    buffer_clear(&self->metrics);
    buffer_add(&self->metrics, metrics, size);
    snprintf(self->unready, sizeof(self->unready), "%s", unready ? unready : "");
    self->told_ms = clock_monotonic_ms();
    pthread_mutex_unlock(&self->lock);
}
