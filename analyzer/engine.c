// SPDX-License-Identifier: Apache-2.0
#include "analyzer/engine.h"

#include "analyzer/check.h"
#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/base/loop.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { READINGS_MOST = 16 };

// One message and its checks.
struct work {
    struct examination examination;
    struct check_run runs[MESSAGE_CHECKS_MOST];
    unsigned pending; // bits of runs
    int starting;     // checks are still being started
    int64_t deadline_ms;
    engine_fn *fn;
    void *context;
    struct engine *engine;
    struct settings *settings;
    struct work *next; // running, or spare
};

struct engine {
    struct loop *loop;
    struct timer *timer;
    struct settings *settings;
    const struct check *checks;
    size_t check_count;
    struct work *running, *spare;
    struct buffer scratch;
    unsigned count;
};

static void on_deadline(void *context);

struct engine *engine_new(struct loop *loop, struct settings *settings)
{
    struct engine *self = allocate(sizeof(*self));
    self->loop = loop;
    self->timer = timer_new(loop, on_deadline, self);
    self->settings = settings_retain(settings);
    engine_use_checks(self, message_checks, message_check_count);
    buffer_init(&self->scratch);
    return self;
}

void engine_use_checks(struct engine *self, const struct check *checks, size_t count)
{
    assert(count <= MESSAGE_CHECKS_MOST);
    self->checks = checks;
    self->check_count = count;
}

static struct mime_limits limits_of(const struct settings *settings)
{
    return (struct mime_limits){
        .depth = settings->depth_max,
        .parts = settings->parts_max,
        .headers = settings->headers_max,
        .header_bytes = settings->header_bytes_max,
        .readings = READINGS_MOST,
    };
}

static void free_work(struct work *self)
{
    examination_free(&self->examination);
    settings_release(&self->settings);
    free(self);
}

static void free_all(struct work *work)
{
    while (work != NULL) {
        struct work *next = work->next;
        free_work(work);
        work = next;
    }
}

static void cancel_pending(struct work *self)
{
    const struct check *checks = self->engine->checks;
    for (size_t i = 0; i < self->engine->check_count; i++)
        if (self->pending & (1U << i) && checks[i].cancel != NULL)
            checks[i].cancel(&self->runs[i]);
}

void engine_destroy(struct engine **self)
{
    if (*self == NULL)
        return;
    for (struct work *work = (*self)->running; work != NULL; work = work->next)
        cancel_pending(work);
    free_all((*self)->running);
    free_all((*self)->spare);
    timer_destroy(&(*self)->timer);
    settings_release(&(*self)->settings);
    buffer_free(&(*self)->scratch);
    free(*self);
    *self = NULL;
}

void engine_set_settings(struct engine *self, struct settings *settings)
{
    settings_release(&self->settings);
    self->settings = settings_retain(settings);
    free_all(self->spare); // their parsers have the old limits
    self->spare = NULL;
}

unsigned engine_running(const struct engine *self)
{
    return self->count;
}

// A work of its own, with a parser that has been used before where there is one.
static struct work *take_work(struct engine *self)
{
    struct work *work = self->spare;
    if (work != NULL) {
        self->spare = work->next;
    } else {
        work = allocate(sizeof(*work));
        struct mime_limits limits = limits_of(self->settings);
        work->examination.mime = mime_new(&limits);
        work->settings = settings_retain(self->settings);
        work->engine = self;
    }
    work->next = self->running;
    self->running = work;
    self->count++;
    return work;
}

static void give_back(struct engine *self, struct work *work)
{
    struct work **link = &self->running;
    while (*link != work)
        link = &(*link)->next;
    *link = work->next;
    self->count--;
    if (work->settings != self->settings) {
        free_work(work);
        return;
    }
    work->next = self->spare;
    self->spare = work;
}

static void finish(struct work *work)
{
    work->fn(work->context, &work->examination);
    give_back(work->engine, work);
}

void check_done(struct check_run *run)
{
    // The examination is the first member of its work.
    struct work *work = (struct work *)run->examination;
    work->pending &= ~(1U << (run - work->runs));
    work->examination.checks++;
    if (work->pending == 0 && !work->starting)
        finish(work);
}

static void find_timeout(struct examination *examination, const char *what)
{
    static const struct finding timeout = {
        .name = "check-timeout",
        .sentence = "A check was not done in time",
        .class = FINDING_TIMEOUT,
        .score = 0,
        .recipient = ALL_RECIPIENTS,
    };
    examination_find(examination, &timeout, what, strlen(what));
}

static int show_to_checks(void *context, const struct content_view *view)
{
    struct examination *examination = context;
    for (size_t i = 0; i < content_check_count; i++)
        content_checks[i].view(examination, view);
    return clock_monotonic_us() > examination->until_us;
}

static void check_contents(struct engine *self, struct examination *examination)
{
    struct mime *mime = examination->mime;
    int late = 0;
    for (size_t i = 0; i < mime->count && !late; i++)
        if (readings_has_content(&mime->nodes[i]))
            late = readings_each(mime, (int)i, &self->scratch, show_to_checks, examination);
    if (late)
        find_timeout(examination, "content");
    examination->checks += (unsigned)content_check_count;
}

static void start_timer(struct engine *self)
{
    int64_t first = INT64_MAX;
    for (const struct work *work = self->running; work != NULL; work = work->next)
        first = work->deadline_ms < first ? work->deadline_ms : first;
    int64_t wait = first - loop_now_ms(self->loop);
    if (first == INT64_MAX)
        timer_stop(self->timer);
    else
        timer_start(self->timer, wait > 0 ? wait : 0);
}

static void time_out(struct work *work)
{
    cancel_pending(work);
    for (size_t i = 0; i < work->engine->check_count; i++)
        if (work->pending & (1U << i))
            find_timeout(&work->examination, work->engine->checks[i].name);
    work->pending = 0;
    finish(work);
}

static void on_deadline(void *context)
{
    struct engine *self = context;
    int64_t now = loop_now_ms(self->loop);
    struct work *next;
    for (struct work *work = self->running; work != NULL; work = next) {
        next = work->next;
        if (work->deadline_ms <= now)
            time_out(work);
    }
    start_timer(self);
}

static void start_checks(struct work *work)
{
    const struct engine *engine = work->engine;
    work->starting = 1;
    work->pending = (unsigned)((UINT64_C(1) << engine->check_count) - 1);
    for (size_t i = 0; i < engine->check_count; i++) {
        work->runs[i] = (struct check_run){.examination = &work->examination};
        engine->checks[i].start(&work->runs[i]);
    }
    work->starting = 0;
}

void engine_examine(struct engine *self, const Postern__Envelope *envelope, struct span message,
                    engine_fn *fn, void *context)
{
    struct work *work = take_work(self);
    struct examination *examination = &work->examination;
    examination->envelope = envelope;
    examination->message = message;
    examination->settings = work->settings;
    examination->finding_count = 0;
    examination->checks = 0;
    examination->unpacked = (struct unpack_totals){0};
    examination->until_us = clock_monotonic_us() + (int64_t)work->settings->check_timeout_ms * 1000;
    work->fn = fn;
    work->context = context;
    work->deadline_ms = loop_now_ms(self->loop) + work->settings->check_timeout_ms;
    mime_read(examination->mime, message);
    check_contents(self, examination);
    start_checks(work);
    if (work->pending == 0)
        finish(work);
    else
        start_timer(self);
}
