// SPDX-License-Identifier: Apache-2.0
#pragma once

// Runs a loop until something is so; shared by the tests of this folder.
#include "core/base/clock.h"
#include "core/base/loop.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

typedef int spin_fn(void *context);

struct spin {
    struct loop *loop;
    struct timer *timer;
    spin_fn *done;
    void *context;
    int64_t deadline_ms;
    int reached;
};

static inline void spin_look(void *context)
{
    struct spin *self = context;
    self->reached = self->done && self->done(self->context);
    if (self->reached || clock_monotonic_ms() >= self->deadline_ms)
        loop_stop(self->loop);
    else
        timer_start(self->timer, 1);
}

// Was `done` true before the time was over?
static inline int spin_until(struct loop *loop, spin_fn *done, void *context, int64_t most_ms)
{
    struct spin self = {.loop = loop, .done = done, .context = context};
    self.deadline_ms = clock_monotonic_ms() + most_ms;
    self.timer = timer_new(loop, spin_look, &self);
    timer_start(self.timer, 0);
    loop_run(loop);
    timer_destroy(&self.timer);
    return self.reached;
}

static inline void spin_for(struct loop *loop, int64_t ms)
{
    spin_until(loop, NULL, NULL, ms);
}

static inline void make_folder(char ret[64])
{
    snprintf(ret, 64, "/tmp/postern-bus-XXXXXX");
    assert_non_null(mkdtemp(ret));
}

static inline void remove_folder(const char *path)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
}

static inline void free_endpoint(char ret[64])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    close(fd);
    snprintf(ret, 64, "tcp://127.0.0.1:%d", ntohs(address.sin_port));
}
