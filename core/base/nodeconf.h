// SPDX-License-Identifier: Apache-2.0
#pragma once

// /etc/postern/node.conf: the ~15 keys a process needs before it has a configuration (ZPL, read by zconfig).
// Example; `smtp` and `master` may be repeated, keys stand in quotes because '#' begins a comment:
//     name = mx1
//     role = worker
//     site = dc1
//     hostname = mx1.example.org
//     smtp = 0.0.0.0:25
//     smtp = [::]:25
//     smtps = 0.0.0.0:465
//     metrics = 127.0.0.1:7754
//     master
//         name = a
//         control = tcp://192.0.2.1:7701
//         publish = tcp://192.0.2.1:7702
//         events = tcp://192.0.2.1:7703
//         key = "its CURVE public key"
//         pinned = yes                      # only when it is not reached where it says
//     bind                                  # a master's own
//         control = tcp://*:7701
//         publish = tcp://*:7702
//         events = tcp://*:7703
//         public = tcp://*:7704
//         enrol = tcp://*:7700
// Others: https, state, run, keys (folders), log-level (debug, info, warning, error).
#include "core/base/base.h"

enum { MASTERS_MOST = 2 };

struct master_address {
    char control[128]; // tcp://host:port of 7701
    char publish[128]; // 7702
    char events[128];  // 7703
    char key[41];      // CURVE public key, Z85
    char name[64];
    char pinned[4];    // "yes": reached here whatever the configuration says; empty: no
};

struct nodeconf {
    char name[64];          // node's name
    char site[64];
    char role[16];          // worker | master
    char state[108];        // folder
    char run[108];
    char keys[108];         // folder with node.key (CURVE, Z85: public, secret)
    char smtp[8][64];       // listen addresses host:port
    unsigned smtp_count;
    char smtps[64];         // implicit TLS, empty: none
    char hostname[256];     // EHLO and banner name
    char metrics[64];       // host:port of the probes
    struct master_address masters[MASTERS_MOST];
    unsigned master_count;
    // a master's own
    char bind_control[64], bind_publish[64], bind_events[64], bind_public[64], bind_enrol[64];
    char https[64];         // host:port of the node's own console, empty: none
    char log_level[16];
};

// Reads `path`; --state, --run given on the command line override (NULL: not given). -1 with a message that
// names file, line or key and the mend. Socket paths that would pass 107 bytes are refused here.
NODISCARD int nodeconf_read(struct nodeconf *ret, const char *path, const char *state, const char *run,
                            char *ret_error, size_t error_size);

// What stands in a node.conf that is not there yet.
NODISCARD int nodeconf_default(struct nodeconf *ret, const char *role, const char *state, const char *run,
                               char *ret_error, size_t error_size);
// Writes it anew, durably, its folder too; comments go. -1 with errno.
NODISCARD int nodeconf_write(const struct nodeconf *self, const char *path);
// Where others reach what is bound: the host's name for an address that means all of them.
void nodeconf_reach(const struct nodeconf *self, const char *bound, char ret[128]);
