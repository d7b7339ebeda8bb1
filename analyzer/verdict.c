// SPDX-License-Identifier: Apache-2.0
#include "analyzer/verdict.h"

#include "analyzer/policy.h"
#include "analyzer/trace.h"
#include <stdlib.h>
#include <string.h>

static ProtobufCBinaryData bytes_of(const void *data, size_t size)
{
    return (ProtobufCBinaryData){size, size > 0 ? duplicate_bytes(data, size) : NULL};
}

static ProtobufCBinaryData text_of(const char *text)
{
    return bytes_of(text, strlen(text));
}

static Postern__Finding *finding_new(const struct finding *finding)
{
    Postern__Finding *self = allocate(sizeof(*self));
    postern__finding__init(self);
    self->name = text_of(finding->name);
    self->score = finding->score;
    self->sentence = text_of(finding->sentence);
    self->evidence = text_of(finding->evidence);
    return self;
}

// One that concerns many recipients is told once.
static void add_findings(Postern__Verdict *self, const struct examination *examination)
{
    self->findings = allocate((examination->finding_count + 1) * sizeof(*self->findings));
    for (size_t i = 0; i < examination->finding_count; i++) {
        const struct finding *finding = &examination->findings[i];
        if (examination_found(examination, finding->name) == finding)
            self->findings[self->n_findings++] = finding_new(finding);
    }
}

static const char *reply_of(const struct decision *decision)
{
    return decision->decisive != NULL ? decision->decisive->sentence : "Message refused by policy";
}

static Postern__RecipientVerdict *recipient_verdict(const struct examination *examination,
                                                    const struct decision *decision,
                                                    size_t recipient, const char *host)
{
    Postern__RecipientVerdict *self = allocate(sizeof(*self));
    postern__recipient_verdict__init(self);
    self->recipient = (uint32_t)recipient;
    self->action = decision->action;
    if (decision->action == POSTERN__ACTION__ACTION_REJECT)
        self->reply = text_of(reply_of(decision));
    struct trace trace = {0};
    if (decision->action != POSTERN__ACTION__ACTION_DISCARD)
        trace_make(&trace, examination, decision, recipient, host);
    self->changes = trace.splices;
    self->n_changes = trace.count;
    return self;
}

static void add_recipients(Postern__Verdict *self, const struct examination *examination,
                           const char *host)
{
    size_t count = examination->envelope->n_recipients;
    const struct finding *decisive = NULL;
    const struct settings_policy *policy = NULL;
    Postern__Action heaviest = POSTERN__ACTION__ACTION_ACCEPT;
    self->n_recipients = count;
    self->recipients = allocate((count + 1) * sizeof(*self->recipients));
    for (size_t i = 0; i < count; i++) {
        struct decision decision = policy_decide(examination, i);
        self->recipients[i] = recipient_verdict(examination, &decision, i, host);
        if (i == 0 || decision.score > self->score)
            self->score = decision.score;
        if (i == 0 || decision.action > heaviest) {
            heaviest = decision.action;
            decisive = decision.decisive;
            policy = decision.policy;
        }
    }
    if (policy != NULL)
        self->policy = text_of(policy->name);
    if (heaviest != POSTERN__ACTION__ACTION_ACCEPT)
        self->quarantine_name = text_of(decisive != NULL ? decisive->name : "score");
}

Postern__Verdict *verdict_new(const struct examination *examination, const char *host)
{
    Postern__Verdict *self = allocate(sizeof(*self));
    postern__verdict__init(self);
    add_findings(self, examination);
    add_recipients(self, examination, host);
    self->checks = examination->checks;
    if (examination->settings->revision != NULL)
        self->revision = text_of(examination->settings->revision);
    return self;
}

Postern__Verdict *verdict_unexamined(const char *finding, const char *sentence)
{
    Postern__Verdict *self = allocate(sizeof(*self));
    postern__verdict__init(self);
    self->n_findings = 1;
    self->findings = allocate(sizeof(*self->findings));
    self->findings[0] = allocate(sizeof(*self->findings[0]));
    postern__finding__init(self->findings[0]);
    self->findings[0]->name = text_of(finding);
    self->findings[0]->sentence = text_of(sentence);
    self->quarantine_name = text_of(finding);
    return self;
}

void verdict_destroy(Postern__Verdict **self)
{
    if (*self != NULL)
        postern__verdict__free_unpacked(*self, NULL);
    *self = NULL;
}
