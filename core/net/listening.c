// SPDX-License-Identifier: Apache-2.0
#include "core/net/listening.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
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

// A kernel may have been started without IPv6.
static int has_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

// `ret_both`: one socket is for IPv4, too.
static struct addrinfo *resolve(const char *address, int *ret_both)
{
    char host[256], port[16];
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV | AI_NUMERICHOST,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (split(address, host, port) < 0)
        return NULL;
    int any = strcmp(host, "*") == 0;
    *ret_both = any && has_ipv6();
    hints.ai_family = *ret_both ? AF_INET6 : any ? AF_INET : AF_UNSPEC;
    return getaddrinfo(any ? NULL : host, port, &hints, &found) == 0 ? found : NULL;
}

static int set_options(int fd, int family, int both, int shared)
{
    const int on = 1, only = !both;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0)
        return -1;
    if (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0)
        return -1;
    // 0.0.0.0 and [::] of one port stand side by side.
    return family == AF_INET6 ? setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) : 0;
}

static int bind_one(const struct addrinfo *to, int both, int shared)
{
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (set_options(fd, to->ai_family, both, shared) == 0 &&
        bind(fd, to->ai_addr, to->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int listening_socket(const char *address, int shared)
{
    int both;
    struct addrinfo *found = resolve(address, &both);
    if (!found) {
        errno = EINVAL;
        return -1;
    }
    int fd = bind_one(found, both, shared);
    int error = errno;
    freeaddrinfo(found);
    errno = error;
    return fd;
}

static int same_address(const struct sockaddr_storage *a, const struct sockaddr *b)
{
    if (a->ss_family != b->sa_family)
        return 0;
    if (b->sa_family == AF_INET) {
        const struct sockaddr_in *left = (const void *)a, *right = (const void *)b;
        return left->sin_port == right->sin_port && left->sin_addr.s_addr == right->sin_addr.s_addr;
    }
    const struct sockaddr_in6 *left = (const void *)a, *right = (const void *)b;
    return left->sin6_port == right->sin6_port && left->sin6_scope_id == right->sin6_scope_id &&
           memcmp(&left->sin6_addr, &right->sin6_addr, sizeof(left->sin6_addr)) == 0;
}

int listening_socket_is(int fd, const char *address)
{
    struct sockaddr_storage bound;
    socklen_t bound_size = sizeof(bound), size = sizeof(int);
    int both, listens = 0;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) < 0 || !listens ||
        getsockname(fd, (struct sockaddr *)&bound, &bound_size) < 0)
        return 0;
    struct addrinfo *wanted = resolve(address, &both);
    int same = wanted && same_address(&bound, wanted->ai_addr);
    freeaddrinfo(wanted);
    return same;
}
