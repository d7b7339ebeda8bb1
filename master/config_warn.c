// SPDX-License-Identifier: Apache-2.0
// A configuration may be valid and yet stop all mail: whoever makes it so is told.
#include "mail/schema.h"
#include "master/config.h"
#include <stdio.h>
#include <string.h>

enum { DOMAINS_FEW = 4 };

static int is_of(const char *document, const char *kind)
{
    return strncmp(document, kind, strlen(kind)) == 0;
}

static size_t count_domains(const json_t *documents)
{
    size_t count = 0;
    const char *document;
    json_t *unused;
    json_object_foreach((json_t *)documents, document, unused)
    {
        count += is_of(document, "domain/");
    }
    return count;
}

// Limits that a mail without any finding reaches: its score is 0.
static void warn_of_policy(json_t *list, const char *document, const json_t *body)
{
    static const struct {
        const char *key, *fate;
    } limits[] = {{"reject", "rejected"}, {"quarantine", "quarantined"}};
    const struct schema_kind *kind = schema_kind_of(document);
    char text[SCHEMA_NAME_MOST + 128];
    for (size_t i = 0; i < ARRAY_LENGTH(limits); i++) {
        if (schema_number(kind, body, limits[i].key) > 0)
            continue;
        snprintf(text, sizeof(text),
                 "%s.%s: all mail is %s now, also what no check finds fault with", document,
                 limits[i].key, limits[i].fate);
        json_array_append_new(list, json_string(text));
        return;
    }
}

json_t *config_warnings(const json_t *before, const json_t *after)
{
    json_t *list = json_array(), *body;
    const char *document;
    size_t had = count_domains(before), has = count_domains(after);
    json_object_foreach((json_t *)after, document, body)
    {
        if (is_of(document, "policy/") && !json_equal(body, json_object_get(before, document)))
            warn_of_policy(list, document, body);
    }
    if (had >= DOMAINS_FEW && has <= had / 2) {
        char text[128];
        snprintf(text, sizeof(text), "%zu of %zu domains are gone: their mail is refused now",
                 had - has, had);
        json_array_append_new(list, json_string(text));
    }
    return list;
}
