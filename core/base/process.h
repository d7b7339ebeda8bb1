// SPDX-License-Identifier: Apache-2.0
#pragma once

// What every daemon does alike: options, no core dumps, signals, watchdog, descriptor limit.
#include "core/base/nodeconf.h"

struct loop;

struct process {
    const char *name;        // "postern-ingress"
    const char *config_path; // --config
    const char *state, *run; // --state, --run
    int slot;                // --slot N, -1: any
    int inherited_fd;        // the first of --listen-fd N[,N...], -1: none
    int inherited_fds[9];    // all of them, as node.conf names them: smtp in order, then smtps
    unsigned inherited_count;
    struct nodeconf conf;
};

// Where node.conf is: as --config says, else /etc/postern/node.conf, else, where that is not and cannot be
// made, node.conf in the state folder.
const char *process_config_path(const char *config, const char *state, char ret[256]);
// Parses the common options (leaving the rest in argv, argc updated), reads node.conf, starts the log.
// On an error prints it and exits 2.
void process_start(struct process *self, const char *name, int *argc, char **argv);
// A timer signal kills the process when the loop has not turned for 30 s.
void process_watchdog(struct loop *loop);
void process_limit_descriptors(unsigned most);
