// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/analyzer/examine.h"

#include "core/base/clock.h"

static const char clean[] = "From: a@b.example\r\nDate: Mon, 12 Jan 2026 10:00:00 +0000\r\n"
                            "Subject: hello\r\nMessage-ID: <1@b.example>\r\n\r\nhello\r\n";

static struct check_run *kept;
static int cancelled;

static void start_never(struct check_run *run)
{
    kept = run;
}

static void cancel_never(struct check_run *run)
{
    assert_ptr_equal(run, kept);
    cancelled++;
}

static void start_at_once(struct check_run *run)
{
    check_done(run);
}

static void a_clean_message_passes_every_check(void **state)
{
    (void)state;
    struct examined result = examine(NULL, clean);
    assert_int_equal(result.verdict->n_findings, 0);
    assert_int_equal(action_for(&result, 0), POSTERN__ACTION__ACTION_ACCEPT);
    assert_int_equal(result.verdict->checks, message_check_count + content_check_count);
    assert_memory_equal(result.verdict->revision.data, "7", 1);
    examined_free(&result);
}

static void a_check_that_hangs_is_a_finding(void **state)
{
    static const struct check checks[] = {{"hanging", start_never, cancel_never},
                                          {"prompt", start_at_once, NULL}};
    static const struct asked asked = {.documents = "{\"analyzer\":{\"check_timeout_ms\":30}}",
                                       .checks = checks,
                                       .check_count = 2};
    (void)state;
    cancelled = 0;
    int64_t start = clock_monotonic_ms();
    struct examined result = examine(&asked, clean);
    assert_in_range(clock_monotonic_ms() - start, 25, 2000);
    assert_int_equal(cancelled, 1);
    const Postern__Finding *finding = found(&result, "check-timeout");
    assert_non_null(finding);
    assert_memory_equal(finding->evidence.data, "hanging", 7);
    assert_int_equal(action_for(&result, 0), POSTERN__ACTION__ACTION_QUARANTINE);
    examined_free(&result);
}

static void end_kept(void *context)
{
    (void)context;
    check_done(kept);
}

static void a_check_that_answers_later_is_waited_for(void **state)
{
    static const struct check checks[] = {{"late", start_never, cancel_never}};
    (void)state;
    struct examined result = {.loop = loop_new()};
    struct settings *settings = test_settings(NULL);
    struct engine *engine = engine_new(result.loop, settings);
    Postern__Recipient row = POSTERN__RECIPIENT__INIT, *list[] = {&row};
    Postern__Envelope envelope = POSTERN__ENVELOPE__INIT;
    envelope.recipients = list;
    envelope.n_recipients = 1;
    struct timer *timer = timer_new(result.loop, end_kept, NULL);
    engine_use_checks(engine, checks, 1);
    engine_examine(engine, &envelope, span_of(clean), test_ended, &result);
    assert_false(result.ended);
    assert_int_equal(engine_running(engine), 1);
    timer_start(timer, 5);
    loop_run(result.loop);
    assert_true(result.ended);
    assert_int_equal(engine_running(engine), 0);
    assert_null(found(&result, "check-timeout"));
    timer_destroy(&timer);
    engine_destroy(&engine);
    settings_release(&settings);
    loop_destroy(&result.loop);
    examined_free(&result);
}

struct counted {
    unsigned ended;
};

static void count_end(void *context, struct examination *examination)
{
    struct counted *self = context;
    assert_non_null(examination_found(examination, "check-timeout"));
    self->ended++;
}

static void stop(void *context)
{
    loop_stop(context);
}

static void several_messages_wait_side_by_side(void **state)
{
    static const struct check checks[] = {{"hanging", start_never, NULL}};
    (void)state;
    struct loop *loop = loop_new();
    struct settings *settings = test_settings("{\"analyzer\":{\"check_timeout_ms\":20}}");
    struct settings *other = test_settings(NULL);
    struct engine *engine = engine_new(loop, settings);
    Postern__Recipient row = POSTERN__RECIPIENT__INIT, *list[] = {&row};
    Postern__Envelope envelope = POSTERN__ENVELOPE__INIT;
    struct counted counted = {0};
    struct timer *timer = timer_new(loop, stop, loop);
    envelope.recipients = list;
    envelope.n_recipients = 1;
    engine_use_checks(engine, checks, 1);
    for (int i = 0; i < 5; i++)
        engine_examine(engine, &envelope, span_of(clean), count_end, &counted);
    assert_int_equal(engine_running(engine), 5);
    engine_set_settings(engine, other); // a reload meanwhile
    timer_start(timer, 200);
    loop_run(loop);
    assert_int_equal(counted.ended, 5);
    // One that is destroyed before its end tells nobody.
    engine_examine(engine, &envelope, span_of(clean), count_end, &counted);
    engine_destroy(&engine);
    assert_int_equal(counted.ended, 5);
    timer_destroy(&timer);
    settings_release(&other);
    settings_release(&settings);
    loop_destroy(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clean_message_passes_every_check),
        cmocka_unit_test(a_check_that_hangs_is_a_finding),
        cmocka_unit_test(a_check_that_answers_later_is_waited_for),
        cmocka_unit_test(several_messages_wait_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
