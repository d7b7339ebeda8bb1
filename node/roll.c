// SPDX-License-Identifier: Apache-2.0
#include "node/roll.h"

#include "core/base/buffer.h"
#include "core/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MOST = 64 * 1024, PATH_SIZE = 128 };

void roll_read(struct roll *ret, const char *run)
{
    char path[PATH_SIZE];
    size_t size;
    *ret = (struct roll){0};
    snprintf(path, sizeof(path), "%s/node/stages", run);
    char *text = file_read(path, FILE_MOST, &size), *rest = text;
    for (char *line; rest && (line = strsep(&rest, "\n"));) {
        unsigned stage, slot;
        int pid;
        if (sscanf(line, "%u %u %d", &stage, &slot, &pid) == 3 && stage >= STAGE_INGRESS &&
            stage < STAGES_END && slot < SLOT_MOST && pid > 1)
            ret->pid[stage][slot] = pid;
    }
    free(text);
}

static int write_file(const char *path, const struct buffer *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (fd < 0)
        return -1;
    int result = file_write_whole(fd, buffer_bytes(text), buffer_size(text));
    int error = errno;
    close(fd);
    errno = error;
    return result;
}

int roll_write(const struct roll *self, const char *run)
{
    char path[PATH_SIZE], fresh[PATH_SIZE];
    struct buffer text;
    buffer_init(&text);
    for (unsigned stage = STAGE_INGRESS; stage < STAGES_END; stage++)
        for (unsigned slot = 0; slot < SLOT_MOST; slot++)
            if (self->pid[stage][slot])
                buffer_printf(&text, "%u %u %d\n", stage, slot, (int)self->pid[stage][slot]);
    snprintf(path, sizeof(path), "%s/node/stages", run);
    snprintf(fresh, sizeof(fresh), "%s/node/.stages", run);
    int result = write_file(fresh, &text) < 0 || rename(fresh, path) < 0 ? -1 : 0;
    buffer_free(&text);
    return result;
}
