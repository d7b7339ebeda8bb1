// SPDX-License-Identifier: Apache-2.0
// Looks into archives for viruses, and says what keeps it from looking.
#include "analyzer/check.h"
#include "analyzer/unpack.h"
#include <string.h>

static const struct unpack_limits limits = {
    .output_most = 512u << 20,
    .ratio_from = 16u << 20,
    .ratio_most = 200,
    .held_most = 96u << 20,
    .members_most = 10000,
    .depth_most = 6,
};

static const struct finding problems[] = {
    [UNPACK_ENCRYPTED] =
        {
            .name = "archive-encrypted",
            .sentence = "An archive is encrypted and cannot be examined",
            .class = FINDING_LIMIT,
            .score = 1,
            .recipient = ALL_RECIPIENTS,
        },
    [UNPACK_BROKEN] =
        {
            .name = "archive-broken",
            .sentence = "An archive is broken and cannot be examined whole",
            .class = FINDING_LIMIT,
            .score = 1,
            .recipient = ALL_RECIPIENTS,
        },
    [UNPACK_LIMIT] =
        {
            .name = "archive-limit",
            .sentence = "An archive is too big, too deep or too dense to be examined whole",
            .class = FINDING_LIMIT,
            .score = 3,
            .recipient = ALL_RECIPIENTS,
        },
    [UNPACK_TRAVERSAL] =
        {
            .name = "archive-traversal",
            .sentence = "A member's name leads out of the folder it is unpacked to",
            .class = FINDING_SCORE,
            .score = 8,
            .recipient = ALL_RECIPIENTS,
        },
    [UNPACK_DIFFERENT] =
        {
            .name = "archive-ambiguous",
            .sentence = "Programs find different members in an archive",
            .class = FINDING_AMBIGUOUS,
            .score = 4,
            .recipient = ALL_RECIPIENTS,
        },
};

struct look {
    struct examination *examination;
    int alternative; // another look at the same bytes, which need be no archive: a break is no news
};

static int look_at_bytes(void *context, struct span bytes)
{
    const struct look *self = context;
    if (!eicar_in(bytes))
        return 0;
    examination_find(self->examination, &finding_eicar, "in an archive", strlen("in an archive"));
    return 1;
}

static void note_problem(void *context, enum unpack_problem problem, const char *detail)
{
    const struct look *self = context;
    if (!self->alternative || problem == UNPACK_LIMIT)
        examination_find(self->examination, &problems[problem], detail, strlen(detail));
}

// A zip may have something before it and still open.
static struct span from_zip(struct span bytes)
{
    const char *zip = memmem(bytes.data, bytes.size, "PK\3\4", 4);
    if (zip == NULL)
        return (struct span){bytes.data, 0};
    return (struct span){zip, bytes.size - (size_t)(zip - bytes.data)};
}

void check_archive(struct examination *examination, const struct content_view *view)
{
    struct look look = {examination, view->alternative};
    struct unpack_handler handler = {look_at_bytes, note_problem, &look};
    struct unpack_limits until = limits;
    struct span bytes = view->bytes;
    until.until_us = examination->until_us;
    if (!unpack_knows(bytes)) {
        // In a text as it stands that is no zip but speaks of one.
        if (view->encoding == ENCODING_IDENTITY &&
            (view->node->type.size == 0 || mime_is(view->node, "text", NULL)))
            return;
        bytes = from_zip(bytes);
        look.alternative = 1;
    }
    if (bytes.size > 0)
        unpack(bytes, &until, &examination->unpacked, &handler);
}
