// SPDX-License-Identifier: Apache-2.0
// Header fields that may occur only once (RFC 5322 3.6), and those a message must have.
#include "analyzer/check.h"
#include "mail/mime.h"
#include <string.h>

static const struct finding from_repeated = {
    .name = "from-repeated",
    .sentence = "The message has two From fields: programs show different authors",
    .class = FINDING_AMBIGUOUS,
    .score = 4,
    .recipient = ALL_RECIPIENTS,
};
static const struct finding field_repeated = {
    .name = "field-repeated",
    .sentence = "A header field that may occur once occurs twice",
    .class = FINDING_SCORE,
    .score = 1.5,
    .recipient = ALL_RECIPIENTS,
};
static const struct finding from_missing = {
    .name = "from-missing",
    .sentence = "The message has no From field",
    .class = FINDING_SCORE,
    .score = 1,
    .recipient = ALL_RECIPIENTS,
};
static const struct finding date_missing = {
    .name = "date-missing",
    .sentence = "The message has no Date field",
    .class = FINDING_SCORE,
    .score = 0.5,
    .recipient = ALL_RECIPIENTS,
};

static int is_repeated(const struct header_block *header, const char *name)
{
    const struct header_field *first = header_find(header, name, NULL);
    const struct header_field *other = first;
    while (other != NULL && (other = header_find(header, name, other)) != NULL)
        if (!span_equal(span_trim(first->value), span_trim(other->value)))
            return 1;
    return 0;
}

void check_fields(struct check_run *run)
{
    static const char *const once[] = {"Subject", "Date", "Sender",     "Reply-To",
                                       "To",      "Cc",   "Message-ID", "In-Reply-To"};
    struct examination *examination = run->examination;
    const struct header_block *header = &examination->mime->header;
    if (header_find(header, "From", NULL) == NULL)
        examination_find(examination, &from_missing, "", 0);
    else if (is_repeated(header, "From"))
        examination_find(examination, &from_repeated, "", 0);
    if (header_find(header, "Date", NULL) == NULL)
        examination_find(examination, &date_missing, "", 0);
    for (size_t i = 0; i < ARRAY_LENGTH(once); i++)
        if (is_repeated(header, once[i]))
            examination_find(examination, &field_repeated, once[i], strlen(once[i]));
    check_done(run);
}
