// SPDX-License-Identifier: Apache-2.0
#include "core/config/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int origin_compare(const struct revision_origin *a, const struct revision_origin *b)
{
    int order = strcmp(a->master, b->master);
    return order ? order : (a->start > b->start) - (a->start < b->start);
}

void name_format(const struct revision_origin *origin, uint64_t number,
                 char ret_text[REVISION_NAME_SIZE])
{
    snprintf(ret_text, REVISION_NAME_SIZE, "%s.%" PRIx64 ".%" PRIu64, origin->master, origin->start,
             number);
}

// A number without sign or blanks, up to the end of the text.
static int parse_number(const char *text, int base, uint64_t *ret)
{
    const char *digits = base == 16 ? "0123456789abcdef" : "0123456789";
    size_t length = strlen(text);
    if (length == 0 || length > 20 || strspn(text, digits) != length)
        return -1;
    *ret = strtoull(text, NULL, base);
    return 0;
}

int name_parse(const char *text, struct revision_origin *ret_origin, uint64_t *ret_number)
{
    char copy[REVISION_NAME_SIZE];
    struct revision_origin origin = {.start = 0};
    uint64_t number;
    if (strlen(text) >= sizeof(copy))
        return -1;
    snprintf(copy, sizeof(copy), "%s", text);
    char *last = strrchr(copy, '.');
    if (!last)
        return -1;
    *last = 0;
    char *middle = strrchr(copy, '.');
    if (!middle || middle == copy || (size_t)(middle - copy) >= sizeof(origin.master))
        return -1;
    *middle = 0;
    if (parse_number(middle + 1, 16, &origin.start) < 0 || parse_number(last + 1, 10, &number) < 0)
        return -1;
    memcpy(origin.master, copy, (size_t)(middle - copy) + 1);
    *ret_origin = origin;
    *ret_number = number;
    return 0;
}

void names_free(struct names *self)
{
    for (size_t i = 0; i < self->count; i++)
        free(self->origins[i].ranges);
    free(self->origins);
    *self = (struct names){0};
}

// The first that is not before the origin.
static size_t place_of(const struct names *self, const struct revision_origin *origin)
{
    size_t low = 0, high = self->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (origin_compare(&self->origins[middle].origin, origin) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct names_origin *find(const struct names *self, const struct revision_origin *origin)
{
    size_t at = place_of(self, origin);
    int found = at < self->count && origin_compare(&self->origins[at].origin, origin) == 0;
    return found ? &self->origins[at] : NULL;
}

static struct names_origin *find_or_add(struct names *self, const struct revision_origin *origin)
{
    size_t at = place_of(self, origin);
    if (at < self->count && origin_compare(&self->origins[at].origin, origin) == 0)
        return &self->origins[at];
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? 2 * self->capacity : 1;
        self->origins = reallocate(self->origins, self->capacity * sizeof(*self->origins));
    }
    memmove(self->origins + at + 1, self->origins + at,
            (self->count - at) * sizeof(*self->origins));
    self->count++;
    self->origins[at] = (struct names_origin){.origin = *origin};
    return &self->origins[at];
}

// The first range that does not end before the number.
static size_t range_of(const struct names_origin *self, uint64_t number)
{
    size_t low = 0, high = self->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (self->ranges[middle].to < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void names_add(struct names *self, const struct revision_origin *origin, uint64_t from, uint64_t to)
{
    struct names_origin *at = find_or_add(self, origin);
    size_t first = range_of(at, from ? from - 1 : 0), end = first;
    while (end < at->count && (to == UINT64_MAX || at->ranges[end].from <= to + 1)) {
        from = at->ranges[end].from < from ? at->ranges[end].from : from;
        to = at->ranges[end].to > to ? at->ranges[end].to : to;
        end++;
    }
    if (first == end && at->count == at->capacity) {
        at->capacity = at->capacity ? 2 * at->capacity : 1;
        at->ranges = reallocate(at->ranges, at->capacity * sizeof(*at->ranges));
    }
    // The ranges first..end become one.
    memmove(at->ranges + first + 1, at->ranges + end, (at->count - end) * sizeof(*at->ranges));
    at->count = at->count + 1 - (end - first);
    at->ranges[first] = (struct names_range){from, to};
}

void names_unite(struct names *self, const struct names *other)
{
    for (size_t i = 0; i < other->count; i++)
        for (size_t k = 0; k < other->origins[i].count; k++)
            names_add(self, &other->origins[i].origin, other->origins[i].ranges[k].from,
                      other->origins[i].ranges[k].to);
}

int names_hold(const struct names *self, const struct revision_origin *origin, uint64_t number)
{
    const struct names_origin *at = find(self, origin);
    size_t range = at ? range_of(at, number) : 0;
    return at && range < at->count && at->ranges[range].from <= number;
}

uint64_t names_run(const struct names *self, const struct revision_origin *origin, uint64_t number)
{
    const struct names_origin *at = find(self, origin);
    size_t range = at ? range_of(at, number) : 0;
    if (!at || range == at->count || at->ranges[range].from > number)
        return number;
    return at->ranges[range].from;
}

int names_equal(const struct names *a, const struct names *b)
{
    return names_hold_all(a, b) && names_hold_all(b, a);
}

int names_hold_all(const struct names *self, const struct names *other)
{
    for (size_t i = 0; i < other->count; i++) {
        const struct names_origin *theirs = &other->origins[i];
        const struct names_origin *ours = find(self, &theirs->origin);
        for (size_t k = 0; k < theirs->count; k++) {
            size_t range = ours ? range_of(ours, theirs->ranges[k].to) : 0;
            if (!ours || range == ours->count || ours->ranges[range].from > theirs->ranges[k].from)
                return 0;
        }
    }
    return 1;
}

Postern__ConfigNames **names_pack(const struct names *self)
{
    Postern__ConfigNames **list = allocate((self->count + 1) * sizeof(*list));
    for (size_t i = 0; i < self->count; i++) {
        const struct names_origin *origin = &self->origins[i];
        Postern__ConfigNames *names = list[i] = allocate(sizeof(*names));
        postern__config_names__init(names);
        names->master = (ProtobufCBinaryData){strlen(origin->origin.master),
                                              (uint8_t *)(uintptr_t)origin->origin.master};
        names->start = origin->origin.start;
        names->n_ranges = 2 * origin->count;
        names->ranges = allocate(2 * origin->count * sizeof(*names->ranges));
        memcpy(names->ranges, origin->ranges, 2 * origin->count * sizeof(*names->ranges));
    }
    return list;
}

void names_packed_free(Postern__ConfigNames ***list, size_t count)
{
    for (size_t i = 0; *list && i < count; i++) {
        free((*list)[i]->ranges);
        free((*list)[i]);
    }
    free(*list);
    *list = NULL;
}

// Only in order: so that what a peer sends costs no more than its size.
static int unpack_one(const Postern__ConfigNames *names, const struct revision_origin *before,
                      struct names *ret)
{
    struct revision_origin origin = {.start = names->start};
    if (names->master.len == 0 || names->master.len >= sizeof(origin.master) ||
        memchr(names->master.data, 0, names->master.len) || names->n_ranges % 2)
        return -1;
    memcpy(origin.master, names->master.data, names->master.len);
    if (before && origin_compare(before, &origin) >= 0)
        return -1;
    for (size_t i = 0; i < names->n_ranges; i += 2) {
        if (names->ranges[i] > names->ranges[i + 1] ||
            (i > 0 && names->ranges[i] <= names->ranges[i - 1]))
            return -1;
        names_add(ret, &origin, names->ranges[i], names->ranges[i + 1]);
    }
    return 0;
}

int names_unpack(Postern__ConfigNames *const *list, size_t count, struct names *ret)
{
    *ret = (struct names){0};
    for (size_t i = 0; i < count; i++) {
        const struct revision_origin *before =
            ret->count ? &ret->origins[ret->count - 1].origin : NULL;
        if (unpack_one(list[i], before, ret) == 0)
            continue;
        names_free(ret);
        return -1;
    }
    return 0;
}

json_t *names_json(const struct names *self)
{
    json_t *json = json_object();
    for (size_t i = 0; i < self->count; i++) {
        const struct names_origin *origin = &self->origins[i];
        char text[REVISION_NAME_SIZE];
        json_t *ranges = json_array();
        snprintf(text, sizeof(text), "%s.%" PRIx64, origin->origin.master, origin->origin.start);
        for (size_t k = 0; k < origin->count; k++) {
            json_array_append_new(ranges, json_integer((json_int_t)origin->ranges[k].from));
            json_array_append_new(ranges, json_integer((json_int_t)origin->ranges[k].to));
        }
        json_object_set_new(json, text, ranges);
    }
    return json;
}

static uint64_t number_at(const json_t *ranges, size_t at)
{
    return (uint64_t)json_integer_value(json_array_get(ranges, at));
}

void names_from_json(const json_t *json, struct names *ret)
{
    const char *text;
    json_t *ranges;
    *ret = (struct names){0};
    json_object_foreach((json_t *)json, text, ranges)
    {
        char name[REVISION_NAME_SIZE + 2];
        struct revision_origin origin;
        uint64_t unused;
        snprintf(name, sizeof(name), "%s.0", text);
        if (name_parse(name, &origin, &unused) < 0)
            continue;
        for (size_t i = 0; i + 1 < json_array_size(ranges); i += 2)
            names_add(ret, &origin, number_at(ranges, i), number_at(ranges, i + 1));
    }
}
