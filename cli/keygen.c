// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"
#include "core/bus/keys.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int command_keygen(struct cli *self, int argc, char **argv)
{
    struct curve_keys keys;
    int code;
    if (cli_options(self, NULL, 0, &argc, argv, &code) < 0)
        return code;
    if (argc != 1)
        return cli_misused(self, "it takes one FILE");
    // A node that loses its key is no member any more.
    if (access(argv[0], F_OK) == 0) {
        fprintf(stderr, "postern: %s is there already; remove it, or name another\n", argv[0]);
        return 1;
    }
    if (curve_keys_make(argv[0], &keys) < 0) {
        fprintf(stderr, "postern: %s: %s\n", argv[0], strerror(errno));
        return 1;
    }
    puts(keys.public_key);
    curve_keys_wipe(&keys);
    return 0;
}
