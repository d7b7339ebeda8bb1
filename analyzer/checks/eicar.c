// SPDX-License-Identifier: Apache-2.0
// The harmless test file that every virus scanner is to take for a virus.
#include "analyzer/check.h"
#include <string.h>

// Kept in two pieces, so that no scanner takes this program for the virus.
static const char first[] = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR";
static const char second[] = "-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*";

const struct finding finding_eicar = {
    .name = "eicar",
    .sentence = "The message holds the EICAR test virus",
    .class = FINDING_VIRUS,
    .score = 0,
    .recipient = ALL_RECIPIENTS,
};

int eicar_in(struct span bytes)
{
    const char *at = bytes.data, *end = bytes.data + bytes.size;
    while ((at = memmem(at, (size_t)(end - at), first, sizeof(first) - 1)) != NULL) {
        at += sizeof(first) - 1;
        if ((size_t)(end - at) >= sizeof(second) - 1 && memcmp(at, second, sizeof(second) - 1) == 0)
            return 1;
    }
    return 0;
}

void check_eicar(struct examination *examination, const struct content_view *view)
{
    if (eicar_in(view->bytes))
        examination_find(examination, &finding_eicar, "", 0);
}
