// SPDX-License-Identifier: Apache-2.0
#include "core/net/exposition.h"

#include <stdlib.h>
#include <string.h>

struct sample {
    char *family; // the name without labels
    char *labels; // with braces, or ""
    json_int_t value;
    size_t order;
};

struct exposition {
    struct sample *samples;
    size_t count, capacity;
};

// What a metric is, for people. One that is not listed says no more than its name.
static const struct {
    const char *name, *help;
} helps[] = {
    {"alarm_raised", "1 while the alarm stands."},
    {"analysis_wait_ms", "Age of the oldest mail that waits for its verdict, milliseconds."},
    {"analyzer_sandbox", "1: the analyzer gave up what it needs not, by part (files, calls)."},
    {"analyzer_jobs", "Messages being examined."},
    {"build_info", "Version of this process."},
    {"certificate_expires_s",
     "When the SMTP server's certificate ends, Unix time; 0: none is shown."},
    {"checks_total", "Checks executed."},
    {"connections_open", "SMTP connections from clients."},
    {"connections_refused_total", "SMTP connections turned away."},
    {"connections_total", "SMTP connections accepted."},
    {"custody", "Messages in custody of the ingress."},
    {"degraded", "1 while the stage must do without what the label names."},
    {"delivery_connections", "SMTP connections to next hops."},
    {"delivery_recipients_total", "Recipients by what became of them."},
    {"disk_free_percent", "Free part of the file system with the state."},
    {"events_replayed_total", "Events sent to a master again."},
    {"journal_bytes", "Bytes of the journal on disk."},
    {"journal_syncs_total", "Calls of fdatasync."},
    {"lag_ms", "For how long this master has been behind a worker, milliseconds."},
    {"lag_events", "Events that a worker has and this master has not."},
    {"messages_accepted_total", "Messages answered 250."},
    {"messages_deferred_total", "Messages answered 4xx."},
    {"messages_examined_total", "Messages examined."},
    {"messages_refused_total", "Messages of the cluster's sockets from who may not send them."},
    {"messages_rejected_total", "Messages answered 5xx."},
    {"nodes", "Enrolled nodes."},
    {"nodes_up", "Enrolled nodes heard of within ten seconds."},
    {"orders_open", "Orders about quarantined mail without an outcome."},
    {"outbox_bytes", "Bytes of the outbox on disk."},
    {"outbox_events", "Sequence of the last event in the outbox."},
    {"outbox_lag_events", "Events that the master has not acknowledged."},
    {"outbox_lag_ms", "For how long a master has been behind, milliseconds."},
    {"peer_connected", "1 while the other master answers."},
    {"peer_lag_events", "Events that the other master has and this one lacks."},
    {"public_commit", "Number of the event that was published last."},
    {"public_events_total", "Events told on the public stream."},
    {"queue", "Messages waiting for another try."},
    {"queue_oldest_ms", "Age of the oldest message waiting for another try, milliseconds."},
    {"recipients_refused_total", "Recipients refused."},
    {"redis_round_trip_us",
     "How long Redis takes to answer, smoothed, microseconds; 0: it does not."},
    {"redis_up", "1 while Redis answers."},
    {"refusals_untold_total", "Refusals that masters are not told of, for want of disk."},
    {"replays_asked_total", "Requests to nodes for events again."},
    {"stage_restarts_total", "Processes started anew after their end."},
    {"stages_up", "Living processes."},
    {"store_batches_total", "Transactions of the store."},
    {"store_events_total", "Events written to the store."},
    {"store_failures_total", "Transactions of the store that failed."},
    {"store_damaged_total", "Files of the record that were found damaged and set aside."},
};

static const char *help_of(const char *family)
{
    for (size_t i = 0; i < ARRAY_LENGTH(helps); i++)
        if (strcmp(helps[i].name, family) == 0)
            return helps[i].help;
    return "See the name.";
}

struct exposition *exposition_new(void)
{
    return allocate(sizeof(struct exposition));
}

void exposition_destroy(struct exposition **self)
{
    if (!*self)
        return;
    for (size_t i = 0; i < (*self)->count; i++) {
        free((*self)->samples[i].family);
        free((*self)->samples[i].labels);
    }
    free((*self)->samples);
    free(*self);
    *self = NULL;
}

static int is_name(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789", text[i]))
            return 0;
    return size > 0;
}

// "a=..." of a process that may be another version's: only what cannot break the lines.
static int is_labels(const char *text, size_t size)
{
    return size >= 2 && text[0] == '{' && text[size - 1] == '}' && !memchr(text, '\n', size);
}

static char *join_labels(const char *common, const char *own, size_t own_size)
{
    struct buffer out;
    buffer_init(&out);
    const char *inner = own_size > 2 ? own + 1 : "";
    int inner_size = own_size > 2 ? (int)own_size - 2 : 0;
    if (*common || inner_size)
        buffer_printf(&out, "{%s%s%.*s}", common, *common && inner_size ? "," : "", inner_size,
                      inner);
    buffer_add(&out, "", 1);
    return out.data;
}

void exposition_add(struct exposition *self, const json_t *metrics, const char *labels)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)metrics, name, value)
    {
        size_t size = strcspn(name, "{"), rest = strlen(name) - size;
        if (!json_is_integer(value) || !is_name(name, size) ||
            (rest && !is_labels(name + size, rest)))
            continue;
        if (self->count == self->capacity) {
            self->capacity = self->capacity ? 2 * self->capacity : 64;
            self->samples = reallocate(self->samples, self->capacity * sizeof(*self->samples));
        }
        struct sample *sample = &self->samples[self->count];
        sample->family = duplicate_bytes(name, size);
        sample->labels = join_labels(labels, name + size, rest);
        sample->value = json_integer_value(value);
        sample->order = self->count++;
    }
}

static int compare(const void *a, const void *b)
{
    const struct sample *left = a, *right = b;
    int order = strcmp(left->family, right->family);
    return order ? order : (left->order > right->order) - (left->order < right->order);
}

static int is_counter(const char *family)
{
    static const char suffix[] = "_total";
    size_t size = strlen(family);
    return size >= sizeof(suffix) && strcmp(family + size - (sizeof(suffix) - 1), suffix) == 0;
}

void exposition_write(struct exposition *self, struct buffer *out)
{
    if (self->count)
        qsort(self->samples, self->count, sizeof(*self->samples), compare);
    for (size_t i = 0; i < self->count; i++) {
        const struct sample *sample = &self->samples[i];
        if (i == 0 || strcmp(sample->family, self->samples[i - 1].family) != 0)
            buffer_printf(out, "# HELP postern_%s %s\n# TYPE postern_%s %s\n", sample->family,
                          help_of(sample->family), sample->family,
                          is_counter(sample->family) ? "counter" : "gauge");
        buffer_printf(out, "postern_%s%s %lld\n", sample->family, sample->labels,
                      (long long)sample->value);
    }
}
