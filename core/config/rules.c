// SPDX-License-Identifier: Apache-2.0
#include "core/config/rules.h"

#include <string.h>

static int is_of(const char *document, const char *kind)
{
    return strncmp(document, kind, strlen(kind)) == 0;
}

int rule_compare(const struct revision *a, const struct revision *b)
{
    if (a->clock.ms != b->clock.ms)
        return a->clock.ms < b->clock.ms ? -1 : 1;
    if (a->clock.count != b->clock.count)
        return a->clock.count < b->clock.count ? -1 : 1;
    int order = origin_compare(&a->origin, &b->origin);
    return order ? order : (a->number > b->number) - (a->number < b->number);
}

struct config_clock rule_next_clock(struct config_clock seen, uint64_t now_ms)
{
    if (now_ms > seen.ms)
        return (struct config_clock){now_ms, 0};
    if (seen.count == UINT32_MAX)
        return (struct config_clock){seen.ms + 1, 0};
    return (struct config_clock){seen.ms, seen.count + 1};
}

int rule_entry_stands(const struct version *versions, size_t count, int allows)
{
    for (size_t i = 0; i < count; i++)
        if (versions[i].head && (versions[i].change->kind == CHANGE_ADD) != allows)
            return !allows;
    return allows && count > 0;
}

int rule_only_grows(const char *document)
{
    return is_of(document, "revoked/");
}

int rule_conflicts(const struct version *version, const json_t *in_force)
{
    if (rule_only_grows(version->change->document))
        return 0;
    const json_t *body = version->change->body;
    return body || in_force ? !json_equal((json_t *)body, (json_t *)in_force) : 0;
}

int rule_is_spared(const char *document)
{
    return is_of(document, "list/") || is_of(document, "revoked/") || is_of(document, "node/");
}

int rule_survives_rollback(const char *document)
{
    return is_of(document, "revoked/") || is_of(document, "node/") ||
           is_of(document, "takeover/") || strcmp(document, "cluster") == 0;
}

int rule_is_stale(const char *seen, const char *now)
{
    return seen && now ? strcmp(seen, now) != 0 : seen != now;
}

int rule_sees_all(int settles)
{
    return settles;
}
