// SPDX-License-Identifier: Apache-2.0
// A slot dies and leaves many mails; the loop of the ingress that adopts it must not stand still.
#include "ingress/stage.h"

#include "core/base/loop.h"
#include "core/bus/socket.h"
#include "core/journal/record.h"
#include "mail/spooled.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { MAILS = 60000, AT_ONCE = 5000, DEAD = 1, AFTER_TURNS = 1000, TURNS_LEAST = 10 };

struct worker {
    char home[64], state[80], run[80];
    struct loop *loop;
    struct settings *settings;
    struct timer *timer;
    struct stage_of_ingress *stage;
    unsigned waits;
    // What the loop of the heir was like.
    int64_t turn_us;    // processor time of the loop's thread as of the last turn
    int64_t longest_us; // most of it between two turns
    unsigned turns;     // while the journal was being opened
    unsigned turns_after;
};

static int64_t thread_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * (int64_t)1000000 + now.tv_nsec / 1000;
}

static int open_worker(void **state)
{
    struct worker *self = allocate(sizeof(*self));
    static const char tree[] = "{\"revision\":\"1\",\"documents\":{}}";
    char error[256];
    snprintf(self->home, sizeof(self->home), "/tmp/postern-adoption-XXXXXX");
    if (!mkdtemp(self->home))
        return -1;
    snprintf(self->state, sizeof(self->state), "%s/state", self->home);
    snprintf(self->run, sizeof(self->run), "%s/run", self->home);
    self->settings = settings_parse(tree, sizeof(tree) - 1, error, sizeof(error));
    self->loop = loop_new();
    *state = self;
    return self->settings ? 0 : -1;
}

static int close_worker(void **state)
{
    struct worker *self = *state;
    char command[96];
    socket_context_end();
    loop_destroy(&self->loop);
    settings_release(&self->settings);
    snprintf(command, sizeof(command), "rm -rf '%s'", self->home);
    free(self);
    return system(command);
}

// -- what the dead slot left

static void stored(void *context, enum journal_state state, struct position where)
{
    struct worker *self = context;
    (void)where;
    if (state == JOURNAL_DURABLE && --self->waits == 0)
        loop_stop(self->loop);
}

static void append_mail(struct worker *self, struct journal *journal, unsigned number)
{
    Postern__Recipient recipient = POSTERN__RECIPIENT__INIT, *recipients[] = {&recipient};
    Postern__Envelope envelope = POSTERN__ENVELOPE__INIT;
    struct ulid id = ulid_new(1700000000000 + number);
    char message[256];
    size_t head_size, size = (size_t)snprintf(message, sizeof(message),
                                              "Subject: %u\r\n\r\nLeft behind.\r\n", number);
    recipient.address = (ProtobufCBinaryData){9, (uint8_t *)"a@b.local"};
    envelope.id = (ProtobufCBinaryData){ULID_SIZE, id.bytes};
    envelope.n_recipients = 1;
    envelope.recipients = recipients;
    envelope.size = size;
    void *head = spooled_head(&envelope, &head_size);
    struct iovec pieces[] = {{head, head_size}, {message, size}};
    struct position where;
    assert_int_equal(journal_append(journal, RECORD_MESSAGE, 0, pieces, 2, stored, self, &where),
                     0);
    self->waits++;
    free(head);
}

static void leave_mails(struct worker *self)
{
    struct slot slot;
    char folder[128];
    struct journal_report report;
    assert_int_equal(slot_take(&slot, self->state, STAGE_INGRESS, DEAD, NULL), 0);
    snprintf(folder, sizeof(folder), "%s/journal", slot.path);
    struct journal_options options = {.folder = folder};
    struct journal *journal = journal_new(self->loop, &options, NULL, NULL, &report);
    assert_non_null(journal);
    for (unsigned i = 0; i < MAILS; i += AT_ONCE) {
        for (unsigned j = 0; j < AT_ONCE; j++)
            append_mail(self, journal, i + j);
        loop_run(self->loop);
    }
    journal_destroy(&journal);
    slot_release(&slot);
}

// -- the heir

static void turn(void *context)
{
    struct worker *self = context;
    int64_t now_us = thread_us();
    if (now_us - self->turn_us > self->longest_us)
        self->longest_us = now_us - self->turn_us;
    if (stage_custody(self->stage) == MAILS)
        self->turns_after++;
    else if (slot_locked(self->state, STAGE_INGRESS, DEAD) == 1)
        self->turns++;
    if (self->turns_after == AFTER_TURNS)
        loop_stop(self->loop);
    timer_start(self->timer, 1);
    self->turn_us = thread_us();
}

static void new_settings(void *context, struct settings *settings)
{
    (void)context, (void)settings;
}

static void adopt(struct worker *self)
{
    struct slot slot;
    assert_int_equal(slot_take(&slot, self->state, STAGE_INGRESS, 0, NULL), 0);
    self->stage =
        stage_new(self->loop, self->state, self->run, &slot, self->settings, new_settings, NULL);
    assert_non_null(self->stage);
    self->timer = timer_new(self->loop, turn, self);
    timer_start(self->timer, 0);
    self->turn_us = thread_us();
    loop_run(self->loop);
    timer_destroy(&self->timer);
    stage_destroy(&self->stage);
}

// What adopting costs where it is done in one piece.
static int64_t opening_us(struct worker *self)
{
    struct slot slot;
    assert_int_equal(slot_take(&slot, self->state, STAGE_INGRESS, DEAD, NULL), 0);
    int64_t begin_us = thread_us();
    struct holding *holding = holding_open(self->state, &slot, NULL);
    int64_t end_us = thread_us();
    assert_non_null(holding);
    assert_int_equal(custody_count(holding->custody), MAILS);
    holding_destroy(&holding);
    return end_us - begin_us;
}

// Processor time, not the wall's: on a busy machine the loop may stand still for others' sake.
static void the_loop_of_the_heir_turns_while_it_adopts(void **state)
{
    struct worker *self = *state;
    leave_mails(self);
    int64_t blocked_us = opening_us(self);
    adopt(self);
    print_message("opening %ld us, longest turn %ld us, %u turns meanwhile\n", (long)blocked_us,
                  (long)self->longest_us, self->turns);
    assert_true(self->turns >= TURNS_LEAST);
    assert_true(self->longest_us < blocked_us / 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_loop_of_the_heir_turns_while_it_adopts, open_worker,
                                        close_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
