// SPDX-License-Identifier: Apache-2.0
#include "node/commands.h"

#include <stdlib.h>
#include <string.h>

static const char *id_of(const json_t *row)
{
    const char *id = json_string_value(json_object_get(row, "id"));
    return id ? id : "";
}

// Ids sort by time. The master pages by them, so a page must hold the highest.
static int newest_first(const void *a, const void *b)
{
    return strcmp(id_of(*(json_t *const *)b), id_of(*(json_t *const *)a));
}

static json_t *sort_rows(const json_t *rows, size_t limit)
{
    size_t count = json_array_size(rows);
    json_t **list = allocate((count + 1) * sizeof(*list)), *sorted = json_array();
    for (size_t i = 0; i < count; i++)
        list[i] = json_array_get(rows, i);
    qsort(list, count, sizeof(*list), newest_first);
    for (size_t i = 0; i < count && (limit == 0 || i < limit); i++)
        json_array_append(sorted, list[i]);
    free(list);
    return sorted;
}

struct merge {
    json_t *rows, *errors;
    json_int_t count;
    int has_rows, has_count;
    const char *outcome;
    const char *error; // the last
};

static void merge_one(struct merge *self, const json_t *reply)
{
    const json_t *body = json_object_get(reply, "body"), *rows = json_object_get(body, "queue"),
                 *count = json_object_get(body, "count");
    const char *outcome = json_string_value(json_object_get(body, "outcome"));
    if (!body) {
        self->error = json_string_value(json_object_get(reply, "error"));
        json_array_append(self->errors, (json_t *)reply);
    }
    if (json_is_array(rows)) {
        self->has_rows = 1;
        json_array_extend(self->rows, (json_t *)rows);
    }
    if (json_is_integer(count)) {
        self->has_count = 1;
        self->count += json_integer_value(count);
    }
    if (outcome && (!self->outcome || strcmp(self->outcome, "unknown") == 0))
        self->outcome = outcome;
}

// Whether a mail is unknown can only be said when all have answered.
static int is_failed(const struct merge *self)
{
    if (!self->error)
        return 0;
    if (self->outcome)
        return strcmp(self->outcome, "unknown") == 0;
    return !self->has_rows && !self->has_count;
}

json_t *commands_merge(const json_t *replies, size_t limit, int *ret_failed)
{
    struct merge merge = {.rows = json_array(), .errors = json_array()};
    size_t i;
    json_t *reply, *whole = json_object();
    json_array_foreach((json_t *)replies, i, reply) merge_one(&merge, reply);
    if (json_array_size(replies) == 0)
        merge.error = "no delivery runs";
    *ret_failed = is_failed(&merge);
    if (*ret_failed)
        json_object_set_new(whole, "error", json_string(merge.error));
    if (merge.has_rows)
        json_object_set_new(whole, "queue", sort_rows(merge.rows, limit));
    if (merge.has_count)
        json_object_set_new(whole, "count", json_integer(merge.count));
    if (merge.outcome)
        json_object_set_new(whole, "outcome", json_string(merge.outcome));
    if (json_array_size(merge.errors))
        json_object_set(whole, "errors", merge.errors);
    json_decref(merge.rows);
    json_decref(merge.errors);
    return whole;
}
