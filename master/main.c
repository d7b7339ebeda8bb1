// SPDX-License-Identifier: Apache-2.0
// postern-master: keeps the record of every message of the cluster, hands out the configuration,
// and directs the nodes.
//
// Sockets: ROUTER control, PUB configuration, SUB events, PUB public stream (all CURVE, members
// only), while a token lives ROUTER enrolment (CURVE, any key), run/api.sock (/api/v1), and plain
// HTTP for the probes.
// Reads:   node.conf, keys/node.key (--join TOKEN makes both, with a word to the other master).
// Writes:  state/master/lock, cluster.db (configuration, orders), messages/ (the record),
//          bodies/ (quarantined mail).
// Threads: the loop, the store's writer, the disk's, libmicrohttpd's (one for each of its two
// sockets), the log's.
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/process.h"
#include "core/bus/join.h"
#include "master/master.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_WAIT_MS = 10000 };

static void die(const char *what, const char *why)
{
    log_error("master.start", "failed=%s error=\"%s\"", what, why);
    log_stop();
    exit(1);
}

// One master on a state folder. The lock goes with the process; one that is just dying is waited
// for.
static void take_lock(const struct nodeconf *conf)
{
    char path[256];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    snprintf(path, sizeof(path), "%s/master/messages", conf->state);
    if (file_make_folders(path, 0750) < 0 || file_make_folders(conf->run, 0755) < 0)
        die(path, strerror(errno));
    snprintf(path, sizeof(path), "%s/master/lock", conf->state);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (fd < 0)
        die(path, strerror(errno));
    for (int waited_ms = 0; fcntl(fd, F_OFD_SETLK, &lock) < 0; waited_ms += 100) {
        if (waited_ms >= LOCK_WAIT_MS)
            die(path, "another master runs on this state; stop it, or give another --state");
        usleep(100000);
    }
}

static void stop(void *context)
{
    loop_stop(context);
}

int main(int argc, char **argv)
{
    struct process process;
    struct master master = {0};
    char error[1024];
    join_first("postern-master", "master", &argc, argv);
    process_start(&process, "postern-master", &argc, argv);
    process_limit_descriptors(4096);
    umask(0027);
    master.conf = &process.conf;
    take_lock(master.conf);
    master.loop = loop_new();
    loop_on_signal(master.loop, SIGTERM, stop, master.loop);
    loop_on_signal(master.loop, SIGINT, stop, master.loop);
    process_watchdog(master.loop);
    if (master_open(&master, error, sizeof(error)) < 0)
        die("start", error);
    log_info("master.started", "name=%s members=%zu revision=%s", master.conf->name,
             master.members.count, master.revision);
    loop_run(master.loop);
    log_info("master.stopping", "name=%s", master.conf->name);
    master_close(&master);
    loop_destroy(&master.loop);
    log_stop();
    return 0;
}
