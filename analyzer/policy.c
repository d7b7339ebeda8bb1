// SPDX-License-Identifier: Apache-2.0
#include "analyzer/policy.h"

#include <string.h>

const char *action_name(Postern__Action action)
{
    switch (action) {
    case POSTERN__ACTION__ACTION_ACCEPT:
        return "accept";
    case POSTERN__ACTION__ACTION_TAG:
        return "tag";
    case POSTERN__ACTION__ACTION_QUARANTINE:
        return "quarantine";
    case POSTERN__ACTION__ACTION_REJECT:
        return "reject";
    case POSTERN__ACTION__ACTION_DISCARD:
        return "discard";
    default: // protobuf-c adds a filler member
        return "accept";
    }
}

static const struct settings_policy *policy_of(const struct settings *settings,
                                               ProtobufCBinaryData address)
{
    const char *at = address.len > 0 ? memrchr(address.data, '@', address.len) : NULL;
    const struct settings_domain *domain = NULL;
    if (at != NULL)
        domain = settings_domain(settings, at + 1,
                                 address.len - (size_t)(at + 1 - (const char *)address.data));
    return settings_policy(settings,
                           domain != NULL && domain->policy != NULL ? domain->policy : "default");
}

// What the finding asks for by itself, whatever the score.
static Postern__Action action_of(const struct settings_policy *policy, enum finding_class class)
{
    switch (class) {
    case FINDING_VIRUS:
        return (Postern__Action)policy->on_virus;
    case FINDING_AMBIGUOUS:
        return (Postern__Action)policy->on_ambiguous;
    case FINDING_LIMIT:
        return (Postern__Action)policy->on_limit;
    case FINDING_TIMEOUT:
        return (Postern__Action)policy->on_timeout;
    case FINDING_BLOCKED:
        return (Postern__Action)policy->on_blocked;
    case FINDING_SCORE:
    case FINDING_ALLOWED:
        break;
    }
    return POSTERN__ACTION__ACTION_ACCEPT;
}

static Postern__Action action_of_score(const struct settings_policy *policy, double score)
{
    if (score >= policy->reject)
        return POSTERN__ACTION__ACTION_REJECT;
    if (score >= policy->quarantine)
        return POSTERN__ACTION__ACTION_QUARANTINE;
    return score >= policy->tag ? POSTERN__ACTION__ACTION_TAG : POSTERN__ACTION__ACTION_ACCEPT;
}

static int concerns(const struct finding *finding, size_t recipient)
{
    return finding->recipient == ALL_RECIPIENTS || (size_t)finding->recipient == recipient;
}

struct decision policy_decide(const struct examination *examination, size_t recipient)
{
    struct decision decision = {
        .action = POSTERN__ACTION__ACTION_ACCEPT,
        .policy =
            policy_of(examination->settings, examination->envelope->recipients[recipient]->address),
    };
    int allowed = 0;
    const struct finding *heaviest = NULL;
    for (size_t i = 0; i < examination->finding_count; i++) {
        const struct finding *finding = &examination->findings[i];
        if (!concerns(finding, recipient))
            continue;
        decision.score += finding->score;
        allowed |= finding->class == FINDING_ALLOWED;
        if (finding->score > 0 && (heaviest == NULL || finding->score > heaviest->score))
            heaviest = finding;
        Postern__Action action = action_of(decision.policy, finding->class);
        if (action > decision.action) {
            decision.action = action;
            decision.decisive = finding;
        }
    }
    Postern__Action by_score = action_of_score(decision.policy, decision.score);
    if (!allowed && by_score > decision.action) {
        decision.action = by_score;
        decision.decisive = heaviest;
    }
    return decision;
}
