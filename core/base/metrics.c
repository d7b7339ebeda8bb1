// SPDX-License-Identifier: Apache-2.0
#include "core/base/metrics.h"
#include "core/base/buffer.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

struct metric {
    struct metric *next;
    const char *name, *labels;
    _Atomic int64_t value;
};

// All metrics of this process, oldest first. Entries are only ever added.
static struct {
    pthread_mutex_t lock;
    struct metric *first, **end;
} registry = {.lock = PTHREAD_MUTEX_INITIALIZER, .end = &registry.first};

static struct metric *find(const char *name, const char *labels)
{
    for (struct metric *entry = registry.first; entry; entry = entry->next)
        if (!strcmp(entry->name, name) && !strcmp(entry->labels, labels))
            return entry;
    return NULL;
}

struct metric *metric(const char *name, const char *labels)
{
    pthread_mutex_lock(&registry.lock);
    struct metric *found = find(name, labels);
    if (!found) {
        found = allocate(sizeof(*found));
        found->name = duplicate(name);
        found->labels = duplicate(labels);
        *registry.end = found;
        registry.end = &found->next;
    }
    pthread_mutex_unlock(&registry.lock);
    return found;
}

void metric_add(struct metric *self, int64_t by)
{
    atomic_fetch_add_explicit(&self->value, by, memory_order_relaxed);
}

void metric_set(struct metric *self, int64_t value)
{
    atomic_store_explicit(&self->value, value, memory_order_relaxed);
}

int64_t metric_value(const struct metric *self)
{
    return atomic_load_explicit(&self->value, memory_order_relaxed);
}

static void add_escaped(struct buffer *json, const char *text)
{
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            buffer_add(json, "\\", 1);
        buffer_add(json, text, 1);
    }
}

char *metrics_json(void)
{
    struct buffer json;
    buffer_init(&json);
    buffer_add_text(&json, "{");
    pthread_mutex_lock(&registry.lock);
    for (const struct metric *entry = registry.first; entry; entry = entry->next) {
        buffer_add_text(&json, entry == registry.first ? "\"" : ",\"");
        add_escaped(&json, entry->name);
        if (*entry->labels) {
            buffer_add_text(&json, "{");
            add_escaped(&json, entry->labels);
            buffer_add_text(&json, "}");
        }
        buffer_printf(&json, "\":%" PRId64, metric_value(entry));
    }
    pthread_mutex_unlock(&registry.lock);
    buffer_add(&json, "}", 2); // with its 0
    return json.data;
}
