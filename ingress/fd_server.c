// SPDX-License-Identifier: Apache-2.0
#include "ingress/fd_server.h"
#include "core/base/base.h"
#include "core/base/log.h"
#include "core/base/loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct fd_server {
    struct watch *watch;
    int fd;
    int fds[FD_SERVER_MOST];
    unsigned count;
    struct sockaddr_un address;
};

static int trusted(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
        return 0;
    return peer.uid == geteuid() || peer.uid == 0;
}

static void give(const struct fd_server *self, int fd)
{
    union {
        struct cmsghdr header; // for its alignment
        char bytes[CMSG_SPACE(sizeof(self->fds))];
    } control = {0};
    size_t size = self->count * sizeof(int);
    struct iovec text = {.iov_base = (char[]){'F'}, .iov_len = 1};
    struct msghdr message = {.msg_iov = &text,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = CMSG_SPACE(size)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(header), self->fds, size);
    if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
        log_warning("fd_server.send", "errno=%d", errno);
}

static void on_connection(void *context, int events)
{
    (void)events;
    struct fd_server *self = context;
    int fd = accept4(self->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    if (trusted(fd))
        give(self, fd);
    else
        log_warning("fd_server.refused", "reason=%s", "uid");
    close(fd);
}

static int bind_path(struct fd_server *self)
{
    (void)unlink(self->address.sun_path);
    mode_t mask = umask(0177);
    int result = bind(self->fd, (struct sockaddr *)&self->address, sizeof(self->address));
    umask(mask);
    return result < 0 ? -1 : listen(self->fd, 8);
}

struct fd_server *fd_server_new(struct loop *loop, const char *path, const int *fds, unsigned count)
{
    if (count == 0 || count > FD_SERVER_MOST ||
        strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
        errno = EINVAL;
        return NULL;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return NULL;
    struct fd_server *self = allocate(sizeof(*self));
    self->fd = fd;
    self->count = count;
    memcpy(self->fds, fds, count * sizeof(int));
    self->address.sun_family = AF_UNIX;
    memcpy(self->address.sun_path, path, strlen(path) + 1);
    if (bind_path(self) < 0) {
        int error = errno;
        close(fd);
        free(self);
        errno = error;
        return NULL;
    }
    self->watch = watch_new(loop, fd, LOOP_READ, on_connection, self);
    return self;
}

void fd_server_destroy(struct fd_server **self)
{
    if (!*self)
        return;
    watch_destroy(&(*self)->watch);
    close((*self)->fd);
    (void)unlink((*self)->address.sun_path);
    free(*self);
    *self = NULL;
}
