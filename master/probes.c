// SPDX-License-Identifier: Apache-2.0
#include "core/base/clock.h"
#include "core/base/metrics.h"
#include "core/net/exposition.h"
#include "master/api_internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STUCK_MS = 10000 };

static void answer_metrics(struct request *request)
{
    struct exposition *exposition = exposition_new();
    struct buffer out;
    char *text = metrics_json();
    json_t *all = json_loads(text, 0, NULL);
    json_t *build = json_pack("{s:i}", "build_info{version=\"" POSTERN_VERSION "\"}", 1);
    buffer_init(&out);
    exposition_add(exposition, all, "");
    exposition_add(exposition, build, "");
    exposition_write(exposition, &out);
    request_answer(request, 200, "text/plain; version=0.0.4", buffer_bytes(&out),
                   buffer_size(&out));
    buffer_free(&out);
    exposition_destroy(&exposition);
    json_decref(build);
    json_decref(all);
    free(text);
}

static const char *stuck(struct api *api)
{
    int alive = clock_monotonic_ms() - atomic_load(&api->turned_ms) < STUCK_MS;
    return alive ? NULL : "the loop does not turn";
}

// `wrong`: NULL, all is well.
static void answer_text(struct request *request, const char *wrong)
{
    char line[80];
    int size = snprintf(line, sizeof(line), "%s\n", wrong ? wrong : "ok");
    request_answer(request, wrong ? 503 : 200, "text/plain", line, (size_t)size);
}

// Healthy is whose loop turns; ready who lets workers in.
void probes_answer(void *context, struct request *request)
{
    struct api *api = context;
    const char *path = request_path(request);
    if (strcmp(request_method(request), "GET") != 0)
        request_refuse(request, 405, "only GET");
    else if (strcmp(path, "/metrics") == 0)
        answer_metrics(request);
    else if (strcmp(path, "/healthz") == 0)
        answer_text(request, stuck(api));
    else if (strcmp(path, "/readyz") == 0)
        answer_text(request, stuck(api)                  ? stuck(api)
                             : !atomic_load(&api->ready) ? "waits for the other master"
                                                         : NULL);
    else
        request_refuse(request, 404, "no such path");
}
