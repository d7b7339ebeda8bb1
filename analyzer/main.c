// SPDX-License-Identifier: Apache-2.0
// postern-analyzer: examines messages and answers with a verdict. Holds nothing, sends nothing.
//
// Sockets  run/analyzer/<slot> (PULL), pipes to ingresses and node.
// Reads    node.conf, state/config/current, state/ingress/<slot>/journal and big (mapped).
// Writes   nothing but its lock, state/analyzer/<slot>.
// It reads hostile bytes, so before the first it goes into a sandbox (sandbox.h).
//
// With --one FILE it examines that file instead, without any socket (one.h).
#include "analyzer/one.h"
#include "analyzer/sandbox.h"
#include "analyzer/stage.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "core/base/process.h"
#include "core/bus/socket.h"
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DESCRIPTORS = 1024, DRAIN_MS = 30000, DRAIN_CHECK_MS = 50 };

struct analyzer {
    struct process process;
    struct loop *loop;
    struct slot slot;
    struct stage_of_analyzer *stage;
    struct timer *drain;
    int64_t drain_until_ms; // 0: not draining
};

static void check_drain(void *context)
{
    struct analyzer *self = context;
    if (stage_idle(self->stage) || loop_now_ms(self->loop) >= self->drain_until_ms)
        loop_stop(self->loop);
    else
        timer_start(self->drain, DRAIN_CHECK_MS);
}

// No more credit; what is held is finished.
static void terminate(void *context)
{
    struct analyzer *self = context;
    if (self->drain_until_ms != 0)
        return;
    log_info("drain", "held=%zu", stage_held(self->stage));
    self->drain_until_ms = loop_now_ms(self->loop) + DRAIN_MS;
    stage_drain(self->stage);
    timer_start(self->drain, DRAIN_CHECK_MS);
}

static void tell_sandbox(const char *label, int rc)
{
    metric_set(metric("analyzer_sandbox", label), rc == 0);
    if (rc < 0)
        log_warning("sandbox", "without=%s error=\"%s\"", label, strerror(errno));
}

// The threads that the bus starts after this are as confined as the loop.
static void confine_files(const struct analyzer *self, const struct settings *settings)
{
    const struct process *process = &self->process;
    const struct sandbox sandbox = {
        // Charset modules and time zones are read when they are first needed.
        .readable = {process->state, "/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime",
                     "/etc/ssl", "/proc/self", "/dev/urandom"},
        .writable = {process->run, self->slot.path},
        .memory_max = settings->analyzer_memory_max};
    sandbox_limits(&sandbox, DESCRIPTORS);
    tell_sandbox("part=\"files\"", sandbox_files(&sandbox));
}

static void open_stage(struct analyzer *self, struct settings *settings)
{
    const struct process *process = &self->process;
    if (slot_take(&self->slot, process->state, STAGE_ANALYZER, process->slot, NULL) < 0) {
        fprintf(stderr, "%s: no slot under %s/analyzer: %s\n", process->name, process->state,
                strerror(errno));
        exit(1);
    }
    // What is missing cannot be opened up: the first stage of a worker makes the folder.
    if (file_make_folders(process->run, 0755) < 0) {
        fprintf(stderr, "%s: %s: %s\n", process->name, process->run, strerror(errno));
        exit(1);
    }
    confine_files(self, settings);
    self->stage = stage_new(self->loop, process->state, process->run, process->conf.hostname,
                            &self->slot, settings);
    if (self->stage == NULL) {
        fprintf(stderr, "%s: slot %u under %s/analyzer cannot be used: %s\n", process->name,
                self->slot.number, process->state, strerror(errno));
        exit(1);
    }
    tell_sandbox("part=\"calls\"", sandbox_calls());
    log_info("ready", "slot=%u", self->slot.number);
}

int main(int argc, char **argv)
{
    // Names of archives' members come in many charsets; libarchive converts them to this one.
    setlocale(LC_CTYPE, "C.UTF-8");
    if (argc > 1 && strcmp(argv[1], "--one") == 0)
        return one_main(argc - 2, argv + 2);
    struct analyzer self = {0};
    process_start(&self.process, "postern-analyzer", &argc, argv);
    process_limit_descriptors(DESCRIPTORS);
    struct settings *settings = settings_await(self.process.state);
    self.loop = loop_new();
    process_watchdog(self.loop);
    self.drain = timer_new(self.loop, check_drain, &self);
    open_stage(&self, settings);
    settings_release(&settings);
    loop_on_signal(self.loop, SIGTERM, terminate, &self);
    loop_on_signal(self.loop, SIGINT, terminate, &self);
    loop_run(self.loop);
    stage_destroy(&self.stage);
    slot_release(&self.slot);
    timer_destroy(&self.drain);
    socket_context_end();
    loop_destroy(&self.loop);
    log_stop();
    return 0;
}
