// SPDX-License-Identifier: Apache-2.0
#include "core/base/base.h"
#include "master/store/merge.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define KIND(name) POSTERN__KIND__KIND_##name
#define FATE(name) POSTERN__DISPOSITION__DISPOSITION_##name

static const struct {
    Postern__Kind kind;
    Postern__Disposition said;
    int moved;
    Postern__Disposition disposition;
    enum rank rank;
    enum quarantine_state quarantine;
} fates[] = {
    {KIND(DONE), FATE(DELIVERED), 0, FATE(DELIVERED), RANK_ENDED, QUARANTINE_NONE},
    {KIND(DONE), FATE(DEFERRED), 1, FATE(DEFERRED), RANK_MOVED, QUARANTINE_NONE},
    {KIND(DONE), FATE(QUARANTINED), 1, FATE(QUARANTINED), RANK_MOVED, QUARANTINE_NONE},
    {KIND(DONE), FATE(NONE), 0, FATE(NONE), RANK_NONE, QUARANTINE_NONE},
    {KIND(DONE), FATE(NONE), 1, FATE(NONE), RANK_NONE, QUARANTINE_NONE},
    {KIND(ATTEMPT), FATE(NONE), 0, FATE(DEFERRED), RANK_DEFERRED, QUARANTINE_NONE},
    {KIND(DEFERRED), FATE(NONE), 0, FATE(DEFERRED), RANK_DEFERRED, QUARANTINE_NONE},
    {KIND(DELIVERED), FATE(NONE), 0, FATE(DELIVERED), RANK_ENDED, QUARANTINE_NONE},
    {KIND(BOUNCED), FATE(NONE), 0, FATE(BOUNCED), RANK_ENDED, QUARANTINE_NONE},
    {KIND(DISCARDED), FATE(NONE), 0, FATE(DISCARDED), RANK_ENDED, QUARANTINE_NONE},
    {KIND(QUARANTINED), FATE(NONE), 0, FATE(QUARANTINED), RANK_QUARANTINED, QUARANTINE_HELD},
    {KIND(RELEASED), FATE(DELIVERED), 0, FATE(DELIVERED), RANK_ENDED, QUARANTINE_RELEASED},
    {KIND(RELEASED), FATE(BOUNCED), 0, FATE(NONE), RANK_NONE, QUARANTINE_NONE},
    {KIND(RELEASED), FATE(DEFERRED), 0, FATE(NONE), RANK_NONE, QUARANTINE_NONE},
    {KIND(DELETED), FATE(DISCARDED), 0, FATE(NONE), RANK_NONE, QUARANTINE_DELETED},
    {KIND(REFUSED), FATE(NONE), 0, FATE(REJECTED), RANK_ENDED, QUARANTINE_NONE},
    {(Postern__Kind)99, (Postern__Disposition)99, 0, (Postern__Disposition)99, RANK_NONE,
     QUARANTINE_NONE},
};

static void test_what_an_event_says_of_a_recipient(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(fates); i++) {
        Postern__Event event = POSTERN__EVENT__INIT;
        Postern__EventRecipient recipient = POSTERN__EVENT_RECIPIENT__INIT;
        event.kind = fates[i].kind;
        recipient.disposition = fates[i].said;
        recipient.moved = fates[i].moved;
        struct fate fate = merge_fate(&event, &recipient);
        if (fate.disposition != fates[i].disposition || fate.rank != fates[i].rank ||
            merge_quarantine(&event, &recipient) != fates[i].quarantine)
            fail_msg("row %zu: disposition %d, rank %d, quarantine %d", i, (int)fate.disposition,
                     (int)fate.rank, (int)merge_quarantine(&event, &recipient));
    }
}

static const struct {
    Postern__Kind kind;
    Postern__Disposition said;
    unsigned ingress;
    int ordered;
    enum origin origin;
} origins[] = {
    {KIND(DONE), FATE(DELIVERED), 0, 0, ORIGIN_ACCEPTED},
    {KIND(DONE), FATE(REJECTED), 0, 0, ORIGIN_REJECTED},
    {KIND(REFUSED), FATE(REJECTED), 0, 0, ORIGIN_REJECTED},
    {KIND(DEFERRED), FATE(DEFERRED), 1, 0, ORIGIN_ACCEPTED},
    {KIND(DELIVERED), FATE(DELIVERED), 0, 0, ORIGIN_NOTICE},
    {KIND(RELEASED), FATE(DELIVERED), 0, 1, ORIGIN_ACCEPTED},
    {KIND(DELETED), FATE(DISCARDED), 0, 1, ORIGIN_ACCEPTED},
};

static void test_where_a_mail_comes_from(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(origins); i++) {
        Postern__Event event = POSTERN__EVENT__INIT;
        Postern__EventRecipient recipient = POSTERN__EVENT_RECIPIENT__INIT, *list[] = {&recipient};
        event.kind = origins[i].kind;
        event.ingress = origins[i].ingress;
        event.order.len = origins[i].ordered ? 1 : 0;
        recipient.disposition = origins[i].said;
        event.recipients = list;
        event.n_recipients = 1;
        if (merge_origin(&event) != origins[i].origin)
            fail_msg("row %zu: origin %d", i, (int)merge_origin(&event));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_an_event_says_of_a_recipient),
        cmocka_unit_test(test_where_a_mail_comes_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
