// SPDX-License-Identifier: Apache-2.0
#pragma once

// Joining a cluster by token, from the joiner's side: shows the token's secret at port 7700 to the
// masters that it names, and knocks at their 7701 in case an answer was lost. Blocks; runs a loop
// of its own.
#include "core/base/nodeconf.h"
#include "core/bus/keys.h"
#include "core/bus/token.h"

struct join_result {
    char name[64]; // of this node, from now on
    struct master_address masters[MASTERS_MOST];
    unsigned master_count;
    char warning[304]; // of the master, for people; "": none
};

// `keys` are durable already: they are this node from the moment a master has taken them. `conf`
// gives the wished name and, for a master, its addresses. 0; or -1 with a reason for people.
NODISCARD int join_cluster(const Postern__JoinToken *token, const struct curve_keys *keys,
                           const struct nodeconf *conf, struct join_result *ret, char *ret_error,
                           size_t error_size);

// Everything that makes this machine a node: keys, the word with the masters, node.conf.
struct join_options {
    const char *token; // the text itself, "-" for standard input, or "@FILE"
    const char *role;  // which program it is for; NULL: whatever the token says
    const char *config, *state, *run, *name, *site, *smtp, *https; // NULL: not given
};
enum join_outcome { JOIN_DONE, JOIN_BEFORE, JOIN_FAILED };
// JOIN_BEFORE: it has joined, the token was not looked at. JOIN_FAILED with a reason. ret_conf: as
// it was written.
enum join_outcome join_node(const struct join_options *options, struct nodeconf *ret_conf,
                            char *ret_error, size_t error_size);

// For a daemon's main, first of all: takes --join, --name, --site, --smtp and --https out of the
// arguments, and joins if --join is given. Exits 1 with the reason when that is refused, 2 when an
// option lacks its value.
void join_first(const char *program, const char *role, int *argc, char **argv);
