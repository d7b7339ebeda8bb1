// SPDX-License-Identifier: Apache-2.0
#include "delivery/holding.h"

#include "core/base/loop.h"
#include "core/bus/socket.h"
#include "core/journal/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

struct worker {
    char home[64], state[80], run[80];
    struct loop *loop;
    struct bus *bus;
    struct settings *settings;
    unsigned waits;
};

static void receive(void *context, enum bus_type type, const uint8_t *data, size_t size)
{
    (void)context, (void)type, (void)data, (void)size;
}

static int open_worker(void **state)
{
    struct worker *self = allocate(sizeof(*self));
    snprintf(self->home, sizeof(self->home), "/tmp/postern-holding-test-XXXXXX");
    if (!mkdtemp(self->home))
        return -1;
    snprintf(self->state, sizeof(self->state), "%s/state", self->home);
    snprintf(self->run, sizeof(self->run), "%s/run", self->home);
    static const char tree[] = "{\"revision\":\"1\",\"documents\":{}}";
    char error[256];
    self->settings = settings_parse(tree, sizeof(tree) - 1, error, sizeof(error));
    self->loop = loop_new();
    self->bus = bus_new(self->loop, self->run, STAGE_DELIVERY, 0, receive, self);
    *state = self;
    return self->settings && self->bus ? 0 : -1;
}

static int close_worker(void **state)
{
    struct worker *self = *state;
    char command[96];
    bus_destroy(&self->bus);
    socket_context_end();
    loop_destroy(&self->loop);
    settings_release(&self->settings);
    snprintf(command, sizeof(command), "rm -rf '%s'", self->home);
    free(self);
    return system(command);
}

static struct holding *hold(struct worker *self)
{
    struct slot slot;
    assert_int_equal(slot_take(&slot, self->state, STAGE_DELIVERY, 0, NULL), 0);
    return holding_new(self->loop, self->bus, self->state, "mx.example", &slot, self->settings,
                       NULL);
}

static void durable(void *context, enum journal_state state, struct position where)
{
    struct worker *self = context;
    (void)where;
    if (state == JOURNAL_DURABLE && --self->waits == 0)
        loop_stop(self->loop);
}

static void a_journal_with_unreadable_records_can_be_held(void **state)
{
    struct worker *self = *state;
    static const unsigned types[] = {RECORD_TRIED, RECORD_ORDER, RECORD_HELD, RECORD_QUARANTINED,
                                     RECORD_ACKED};
    struct holding *holding = hold(self);
    assert_non_null(holding);
    for (size_t i = 0; i < ARRAY_LENGTH(types); i++) {
        char junk[] = "\xff\xff\xff\xff no message";
        struct iovec piece = {junk, sizeof(junk)};
        struct position where;
        assert_int_equal(
            journal_append(holding->journal, types[i], 0, &piece, 1, durable, self, &where), 0);
        self->waits++;
    }
    loop_run(self->loop);
    holding_destroy(&holding);

    holding = hold(self);
    assert_non_null(holding);
    assert_int_equal(journal_live(holding->journal), 0);
    assert_true(queue_empty(holding->queue));
    holding_destroy(&holding);
}

static void an_emptied_slot_is_removed_with_its_folders(void **state)
{
    struct worker *self = *state;
    struct holding *holding = hold(self);
    assert_true(holding_removable(holding));
    holding_remove(&holding);
    assert_null(holding);
    assert_int_equal(slot_existing(self->state, STAGE_DELIVERY), 0);
}

static void a_slot_with_damaged_records_set_aside_is_kept(void **state)
{
    struct worker *self = *state;
    struct holding *holding = hold(self);
    char corrupt[160];
    snprintf(corrupt, sizeof(corrupt), "%s/corrupt", holding->slot.path);
    assert_int_equal(mkdir(corrupt, 0700), 0);
    assert_false(holding_removable(holding));
    holding_destroy(&holding);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_journal_with_unreadable_records_can_be_held, open_worker,
                                        close_worker),
        cmocka_unit_test_setup_teardown(an_emptied_slot_is_removed_with_its_folders, open_worker,
                                        close_worker),
        cmocka_unit_test_setup_teardown(a_slot_with_damaged_records_set_aside_is_kept, open_worker,
                                        close_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
