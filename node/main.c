// SPDX-License-Identifier: Apache-2.0
// postern-node: a worker's one door to the masters. Takes their configuration, gives them every
// event and what they ask for, and keeps the stages' processes running.
//
// Sockets  to each master DEALER control, PUB events, SUB announcements (CURVE); run/node/0 (PULL)
//          and pipes to the stages; SMTP, bound for the ingresses; HTTP on loopback for the probes;
//          run/api.sock (/api/v1 for what lies here).
// Reads    node.conf, keys/node.key (with --join TOKEN made first, with a word to the masters),
// state/quarantine/<day>/<id>, the locks of the slots. Writes   state/node/0 (lock, outbox in
// journal/), state/config/current, run/node/stages. Threads  the loop, the outbox's disk thread,
// libmicrohttpd's, the log's.
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/bus/join.h"
#include "core/bus/socket.h"
#include "node/node.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DESCRIPTORS = 4096, LOCK_WAIT_MS = 10000, LOCK_PAUSE_MS = 100 };

__attribute__((noreturn)) static void fail(const struct node *self, const char *text)
{
    log_stop();
    fprintf(stderr, "%s: %s\n", self->process.name, text);
    exit(1);
}

// One that is just dying is waited for.
static void take_slot(struct node *self)
{
    char text[256];
    const char *state = self->process.state;
    for (int waited_ms = 0; slot_take(&self->slot, state, STAGE_NODE, 0, NULL) < 0;
         waited_ms += LOCK_PAUSE_MS) {
        if (errno == EBUSY && waited_ms < LOCK_WAIT_MS) {
            usleep(LOCK_PAUSE_MS * 1000);
            continue;
        }
        snprintf(text, sizeof(text), "%s/node/0: %s", state,
                 errno == EBUSY ? "another node runs on this state; stop it, or give another "
                                  "--state"
                                : strerror(errno));
        fail(self, text);
    }
}

static void read_keys(struct node *self)
{
    char path[160], text[256];
    snprintf(path, sizeof(path), "%s/node.key", self->process.conf.keys);
    if (curve_keys_read(path, &self->keys) == 0)
        return;
    snprintf(text, sizeof(text), "%s: %s; make it with `postern keygen`", path,
             errno == EPERM    ? "others may read it"
             : errno == EINVAL ? "it is no key pair"
                               : strerror(errno));
    fail(self, text);
}

static void terminate(void *context)
{
    struct node *self = context;
    log_info("drain", "revision=%s", apply_revision(self->apply));
    node_drain(self);
}

int main(int argc, char **argv)
{
    static struct node self;
    char error[512];
    join_first("postern-node", "worker", &argc, argv);
    process_start(&self.process, "postern-node", &argc, argv);
    process_limit_descriptors(DESCRIPTORS);
    take_slot(&self);
    read_keys(&self);
    if (file_make_folders(self.process.run, 0755) < 0)
        fail(&self, strerror(errno));
    if (sockets_open(&self.sockets, &self.process, error, sizeof(error)) < 0)
        fail(&self, error);
    self.loop = loop_new();
    if (node_open(&self, error, sizeof(error)) < 0)
        fail(&self, error);
    loop_on_signal(self.loop, SIGTERM, terminate, &self);
    loop_on_signal(self.loop, SIGINT, terminate, &self);
    process_watchdog(self.loop);
    log_info("started", "name=%s sockets=%u masters=%u revision=%s", self.process.conf.name,
             self.sockets.count, self.process.conf.master_count, apply_revision(self.apply));
    loop_run(self.loop);

    log_info("stopping", "name=%s", self.process.conf.name);
    node_close(&self);
    socket_context_end();
    loop_destroy(&self.loop);
    curve_keys_wipe(&self.keys);
    slot_release(&self.slot);
    log_stop();
    return 0;
}
