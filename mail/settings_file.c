// SPDX-License-Identifier: Apache-2.0
#include "mail/settings.h"

#include "core/base/file.h"
#include "core/base/log.h"
#include "mail/schema.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { AWAIT_MS = 50 };

struct settings *settings_read(const char *state, char *ret_error, size_t error_size)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/config/current", state);
    size_t size;
    char *json = file_read(path, SCHEMA_TREE_MOST, &size);
    if (!json) {
        snprintf(ret_error, error_size, "%s: %s; it is written by postern-node", path,
                 strerror(errno));
        return NULL;
    }
    struct settings *self = settings_parse(json, size, ret_error, error_size);
    free(json);
    return self;
}

struct settings *settings_await(const char *state)
{
    static const struct timespec pause = {.tv_nsec = AWAIT_MS * 1000000L};
    char error[512], logged[512] = "";
    for (;;) {
        struct settings *self = settings_read(state, error, sizeof(error));
        if (self)
            return self;
        if (strcmp(error, logged) != 0)
            log_warning("settings.awaited", "reason=\"%s\"", error);
        memcpy(logged, error, sizeof(logged));
        nanosleep(&pause, NULL);
    }
}
