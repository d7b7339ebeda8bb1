// SPDX-License-Identifier: Apache-2.0
#pragma once

// A real redis-server of one test, on a Unix socket in a folder of its own.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct redis_server {
    char folder[32], socket[64], address[80]; // address: for redis_new
    pid_t pid;
};

static inline int redis_server_present(void)
{
    return access("/usr/bin/redis-server", X_OK) == 0;
}

// A connection of the test's own; -1: nobody listens.
static inline int redis_server_connect(const struct redis_server *self)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", self->socket);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    close(fd);
    return -1;
}

// Says a line and waits for the first of the answer.
static inline void redis_server_tell(const struct redis_server *self, const char *line)
{
    char answer[256];
    int fd = redis_server_connect(self);
    if (fd < 0 || write(fd, line, strlen(line)) < 0 || read(fd, answer, sizeof(answer)) < 0)
        abort();
    close(fd);
}

static inline int redis_server_listens(const struct redis_server *self)
{
    int fd = redis_server_connect(self);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

// `options`: further ones of its command line, split at blanks; may be "".
static inline void redis_server_launch(struct redis_server *self, const char *options)
{
    char words[512];
    char *arguments[40] = {
        (char *)"redis-server", (char *)"--unixsocket", self->socket, (char *)"--dir",
        self->folder,           (char *)"--save",       (char *)""};
    size_t count = 7;
    snprintf(words, sizeof(words), "%s%s", strstr(options, "port") ? "" : "--port 0 ", options);
    for (char *word = strtok(words, " "); word && count < 39; word = strtok(NULL, " "))
        arguments[count++] = word;
    self->pid = fork();
    if (self->pid == 0) {
        int fd = open("/dev/null", O_WRONLY);
        dup2(fd, 1);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execv("/usr/bin/redis-server", arguments);
        _exit(1);
    }
    for (int i = 0; i < 500 && !redis_server_listens(self); i++)
        usleep(10000);
}

static inline void redis_server_start(struct redis_server *self, const char *options)
{
    snprintf(self->folder, sizeof(self->folder), "/tmp/postern-XXXXXX");
    if (!mkdtemp(self->folder))
        abort();
    snprintf(self->socket, sizeof(self->socket), "%s/socket", self->folder);
    snprintf(self->address, sizeof(self->address), "unix:%s", self->socket);
    redis_server_launch(self, options);
}

static inline void redis_server_kill(struct redis_server *self)
{
    kill(self->pid, SIGKILL);
    waitpid(self->pid, NULL, 0);
    unlink(self->socket);
}

static inline void redis_server_stop(struct redis_server *self)
{
    redis_server_kill(self);
    rmdir(self->folder);
}
