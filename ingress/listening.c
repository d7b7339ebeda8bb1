// SPDX-License-Identifier: Apache-2.0
#include "ingress/listening.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

static int split(const char *address, char ret_host[256], char ret_port[16])
{
    const char *colon = strrchr(address, ':');
    if (!colon || colon[1] == 0 || (size_t)(colon - address) >= 256)
        return -1;
    size_t size = (size_t)(colon - address);
    if (size >= 2 && address[0] == '[' && address[size - 1] == ']')
        snprintf(ret_host, 256, "%.*s", (int)size - 2, address + 1);
    else
        snprintf(ret_host, 256, "%.*s", (int)size, address);
    snprintf(ret_port, 16, "%s", colon + 1);
    return 0;
}

static int bind_one(const struct addrinfo *to)
{
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0 &&
        bind(fd, to->ai_addr, to->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int listening_socket(const char *address)
{
    char host[256], port[16];
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV | AI_NUMERICHOST,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    if (split(address, host, port) < 0 ||
        getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, port, &hints, &found) != 0) {
        errno = EINVAL;
        return -1;
    }
    int fd = bind_one(found);
    int error = errno;
    freeaddrinfo(found);
    errno = error;
    return fd;
}
