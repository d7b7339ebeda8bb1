// SPDX-License-Identifier: Apache-2.0
#pragma once

// Requests to the master's Unix socket, from a thread of their own while the loop runs.
#include "tests/unit/master/world.h"
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/un.h>

struct asking {
    const char *path; // of the socket
    const char *head; // method and target
    const char *body; // NULL: none
    size_t body_size;
    char *answer; // from malloc
    size_t size;
    atomic_int done;
};

static inline int ask_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

static inline void ask_write(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t wrote = send(fd, bytes, size, MSG_NOSIGNAL);
        if (wrote <= 0)
            return; // refused before it was all there
        bytes += wrote;
        size -= (size_t)wrote;
    }
}

static inline void *ask_run(void *context)
{
    struct asking *self = context;
    char head[2048];
    int fd = ask_connect(self->path), length;
    ssize_t got = 1;
    length = snprintf(head, sizeof(head), "%s HTTP/1.0\r\nHost: x\r\nContent-Length: %zu\r\n\r\n",
                      self->head, self->body_size);
    if (fd >= 0) {
        ask_write(fd, head, (size_t)length);
        ask_write(fd, self->body, self->body_size);
    }
    while (fd >= 0 && got > 0) {
        self->answer = reallocate(self->answer, self->size + 65537);
        got = read(fd, self->answer + self->size, 65536);
        self->size += got > 0 ? (size_t)got : 0;
    }
    if (self->answer)
        self->answer[self->size] = 0;
    if (fd >= 0)
        close(fd);
    atomic_store(&self->done, 1);
    return NULL;
}

static inline int ask_done(void *context)
{
    struct asking *self = context;
    return atomic_load(&self->done);
}

// The answer's status; its body goes to *ret_body, from malloc. 0: no answer.
static inline unsigned ask_bytes(struct world *world, const char *head, const char *body,
                                 size_t body_size, char **ret_body)
{
    char path[100];
    struct asking asking = {.path = path, .head = head, .body = body, .body_size = body_size};
    pthread_t thread;
    unsigned status = 0;
    snprintf(path, sizeof(path), "%s/api.sock", world->folder);
    assert_int_equal(pthread_create(&thread, NULL, ask_run, &asking), 0);
    assert_true(spin_until(world->loop, ask_done, &asking, 30000));
    pthread_join(thread, NULL);
    char *text = asking.answer ? strstr(asking.answer, "\r\n\r\n") : NULL;
    if (text)
        sscanf(asking.answer, "HTTP/1.%*d %u", &status);
    *ret_body = duplicate(text ? text + 4 : "");
    free(asking.answer);
    return status;
}

// The answer's JSON, a new reference; NULL: it is none.
static inline json_t *ask(struct world *world, const char *head, const char *body,
                          unsigned *ret_status)
{
    char *text;
    *ret_status = ask_bytes(world, head, body, body ? strlen(body) : 0, &text);
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    free(text);
    return value;
}
