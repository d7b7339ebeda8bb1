// SPDX-License-Identifier: Apache-2.0
#include "core/net/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static int of_unix(struct endpoint *ret, const char *text)
{
    struct endpoint made = {.size = sizeof(struct sockaddr_un)};
    struct sockaddr_un *to = (struct sockaddr_un *)&made.address;
    const char *path = text + strlen("unix:");
    if (!*path || strlen(path) >= sizeof(to->sun_path))
        return -1;
    to->sun_family = AF_UNIX;
    memcpy(to->sun_path, path, strlen(path) + 1);
    snprintf(made.text, sizeof(made.text), "unix:%s", to->sun_path);
    *ret = made;
    return 0;
}

int endpoint_of(struct endpoint *ret, const char *host, long port)
{
    struct endpoint made = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&made.address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&made.address;
    if (port < 1 || port > 65535 || strlen(host) >= sizeof(made.host))
        return -1;
    snprintf(made.host, sizeof(made.host), "%s", host);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        made.size = sizeof(*v4);
        snprintf(made.text, sizeof(made.text), "%s:%ld", made.host, port);
    } else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        made.size = sizeof(*v6);
        snprintf(made.text, sizeof(made.text), "[%s]:%ld", made.host, port);
    } else {
        return -1;
    }
    *ret = made;
    return 0;
}

int endpoint_parse(struct endpoint *ret, const char *text)
{
    char host[64], *end;
    const char *colon = strrchr(text, ':');
    if (!strncmp(text, "unix:", 5))
        return of_unix(ret, text);
    if (!colon || colon == text || (size_t)(colon - text) >= sizeof(host))
        return -1;
    int brackets = text[0] == '[' && colon[-1] == ']';
    snprintf(host, sizeof(host), "%.*s", (int)(colon - text) - 2 * brackets, text + brackets);
    long port = strtol(colon + 1, &end, 10);
    // Brackets and only they hold an IPv6 address.
    if (*end || brackets != (strchr(host, ':') != NULL))
        return -1;
    return endpoint_of(ret, host, port);
}

int endpoint_same(const struct endpoint *a, const struct endpoint *b)
{
    return a->size == b->size && memcmp(&a->address, &b->address, a->size) == 0;
}
