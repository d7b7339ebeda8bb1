// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the findings lead to for one recipient, by the policy of the recipient's domain.
#include "analyzer/examination.h"
#include "proto/verdict.pb-c.h"

struct decision {
    Postern__Action action;
    double score;
    const struct settings_policy *policy;
    const struct finding *decisive; // NULL: none, or the sum of scores
};

struct decision policy_decide(const struct examination *examination, size_t recipient);
const char *action_name(Postern__Action action); // "quarantine"
