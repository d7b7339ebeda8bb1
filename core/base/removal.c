// SPDX-License-Identifier: Apache-2.0
#include "core/base/removal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STEP = 4 * 1024 * 1024 };

// Only who is alone with a file is granted a lease for writing. By name nobody can come any more,
// so it is enough to ask once. A file system without leases says no.
static int is_alone(int fd)
{
    if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
        return 0;
    return fcntl(fd, F_SETLEASE, F_UNLCK) == 0;
}

static int unlink_it(struct removal *self)
{
    struct stat status;
    if (self->fd < 0)
        self->fd = open(self->path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    if (unlink(self->path) < 0) {
        int error = errno;
        removal_end(self);
        return error == ENOENT ? 0 : error;
    }
    self->unlinked = 1;
    if (self->fd >= 0 && fstat(self->fd, &status) == 0 && status.st_nlink == 0 &&
        is_alone(self->fd))
        self->size = status.st_size;
    return 0;
}

int removal_step(struct removal *self)
{
    int error = 0;
    if (!self->unlinked)
        error = unlink_it(self);
    else
        self->size = ftruncate(self->fd, self->size - STEP) == 0 ? self->size - STEP : 0;
    if (self->size <= STEP)
        removal_end(self);
    return error;
}

int removal_goes_on(const struct removal *self)
{
    return self->fd >= 0;
}

void removal_end(struct removal *self)
{
    if (self->fd >= 0)
        close(self->fd);
    self->fd = -1;
    self->size = 0;
}
