// SPDX-License-Identifier: Apache-2.0
#include "analyzer/examination.h"

#include <stdlib.h>
#include <string.h>

// Printable ASCII stays; the rest becomes '?', so that evidence can stand in a header field, a log
// or a page.
static void set_evidence(struct finding *self, const char *evidence, size_t size)
{
    if (size >= EVIDENCE_MOST)
        size = EVIDENCE_MOST - 1;
    for (size_t i = 0; i < size; i++)
        self->evidence[i] = evidence[i] >= 32 && evidence[i] < 127 ? evidence[i] : '?';
    self->evidence[size] = 0;
}

void examination_find(struct examination *self, const struct finding *finding, const char *evidence,
                      size_t size)
{
    for (size_t i = 0; i < self->finding_count; i++)
        if (self->findings[i].recipient == finding->recipient &&
            strcmp(self->findings[i].name, finding->name) == 0)
            return;
    if (self->finding_count == self->finding_capacity) {
        self->finding_capacity = self->finding_capacity > 0 ? 2 * self->finding_capacity : 16;
        self->findings =
            reallocate(self->findings, self->finding_capacity * sizeof(*self->findings));
    }
    struct finding *added = &self->findings[self->finding_count++];
    *added = *finding;
    set_evidence(added, evidence, size);
}

void examination_free(struct examination *self)
{
    mime_destroy(&self->mime);
    free(self->findings);
    self->findings = NULL;
    self->finding_count = self->finding_capacity = 0;
}

const struct finding *examination_found(const struct examination *self, const char *name)
{
    for (size_t i = 0; i < self->finding_count; i++)
        if (strcmp(self->findings[i].name, name) == 0)
            return &self->findings[i];
    return NULL;
}
