// SPDX-License-Identifier: Apache-2.0
#include "node/sockets.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/slot.h"
#include "core/net/listening.h"
#include "node/spawn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_S = 2, GONE_MS = 3000, PAUSE_US = 100 * 1000 };

static const char *address_of(const struct nodeconf *conf, unsigned number)
{
    return number < conf->smtp_count ? conf->smtp[number] : conf->smtps;
}

static unsigned addresses(const struct nodeconf *conf)
{
    return conf->smtp_count + (conf->smtps[0] != 0);
}

void sockets_close(struct sockets *self)
{
    for (unsigned i = 0; i < self->count; i++)
        close(self->fds[i]);
    self->count = 0;
}

static void take_descriptors(struct sockets *self, struct msghdr *message)
{
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        const unsigned char *at = CMSG_DATA(header);
        for (size_t i = 0; i < count; i++, at += sizeof(int)) {
            int fd;
            memcpy(&fd, at, sizeof(fd));
            if (self->count < ARRAY_LENGTH(self->fds))
                self->fds[self->count++] = fd;
            else
                close(fd);
        }
    }
}

static int receive(struct sockets *self, int fd)
{
    union {
        struct cmsghdr header; // for its alignment
        char bytes[CMSG_SPACE(sizeof(self->fds))];
    } control = {0};
    char text[1];
    struct iovec word = {.iov_base = text, .iov_len = sizeof(text)};
    struct msghdr message = {.msg_iov = &word,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC) <= 0)
        return -1;
    take_descriptors(self, &message);
    return 0;
}

static int ask(struct sockets *self, const char *run, unsigned slot)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const struct timeval patience = {.tv_sec = ANSWER_S};
    if (snprintf(address.sun_path, sizeof(address.sun_path), "%s/ingress/%u.fd", run, slot) >=
        (int)sizeof(address.sun_path))
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int result = -1;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
        connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        result = receive(self, fd);
    close(fd);
    return result;
}

// Are they what node.conf names today?
static int as_configured(const struct sockets *self, const struct nodeconf *conf)
{
    if (self->count != addresses(conf))
        return 0;
    for (unsigned i = 0; i < self->count; i++)
        if (!listening_socket_is(self->fds[i], address_of(conf, i)))
            return 0;
    return 1;
}

static int ask_all(struct sockets *self, const struct process *process)
{
    uint64_t slots = slot_existing(process->state, STAGE_INGRESS);
    for (unsigned slot = 0; slot < SLOT_MOST; slot++) {
        if (!(slots >> slot & 1) || slot_locked(process->state, STAGE_INGRESS, slot) != 1 ||
            ask(self, process->run, slot) < 0)
            continue;
        if (as_configured(self, &process->conf)) {
            log_info("sockets.inherited", "from=%u count=%u", slot, self->count);
            return 0;
        }
        sockets_close(self);
    }
    return -1;
}

static int bind_all(struct sockets *self, const struct nodeconf *conf)
{
    while (self->count < addresses(conf)) {
        int fd = listening_socket(address_of(conf, self->count), 0);
        if (fd < 0)
            return -1;
        self->fds[self->count++] = fd;
    }
    return 0;
}

// Those that children get must not be where the children's copies go.
static int move_up(struct sockets *self)
{
    for (unsigned i = 0; i < self->count; i++)
        if ((self->fds[i] = spawn_move_up(self->fds[i])) < 0)
            return -1;
    return 0;
}

int sockets_open(struct sockets *self, const struct process *process, char *ret_error,
                 size_t error_size)
{
    int64_t until_ms = clock_monotonic_ms() + GONE_MS;
    *self = (struct sockets){0};
    // An address may still be held by ingresses that are just ending, or just starting.
    while (ask_all(self, process) < 0 && bind_all(self, &process->conf) < 0) {
        int error = errno;
        const char *address = address_of(&process->conf, self->count);
        sockets_close(self);
        if (error != EADDRINUSE || clock_monotonic_ms() >= until_ms) {
            snprintf(ret_error, error_size, "cannot listen on %s: %s; change smtp in %s", address,
                     strerror(error), process->config_path);
            return -1;
        }
        usleep(PAUSE_US);
    }
    if (move_up(self) == 0)
        return 0;
    snprintf(ret_error, error_size, "descriptors: %s", strerror(errno));
    return -1;
}
