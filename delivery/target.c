// SPDX-License-Identifier: Apache-2.0
#include "delivery/target.h"

#include "core/base/random.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

int target_literal(const char *host, struct sockaddr_storage *ret, socklen_t *ret_size)
{
    char text[INET6_ADDRSTRLEN + 8];
    size_t length = strlen(host);
    if (strcasecmp(host, "localhost") == 0)
        return target_literal("127.0.0.1", ret, ret_size);
    if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
        host++;
        length -= 2;
    }
    if (length >= sizeof(text))
        return -1;
    memcpy(text, host, length);
    text[length] = '\0';
    const char *six = strncasecmp(text, "IPv6:", 5) == 0 ? text + 5 : text;
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    memset(ret, 0, sizeof(*ret));
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        memcpy(ret, &v4, sizeof(v4));
        *ret_size = sizeof(v4);
        return 0;
    }
    if (inet_pton(AF_INET6, six, &v6.sin6_addr) != 1)
        return -1;
    memcpy(ret, &v6, sizeof(v6));
    *ret_size = sizeof(v6);
    return 0;
}

static void name_of(struct target *self, const char *host, uint16_t port)
{
    char address[INET6_ADDRSTRLEN] = "?";
    if (self->address.ss_family == AF_INET) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)&self->address;
        v4->sin_port = htons(port);
        inet_ntop(AF_INET, &v4->sin_addr, address, sizeof(address));
    } else {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&self->address;
        v6->sin6_port = htons(port);
        inet_ntop(AF_INET6, &v6->sin6_addr, address, sizeof(address));
    }
    if (strchr(host, '[') || strcmp(host, address) == 0)
        snprintf(self->name, sizeof(self->name), "%s:%u", host, port);
    else
        snprintf(self->name, sizeof(self->name), "%s[%s]:%u", host, address, port);
}

void targets_add(struct targets *self, const char *host, unsigned priority,
                 const struct sockaddr *address, socklen_t address_size, uint16_t port)
{
    if (self->count == TARGETS_MOST)
        return;
    size_t first = 0, last;
    while (first < self->count && self->list[first].priority < priority)
        first++;
    for (last = first; last < self->count && self->list[last].priority == priority; last++)
        ;
    size_t at = first + random_u64() % (last - first + 1);
    memmove(&self->list[at + 1], &self->list[at], (self->count - at) * sizeof(self->list[0]));
    struct target *target = &self->list[at];
    memset(target, 0, sizeof(*target));
    snprintf(target->host, sizeof(target->host), "%s", host);
    memcpy(&target->address, address, address_size);
    target->address_size = address_size;
    target->priority = priority;
    name_of(target, host, port);
    self->count++;
}
