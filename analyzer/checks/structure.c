// SPDX-License-Identifier: Apache-2.0
// What the parser noticed: mail that programs read differently, and mail beyond the limits.
#include "analyzer/check.h"
#include "core/base/buffer.h"

static const struct finding ambiguous = {
    .name = "mime-ambiguous",
    .sentence = "Mail programs can read this message in different ways",
    .class = FINDING_AMBIGUOUS,
    .score = 3,
    .recipient = ALL_RECIPIENTS,
};
static const struct finding limited = {
    .name = "limits-exceeded",
    .sentence = "The message is too complex to be examined whole",
    .class = FINDING_LIMIT,
    .score = 0,
    .recipient = ALL_RECIPIENTS,
};
static const struct finding odd = {
    .name = "mime-malformed",
    .sentence = "The message breaks the rules of MIME, without a doubt about its content",
    .class = FINDING_SCORE,
    .score = 0.5,
    .recipient = ALL_RECIPIENTS,
};
static const struct finding fragment = {
    .name = "mime-fragment",
    .sentence = "The message is a fragment that mail programs join with others",
    .class = FINDING_AMBIGUOUS,
    .score = 2,
    .recipient = ALL_RECIPIENTS,
};

// Adds the finding with the names of those anomalies as evidence.
static void find_set(struct examination *examination, const struct finding *finding, uint64_t set)
{
    if (set == 0)
        return;
    struct buffer names;
    buffer_init(&names);
    for (unsigned i = 0; i < ANOMALY_COUNT; i++)
        if (set & ANOMALY_BIT(i))
            buffer_printf(&names, "%s%s", buffer_size(&names) > 0 ? " " : "",
                          anomaly_name((enum anomaly)i));
    examination_find(examination, finding, buffer_bytes(&names), buffer_size(&names));
    buffer_free(&names);
}

void check_structure(struct check_run *run)
{
    const struct mime *mime = run->examination->mime;
    // Common in honest mail, so worth no score.
    const uint64_t common = ANOMALY_BIT(ANOMALY_VERSION_MISSING) |
                            ANOMALY_BIT(ANOMALY_CLOSE_MISSING) | ANOMALY_BIT(ANOMALY_UU_INLINE) |
                            ANOMALY_BIT(ANOMALY_PARTS_IN_LEAF);
    find_set(run->examination, &limited, mime->anomalies & anomalies_limits());
    find_set(run->examination, &ambiguous, mime->anomalies & anomalies_ambiguous());
    find_set(run->examination, &odd,
             mime->anomalies & ~anomalies_ambiguous() & ~anomalies_limits() & ~common);
    for (size_t i = 0; i < mime->count; i++)
        if (mime_is(&mime->nodes[i], "message", "partial"))
            examination_find(run->examination, &fragment, "", 0);
    check_done(run);
}
