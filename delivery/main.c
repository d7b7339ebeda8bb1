// SPDX-License-Identifier: Apache-2.0
// postern-delivery: brings mail to its next hop, keeps what is deferred or quarantined, tells
// senders.
//
// Sockets  SMTP to next hops; DNS; run/delivery/<slot> (PULL), pipes to ingresses and node.
// Reads    node.conf, state/config/current, state/ingress/<slot>/journal and big (mapped).
// Writes   state/delivery/<slot>/journal, deferred, corrupt; state/quarantine/<day>/<id>.
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/process.h"
#include "core/bus/socket.h"
#include "delivery/stage.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DESCRIPTORS = 8192, DRAIN_MS = 30000, DRAIN_CHECK_MS = 100 };

struct delivery {
    struct process process;
    struct loop *loop;
    struct stage_of_delivery *stage;
    struct timer *drain;
    int64_t drain_until_ms; // 0: not draining
};

static void drain_check(void *context)
{
    struct delivery *self = context;
    int quiet = stage_busy(self->stage) == 0 && !stage_owes_events(self->stage);
    if (quiet || loop_now_ms(self->loop) >= self->drain_until_ms)
        loop_stop(self->loop);
    else
        timer_start(self->drain, DRAIN_CHECK_MS);
}

// No new jobs; transactions under way end.
static void terminate(void *context)
{
    struct delivery *self = context;
    if (self->drain_until_ms != 0)
        return;
    log_info("drain", "busy=%zu", stage_busy(self->stage));
    self->drain_until_ms = loop_now_ms(self->loop) + DRAIN_MS;
    stage_drain(self->stage);
    timer_start(self->drain, DRAIN_CHECK_MS);
}

static void open_stage(struct delivery *self, struct settings *settings)
{
    const struct process *process = &self->process;
    struct slot slot;
    if (slot_take(&slot, process->state, STAGE_DELIVERY, process->slot, holding_has_records) < 0) {
        fprintf(stderr, "%s: no slot under %s/delivery: %s\n", process->name, process->state,
                strerror(errno));
        exit(1);
    }
    self->stage = stage_new(self->loop, process->state, process->run, process->conf.hostname, &slot,
                            settings);
    if (!self->stage) {
        fprintf(stderr, "%s: slot %u under %s/delivery cannot be used: %s\n", process->name,
                slot.number, process->state, strerror(errno));
        exit(1);
    }
    log_info("ready", "slot=%u", slot.number);
}

int main(int argc, char **argv)
{
    struct delivery self = {0};
    process_start(&self.process, "postern-delivery", &argc, argv);
    process_limit_descriptors(DESCRIPTORS);
    signal(SIGPIPE, SIG_IGN);
    struct settings *settings = settings_await(self.process.state);
    self.loop = loop_new();
    process_watchdog(self.loop);
    self.drain = timer_new(self.loop, drain_check, &self);
    open_stage(&self, settings);
    settings_release(&settings);
    loop_on_signal(self.loop, SIGTERM, terminate, &self);
    loop_on_signal(self.loop, SIGINT, terminate, &self);
    loop_run(self.loop);
    stage_destroy(&self.stage);
    timer_destroy(&self.drain);
    socket_context_end();
    loop_destroy(&self.loop);
    log_stop();
    return 0;
}
