// SPDX-License-Identifier: Apache-2.0
#include "node/supervise.h"

#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "node/plan.h"
#include "node/roll.h"
#include "node/spawn.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum {
    POLL_MS = 200,
    SILENT_S = 30,      // then a process that hangs is killed
    FIRST_WORD_S = 600, // a long journal is read before the first word
    KNOWN_S = 10,       // so long a lock may belong to a process that has not spoken yet
    INGRESS_DRAIN_MS = 15000,
    DRAIN_MS = 25000,
    KILLED_MS = 2000,
};

struct child {
    pid_t pid; // 0: none, or one that a node before us started and that roll.h knows not
    int born;  // by us: its end is to be waited for
    int ours;
    int stopping, killed;
    int locked;
    unsigned locked_s; // that we know of
    int64_t started_ms;
    int64_t again_ms; // not before this, 0: at once
    struct backoff backoff;
};

struct supervise {
    struct loop *loop;
    const struct process *process;
    struct sockets *sockets;
    struct stages *stages;
    struct supervise_ops ops;
    struct child children[STAGES_END][SLOT_MOST];
    unsigned wanted[STAGES_END];
    struct timer *poll;
    int64_t drain_from_ms; // 0: not draining
    int drain_rest;        // the ingresses have ended
};

static const char *program_of(enum stage stage)
{
    static const char *const names[] = {"", "postern-ingress", "postern-analyzer",
                                        "postern-delivery"};
    return names[stage];
}

typedef void child_fn(struct supervise *self, enum stage stage, unsigned slot, struct child *child);

static void each(struct supervise *self, child_fn *fn)
{
    for (unsigned stage = STAGE_INGRESS; stage < STAGES_END; stage++)
        for (unsigned slot = 0; slot < SLOT_MOST; slot++)
            fn(self, (enum stage)stage, slot, &self->children[stage][slot]);
}

static void changed(const struct supervise *self)
{
    struct roll roll = {0};
    for (unsigned stage = STAGE_INGRESS; stage < STAGES_END; stage++)
        for (unsigned slot = 0; slot < SLOT_MOST; slot++)
            if (self->children[stage][slot].ours && self->children[stage][slot].pid)
                roll.pid[stage][slot] = self->children[stage][slot].pid;
    if (roll_write(&roll, self->process->run) < 0)
        log_warning("roll.write", "errno=%d", errno);
    self->ops.changed(self->ops.context);
}

// -- births

static void list_descriptors(const struct sockets *sockets, char *ret_text, size_t size)
{
    size_t used = 0;
    for (unsigned i = 0; i < sockets->count; i++)
        used += (size_t)snprintf(ret_text + used, size - used, "%s%u", i ? "," : "",
                                 SPAWN_FD_FIRST + i);
}

static pid_t launch(const struct supervise *self, enum stage stage, unsigned slot)
{
    const struct process *process = self->process;
    const struct sockets *sockets = self->sockets;
    unsigned given = stage == STAGE_INGRESS ? sockets->count : 0;
    char number[16], fds[64];
    snprintf(number, sizeof(number), "%u", slot);
    list_descriptors(sockets, fds, sizeof(fds));
    const char *const arguments[] = {program_of(stage),
                                     "--config",
                                     process->config_path,
                                     "--state",
                                     process->state,
                                     "--run",
                                     process->run,
                                     "--slot",
                                     number,
                                     "--log-level",
                                     process->conf.log_level,
                                     given ? "--listen-fd" : NULL,
                                     fds,
                                     NULL};
    return spawn((char *const *)(uintptr_t)arguments, sockets->fds, given);
}

static void start(struct supervise *self, enum stage stage, unsigned slot)
{
    struct child *child = &self->children[stage][slot];
    int64_t now = loop_now_ms(self->loop);
    pid_t pid = launch(self, stage, slot);
    if (pid < 0) {
        log_error("stage.start", "stage=%s slot=%u failed=\"%s\"", stage_name(stage), slot,
                  strerror(errno));
        child->ours = 1;
        child->again_ms = now + backoff_next(&child->backoff, 0);
        return;
    }
    log_info("stage.started", "stage=%s slot=%u pid=%d", stage_name(stage), slot, (int)pid);
    stages_ended(self->stages, stage, slot); // what the one before said
    *child = (struct child){
        .pid = pid, .born = 1, .ours = 1, .started_ms = now, .backoff = child->backoff};
    changed(self);
}

// -- ends

static void ended(struct supervise *self, enum stage stage, unsigned slot, const char *how,
                  int code)
{
    struct child *child = &self->children[stage][slot];
    int64_t now = loop_now_ms(self->loop);
    struct backoff backoff = child->backoff;
    int wanted = !child->stopping && !self->drain_from_ms;
    log_write(wanted ? LOG_WARNING : LOG_INFO, "stage.ended", "stage=%s slot=%u pid=%d %s=%d",
              stage_name(stage), slot, (int)child->pid, how, code);
    stages_ended(self->stages, stage, slot);
    if (wanted) {
        int64_t delay_ms = backoff_next(&backoff, now - child->started_ms);
        metric_add(metric("stage_restarts_total", ""), 1);
        *child = (struct child){.ours = 1, .again_ms = now + delay_ms, .backoff = backoff};
    } else {
        *child = (struct child){0};
    }
    changed(self);
}

static void reap_child(struct supervise *self, enum stage stage, unsigned slot, struct child *child)
{
    int status;
    if (!child->born || waitpid(child->pid, &status, WNOHANG) != child->pid)
        return;
    if (WIFSIGNALED(status))
        ended(self, stage, slot, "signal", WTERMSIG(status));
    else
        ended(self, stage, slot, "exit", WEXITSTATUS(status));
}

static void plan_all(struct supervise *self);

static void on_child(void *context)
{
    struct supervise *self = context;
    each(self, reap_child);
    plan_all(self);
}

static void signal_child(enum stage stage, unsigned slot, const struct child *child, int number)
{
    if (child->pid <= 0 || !spawned_is(child->pid, program_of(stage)))
        return;
    if (kill(child->pid, number) < 0)
        log_warning("stage.signal", "stage=%s slot=%u errno=%d", stage_name(stage), slot, errno);
}

static void stop(enum stage stage, unsigned slot, struct child *child)
{
    if (child->stopping)
        return;
    child->stopping = 1;
    signal_child(stage, slot, child, SIGTERM);
}

// -- what is there

// The end of one that a node before us started is not told to us; and an heir may have locked its
// slot before we looked.
static int is_gone(const struct child *child, int locked)
{
    return child->pid && !child->born && (!locked || (kill(child->pid, 0) < 0 && errno == ESRCH));
}

static void look(struct supervise *self, enum stage stage, unsigned slot, struct child *child)
{
    int locked = slot_locked(self->process->state, stage, slot);
    if (locked < 0)
        return;
    if (is_gone(child, locked))
        ended(self, stage, slot, "found", 0);
    else if (child->locked && !locked && !child->pid)
        stages_ended(self->stages, stage, slot);
    child->locked = locked;
    if (!locked)
        child->locked_s = 0;
}

static void look_everywhere(struct supervise *self)
{
    for (unsigned stage = STAGE_INGRESS; stage < STAGES_END; stage++) {
        uint64_t slots = slot_existing(self->process->state, (enum stage)stage);
        for (unsigned slot = 0; slot < SLOT_MOST; slot++) {
            struct child *child = &self->children[stage][slot];
            if ((slots >> slot & 1) || child->locked || child->pid)
                look(self, (enum stage)stage, slot, child);
        }
    }
}

static enum plan_state state_of(const struct supervise *self, enum stage stage, unsigned slot)
{
    const struct child *child = &self->children[stage][slot];
    if (child->pid)
        return PLAN_LIVING;
    if (child->locked)
        return stages_speaks(self->stages, stage, slot, SILENT_S) || child->locked_s < KNOWN_S
                   ? PLAN_LIVING
                   : PLAN_ADOPTED;
    return child->again_ms > loop_now_ms(self->loop) ? PLAN_WAITING : PLAN_FREE;
}

static void plan_stage_of(struct supervise *self, enum stage stage)
{
    struct plan_slot slots[SLOT_MOST];
    for (unsigned slot = 0; slot < SLOT_MOST; slot++) {
        const struct child *child = &self->children[stage][slot];
        slots[slot] = (struct plan_slot){state_of(self, stage, slot), child->ours, child->stopping};
    }
    struct plan plan = plan_stage(slots, self->wanted[stage]);
    for (unsigned slot = 0; slot < SLOT_MOST; slot++) {
        if (plan.start >> slot & 1)
            start(self, stage, slot);
        if (plan.stop >> slot & 1)
            stop(stage, slot, &self->children[stage][slot]);
    }
}

static void plan_all(struct supervise *self)
{
    for (unsigned stage = STAGE_INGRESS; stage < STAGES_END && !self->drain_from_ms; stage++)
        plan_stage_of(self, (enum stage)stage);
}

// -- the end

static unsigned living(const struct supervise *self, int ingresses)
{
    unsigned count = 0;
    for (unsigned stage = STAGE_INGRESS; stage < STAGES_END; stage++)
        for (unsigned slot = 0; slot < SLOT_MOST; slot++)
            count += (stage == STAGE_INGRESS) == ingresses && self->children[stage][slot].ours &&
                     self->children[stage][slot].pid;
    return count;
}

static void stop_ingress(struct supervise *self, enum stage stage, unsigned slot,
                         struct child *child)
{
    (void)self;
    if (stage == STAGE_INGRESS && child->ours)
        stop(stage, slot, child);
}

static void stop_any(struct supervise *self, enum stage stage, unsigned slot, struct child *child)
{
    (void)self;
    if (child->ours)
        stop(stage, slot, child);
}

static void kill_any(struct supervise *self, enum stage stage, unsigned slot, struct child *child)
{
    (void)self;
    if (!child->ours || !child->pid || child->killed)
        return;
    child->killed = 1;
    log_warning("drain.killed", "stage=%s slot=%u", stage_name(stage), slot);
    signal_child(stage, slot, child, SIGKILL);
}

static void drain_on(struct supervise *self)
{
    int64_t since_ms = loop_now_ms(self->loop) - self->drain_from_ms;
    if (!self->drain_rest && (living(self, 1) == 0 || since_ms >= INGRESS_DRAIN_MS)) {
        self->drain_rest = 1;
        each(self, stop_any);
    }
    if (since_ms >= DRAIN_MS)
        each(self, kill_any);
    if ((living(self, 1) + living(self, 0) > 0 || !self->drain_rest) &&
        since_ms < DRAIN_MS + KILLED_MS)
        return;
    timer_stop(self->poll);
    self->ops.drained(self->ops.context);
}

void supervise_drain(struct supervise *self)
{
    if (self->drain_from_ms)
        return;
    self->drain_from_ms = loop_now_ms(self->loop);
    sockets_close(self->sockets); // the ingresses' copies go with them, and clients are refused
    each(self, stop_ingress);
    timer_start(self->poll, 0);
}

// -- time

static void poll(void *context)
{
    struct supervise *self = context;
    timer_start(self->poll, POLL_MS);
    each(self, reap_child);
    look_everywhere(self);
    if (self->drain_from_ms)
        drain_on(self);
    else
        plan_all(self);
}

static void end_hanging(struct supervise *self, enum stage stage, unsigned slot,
                        struct child *child)
{
    const struct told *told = &self->stages->told[stage][slot];
    if (child->locked)
        child->locked_s++;
    unsigned silent_s = told->pid ? told->silent_s : child->locked_s;
    unsigned most_s = told->pid || stage == STAGE_ANALYZER ? SILENT_S : FIRST_WORD_S;
    if (!child->ours || !child->pid || child->killed || silent_s < most_s)
        return;
    char detail[128];
    snprintf(detail, sizeof(detail), "%s %u said nothing for %u s and was killed",
             stage_name(stage), slot, silent_s);
    log_error("stage.silent", "alarm=stage-silent stage=%s slot=%u pid=%d", stage_name(stage), slot,
              (int)child->pid);
    child->killed = 1;
    signal_child(stage, slot, child, SIGKILL);
    self->ops.alarm(self->ops.context, "stage-silent", detail);
}

void supervise_second(struct supervise *self)
{
    each(self, end_hanging);
}

// -- life

void supervise_settings(struct supervise *self, const struct settings *settings)
{
    struct settings_stages stages = settings_stages(settings, self->process->conf.name);
    self->wanted[STAGE_INGRESS] = stages.ingress;
    self->wanted[STAGE_ANALYZER] = stages.analyzer;
    self->wanted[STAGE_DELIVERY] = stages.delivery;
    if (!self->drain_from_ms)
        timer_start(self->poll, 0);
}

// Who is on the roll, lives and holds the slot's lock was started by the node before us.
static void find_ours(struct supervise *self)
{
    struct roll roll;
    roll_read(&roll, self->process->run);
    look_everywhere(self);
    for (unsigned stage = STAGE_INGRESS; stage < STAGES_END; stage++)
        for (unsigned slot = 0; slot < SLOT_MOST; slot++) {
            struct child *child = &self->children[stage][slot];
            pid_t pid = roll.pid[stage][slot];
            if (!child->locked || !pid || !spawned_is(pid, program_of((enum stage)stage)))
                continue;
            child->pid = pid;
            child->ours = 1;
            child->started_ms = loop_now_ms(self->loop);
            log_info("stage.found", "stage=%s slot=%u pid=%d", stage_name((enum stage)stage), slot,
                     (int)pid);
        }
}

struct supervise *supervise_new(struct loop *loop, const struct process *process,
                                struct sockets *sockets, struct stages *stages,
                                const struct supervise_ops *ops)
{
    struct supervise *self = allocate(sizeof(*self));
    self->loop = loop;
    self->process = process;
    self->sockets = sockets;
    self->stages = stages;
    self->ops = *ops;
    self->poll = timer_new(loop, poll, self);
    loop_on_signal(loop, SIGCHLD, on_child, self);
    find_ours(self);
    return self;
}

void supervise_destroy(struct supervise **self)
{
    if (!*self)
        return;
    timer_destroy(&(*self)->poll);
    free(*self);
    *self = NULL;
}

uint64_t supervise_pid(const struct supervise *self, enum stage stage, unsigned slot)
{
    const struct child *child = &self->children[stage][slot];
    if (child->pid)
        return (uint64_t)child->pid;
    return child->locked ? self->stages->told[stage][slot].pid : 0;
}

int supervise_missing(const struct supervise *self)
{
    for (unsigned stage = STAGE_INGRESS; stage < STAGES_END; stage++)
        if (stages_count(self->stages, (enum stage)stage) < self->wanted[stage])
            return 1;
    return 0;
}
