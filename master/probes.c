// SPDX-License-Identifier: Apache-2.0
#include "core/base/metrics.h"
#include "master/api_internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Prometheus' text format from {"name{labels}": value}.
static void answer_metrics(struct request *request)
{
    struct buffer out;
    char *text = metrics_json();
    json_t *all = json_loads(text, 0, NULL), *value;
    const char *name;
    buffer_init(&out);
    json_object_foreach(all, name, value)
        buffer_printf(&out, "postern_%s %lld\n", name, (long long)json_integer_value(value));
    buffer_printf(&out, "postern_build_info{version=\"%s\"} 1\n", POSTERN_VERSION);
    request_answer(request, 200, "text/plain; version=0.0.4", buffer_bytes(&out),
                   buffer_size(&out));
    buffer_free(&out);
    json_decref(all);
    free(text);
}

// Ready is who can answer from the store: the loop and its thread are then through their start.
void probes_answer(void *context, struct request *request)
{
    struct api *api = context;
    const char *path = request_path(request);
    if (strcmp(request_method(request), "GET") != 0)
        request_refuse(request, 405, "only GET");
    else if (strcmp(path, "/metrics") == 0)
        answer_metrics(request);
    else if (strcmp(path, "/healthz") == 0)
        request_answer(request, 200, "text/plain", "ok\n", 3);
    else if (strcmp(path, "/readyz") == 0)
        request_answer(request, api->http ? 200 : 503, "text/plain", "ok\n", 3);
    else
        request_refuse(request, 404, "no such path");
}
