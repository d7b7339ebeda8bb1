// SPDX-License-Identifier: Apache-2.0
#include "core/bus/listen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 128 };

// "run/ingress/3" becomes "run/ingress/.3": a name that no watcher takes for a slot.
static int hidden_name(const char *path, struct sockaddr_un *ret)
{
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    int length =
        snprintf(ret->sun_path, sizeof(ret->sun_path), "%.*s.%s", (int)(name - path), path, name);
    if (length >= (int)sizeof(ret->sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return 0;
}

int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (hidden_name(path, &address) < 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    unlink(address.sun_path); // what a killed predecessor left
    // Who may enter the folder may connect: its group decides, not this process's umask.
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        chmod(address.sun_path, 0666) == 0 && listen(fd, BACKLOG) == 0 &&
        rename(address.sun_path, path) == 0)
        return fd;
    int failure = errno;
    unlink(address.sun_path);
    close(fd);
    errno = failure;
    return -1;
}
