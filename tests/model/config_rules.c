// SPDX-License-Identifier: Apache-2.0
// The linker puts these in the place of core/config/rules.c, so that one rule can be taken away.
#include "core/config/config_internal.h"
#include "tests/model/config_world.h"

#include <string.h>

int config_rule_off = -1;

const char *const config_rule_names[CONFIG_RULES] = {
    [COMPARE_AND_SET] = "compare_and_set",
    [KEEP_LOSERS] = "keep_losers",
    [LOGICAL_CLOCK] = "logical_clock",
    [TIE_BY_MASTER] = "tie_by_master",
    [DURABLE_BEFORE_ACK] = "durable_before_ack",
    [VALIDATE_MERGE] = "validate_merge",
    [BLOCK_ADD_WINS] = "block_add_wins",
    [ALLOW_REMOVE_WINS] = "allow_remove_wins",
    [REVOKED_GROWS] = "revoked_grows",
    [HOLD_INVALID] = "hold_invalid",
    [HOLD_SPARES_ENTRIES] = "hold_spares_entries",
    [START_IN_NAME] = "start_in_name",
    [HAND_BACK] = "hand_back",
    [SETTLE_NAMES_LOSERS] = "settle_names_losers",
    [MERGE_FUTURE] = "merge_future",
    [NO_EXPIRY] = "no_expiry",
    [LIST_BY_SEEN] = "list_by_seen",
    [WHOLE_REVISIONS] = "whole_revisions",
    [ROLLBACK_SPARES_NODES] = "rollback_spares_nodes",
};

#define REAL(type, name, ...)                                                                      \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

REAL(int, rule_compare, const struct revision *a, const struct revision *b)
{
    if (config_rule_off != TIE_BY_MASTER)
        return __real_rule_compare(a, b);
    if (a->clock.ms != b->clock.ms)
        return a->clock.ms < b->clock.ms ? -1 : 1;
    return (a->clock.count > b->clock.count) - (a->clock.count < b->clock.count);
}

REAL(struct config_clock, rule_next_clock, struct config_clock seen, uint64_t now_ms)
{
    if (config_rule_off == LOGICAL_CLOCK)
        return (struct config_clock){now_ms, 0};
    return __real_rule_next_clock(seen, now_ms);
}

REAL(int, rule_entry_stands, const struct version *versions, size_t count, int allows)
{
    if (config_rule_off == (allows ? ALLOW_REMOVE_WINS : BLOCK_ADD_WINS))
        return versions[count - 1].change->kind == CHANGE_ADD;
    if (config_rule_off != LIST_BY_SEEN)
        return __real_rule_entry_stands(versions, count, allows);
    for (size_t i = 0; i < count; i++)
        if ((versions[i].change->kind == CHANGE_ADD) != allows)
            return !allows;
    return allows;
}

REAL(int, rule_only_grows, const char *document)
{
    return config_rule_off != REVOKED_GROWS && __real_rule_only_grows(document);
}

REAL(int, rule_conflicts, const struct version *version, const json_t *in_force)
{
    return config_rule_off != KEEP_LOSERS && __real_rule_conflicts(version, in_force);
}

REAL(int, rule_is_spared, const char *document)
{
    return config_rule_off != HOLD_SPARES_ENTRIES && __real_rule_is_spared(document);
}

REAL(int, rule_survives_rollback, const char *document)
{
    const char *gone = config_rule_off == REVOKED_GROWS           ? "revoked/"
                       : config_rule_off == ROLLBACK_SPARES_NODES ? "node/"
                                                                  : "none";
    return strncmp(document, gone, strlen(gone)) != 0 && __real_rule_survives_rollback(document);
}

REAL(int, rule_is_stale, const char *seen, const char *now)
{
    return config_rule_off != COMPARE_AND_SET && __real_rule_is_stale(seen, now);
}

REAL(int, rule_sees_all, int settles)
{
    return config_rule_off != SETTLE_NAMES_LOSERS && __real_rule_sees_all(settles);
}

REAL(void, config_hold, struct config *self)
{
    if (config_rule_off != HOLD_INVALID && config_rule_off != VALIDATE_MERGE)
        __real_config_hold(self);
}
