// SPDX-License-Identifier: Apache-2.0
#pragma once

// Options of a command: "--name value", "--name=value" or "--name", anywhere among its arguments.
#include "core/base/base.h"

struct option_row {
    const char *name;   // without the dashes
    const char **value; // takes one; NULL: it is a flag
    int *flag;
};

// Takes the options out of argv; what is left stands in front, its number in *argc. 0; or -1 with a
// message.
NODISCARD int options_take(const struct option_row *rows, size_t count, int *argc, char **argv,
                           char *ret_error, size_t error_size);
