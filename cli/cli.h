// SPDX-License-Identifier: Apache-2.0
#pragma once

// A command gets what follows its name. It returns the exit code: 0 done, 1 refused or failed, 2
// used wrongly.
#include "cli/client.h"
#include "cli/options.h"

struct cli {
    struct client client;
    const char *name; // of the command, for its messages
    const char *help;
    int json;
    int local; // speaks to this machine's worker, not to a master
    char socket[256];
    const char *run, *socket_option;
};

typedef int command_fn(struct cli *self, int argc, char **argv);
command_fn command_status, command_messages, command_events, command_config, command_quarantine,
    command_queue, command_node, command_subscriber, command_verify, command_keygen, command_token,
    command_join, command_analyze;

// Takes the command's options and those that every command has (--json, --run, --socket, --help).
// 0; or -1: the command ends with *ret_code.
NODISCARD int cli_options(struct cli *self, const struct option_row *rows, size_t count, int *argc,
                          char **argv, int *ret_code);
// How the command is used; returns 2.
int cli_misused(const struct cli *self, const char *format, ...) PRINTF(2, 3);

// A command with commands of its own: "config get". `argv[0]` chooses.
struct subcommand {
    const char *name;
    command_fn *fn;
};
int cli_choose(struct cli *self, const struct subcommand *rows, size_t count, int argc,
               char **argv);
