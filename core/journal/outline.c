// SPDX-License-Identifier: Apache-2.0
#include "core/journal/outline.h"
#include "core/journal/scan.h"

void outline_read(struct outline *ret, const void *bytes, uint32_t size, uint64_t birth,
                  uint64_t segment)
{
    *ret = (struct outline){.segment = segment, .void_from = UINT32_MAX};
    struct scan scan;
    struct found found;
    scan_begin(&scan, bytes, size, birth, segment, 0, 0);
    for (enum scan_result result; (result = scan_next(&scan, &found)) != SCAN_END;) {
        struct mark mark;
        if (result != SCAN_RECORD || found.record.type != RECORD_MARK ||
            mark_decode(&mark, found.payload, found.where.length) < 0 || mark.kind == MARK_ORIGIN)
            continue;
        if (position_before(ret->synced, mark.synced))
            ret->synced = mark.synced;
        if (mark.synced.segment < segment && position_before(ret->before, mark.synced))
            ret->before = mark.synced;
        if (mark.kind != MARK_BATCH)
            continue;
        if (!ret->complete)
            ret->complete_to = found.where.offset + MARK_SIZE;
        ret->complete = 1;
        ret->sealed = mark.sealed;
    }
}

// What the marks of `by` void in an older segment.
static void seal(struct outline *older, const struct outline *by)
{
    if (position_before((struct position){older->segment, UINT32_MAX, 0}, by->sealed))
        return;
    uint32_t from = older->segment == by->sealed.segment ? by->sealed.offset : 0;
    if (from >= older->void_from)
        return;
    older->void_from = from;
    older->voided_by = by->segment;
}

static void sound(struct outline *self, struct position synced)
{
    if (synced.segment == self->segment && synced.offset > self->sound_to)
        self->sound_to = synced.offset;
}

static struct position begin_anew(const struct outline *outlines, size_t count,
                                  struct position synced)
{
    struct position anew = synced;
    for (size_t i = 0; i < count; i++) {
        struct position complete = {outlines[i].segment, outlines[i].complete_to, 0};
        if (outlines[i].complete && position_before(synced, complete) &&
            position_before(outlines[i].sealed, anew))
            anew = outlines[i].sealed;
    }
    return anew;
}

struct plan outline_plan(struct outline *outlines, size_t count)
{
    struct position synced = {0};
    for (size_t i = 0; i < count; i++) {
        if (position_before(synced, outlines[i].synced))
            synced = outlines[i].synced;
        for (size_t j = 0; outlines[i].complete && j < i; j++)
            seal(&outlines[j], &outlines[i]);
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i; j < count; j++) {
            sound(&outlines[i], outlines[j].synced);
            sound(&outlines[i], outlines[j].before);
        }
        if (outlines[i].sound_to > outlines[i].void_from)
            outlines[i].sound_to = outlines[i].void_from;
    }
    return (struct plan){synced, begin_anew(outlines, count, synced)};
}
