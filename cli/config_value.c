// SPDX-License-Identifier: Apache-2.0
#include "cli/config_value.h"
#include "mail/schema.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *split_list(const char *text)
{
    json_t *list = json_array();
    while (*text) {
        size_t size = strcspn(text, ",");
        const char *begin = text + strspn(text, " ");
        size_t length = begin < text + size ? (size_t)(text + size - begin) : 0;
        while (length > 0 && begin[length - 1] == ' ')
            length--;
        if (length > 0)
            json_array_append_new(list, json_stringn(begin, length));
        text += size + (text[size] == ',');
    }
    return list;
}

static int is_list(enum schema_type type)
{
    return type == SCHEMA_TEXTS || type == SCHEMA_NETWORKS || type == SCHEMA_HOPS;
}

static int is_text(enum schema_type type)
{
    return type == SCHEMA_TEXT || type == SCHEMA_CHOICE;
}

json_t *config_value(const char *document, const char *key, const char *text, char *ret_error,
                     size_t error_size)
{
    const struct schema_kind *kind = schema_kind_of(document);
    const struct schema_key *row = kind ? schema_key_of(kind, key) : NULL;
    json_t *value = NULL;
    if (strcmp(key, "description") == 0 || (row && is_text(row->type)))
        value = json_string(text);
    else if (row && is_list(row->type) && *text != '[')
        value = split_list(text);
    else
        value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    if (!value)
        value = json_string(
            text); // a size with its unit, or what the master will refuse with its reason
    if (!value)
        snprintf(ret_error, error_size, "%.100s.%.60s: the value is not UTF-8", document, key);
    return value;
}
