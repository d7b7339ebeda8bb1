// SPDX-License-Identifier: Apache-2.0
// The generic test for unsolicited bulk mail: a string that every filter is to take for spam.
#include "analyzer/check.h"
#include "core/base/buffer.h"
#include "mail/charset.h"
#include "mail/parameter.h"
#include <string.h>

static const char gtube[] = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";

static const struct finding found = {
    .name = "gtube",
    .sentence = "The message holds the GTUBE test string for spam",
    .class = FINDING_SCORE,
    .score = 1000,
    .recipient = ALL_RECIPIENTS,
};

static int holds(struct span text)
{
    return memmem(text.data, text.size, gtube, sizeof(gtube) - 1) != NULL;
}

// Texts in charsets where ASCII looks otherwise are converted first.
static int holds_converted(const struct content_view *view)
{
    struct parameter_list list;
    parameters_read(&list, view->node->content_type);
    const struct parameter *charset = parameter_find(&list, "charset");
    if (charset == NULL || !charset_hides_ascii(charset->value))
        return 0;
    struct buffer text;
    buffer_init(&text);
    charset_to_utf8(charset->value, view->bytes, &text);
    int found_it = holds((struct span){buffer_bytes(&text), buffer_size(&text)});
    buffer_free(&text);
    return found_it;
}

void check_gtube(struct examination *examination, const struct content_view *view)
{
    int is_text = mime_is(view->node, "text", NULL);
    if (holds(view->bytes) ||
        (is_text && view->node->content_type.data != NULL && holds_converted(view)))
        examination_find(examination, &found, gtube, sizeof(gtube) - 1);
}
