// SPDX-License-Identifier: Apache-2.0
#include "mail/schema_value.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SMTP_PORT = 25 };

double schema_size(const char *text)
{
    static const char units[] = "KMG";
    if (*text < '0' || *text > '9')
        return -1;
    char *end;
    double size = (double)strtoull(text, &end, 10);
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (!*end)
        return size;
    if (!unit || end[1])
        return -1;
    for (const char *at = units; at <= unit; at++)
        size *= 1024;
    return size;
}

int schema_choice(const struct schema_key *key, const char *text)
{
    for (int i = 0; key->choices[i]; i++)
        if (strcmp(key->choices[i], text) == 0)
            return i;
    return -1;
}

double schema_number(const struct schema_kind *kind, const json_t *body, const char *key)
{
    const struct schema_key *row = schema_key_of(kind, key);
    const json_t *value = json_object_get(body, key);
    if (!value)
        return row->fallback;
    if (row->type == SCHEMA_CHOICE)
        return schema_choice(row, json_string_value(value));
    if (json_is_string(value))
        return schema_size(json_string_value(value));
    if (json_is_boolean(value))
        return json_is_true(value);
    return json_is_null(value) ? HUGE_VAL : json_number_value(value);
}

const char *schema_text(const json_t *body, const char *key)
{
    return json_string_value(json_object_get(body, key));
}

// "name", "name:port", "[address]", "[address]:port", "::1"
static const char *split_host(const char *text, struct schema_hop *ret)
{
    const char *host = text, *end = text + strlen(text), *port = NULL;
    if (*text == '[') {
        host = text + 1;
        end = strchr(text, ']');
        if (!end || (end[1] && end[1] != ':'))
            return "close the bracket: [ADDRESS] or [ADDRESS]:PORT";
        port = end[1] ? end + 2 : NULL;
    } else if (strchr(text, ':') && strchr(text, ':') == strrchr(text, ':')) {
        end = strchr(text, ':');
        port = end + 1;
    }
    size_t length = (size_t)(end - host);
    if (length == 0 || length >= sizeof(ret->host))
        return "give HOST or HOST:PORT";
    if (port) {
        char *rest;
        unsigned long number = strtoul(port, &rest, 10);
        if (*port < '0' || *port > '9' || *rest || number < 1 || number > 65535)
            return "give a port from 1 to 65535";
        ret->port = (uint16_t)number;
    }
    memcpy(ret->host, host, length);
    ret->host[length] = 0;
    for (const char *at = ret->host; *at; at++)
        if ((unsigned char)*at <= ' ' || (unsigned char)*at >= 127 || strchr("[]/@\"", *at))
            return "give a host name as A-labels (xn--...) or an address";
    return NULL;
}

const char *schema_hop(const json_t *entry, unsigned position, struct schema_hop *ret)
{
    *ret = (struct schema_hop){.port = SMTP_PORT, .priority = position};
    if (json_is_string(entry))
        return split_host(json_string_value(entry), ret);
    const char *host = json_string_value(json_object_get(entry, "host"));
    const char *mend = host ? split_host(host, ret) : "give \"HOST:PORT\" or an object with a host";
    if (mend)
        return mend;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)entry, name, value)
    {
        json_int_t number = json_integer_value(value);
        if (strcmp(name, "port") == 0) {
            if (!json_is_integer(value) || number < 1 || number > 65535)
                return "give a port from 1 to 65535";
            ret->port = (uint16_t)number;
        } else if (strcmp(name, "priority") == 0) {
            if (!json_is_integer(value) || number < 0 || number > 65535)
                return "give a priority from 0 to 65535";
            ret->priority = (unsigned)number;
        } else if (strcmp(name, "host") != 0) {
            return "a hop has host, port and priority only";
        }
    }
    return NULL;
}
