// SPDX-License-Identifier: Apache-2.0
// Open-loop SMTP load: mails leave on a fixed schedule, whether or not earlier ones are answered,
// and the time from the end of DATA to its reply is measured. Prints p50, p99 and the maximum in
// milliseconds. Usage: openloop PORT RATE SECONDS SIZE. Connections are kept and as many as are
// needed are opened.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MOST = 1000, REPLY_MOST = 4096 };

// What a connection waits for.
enum state { BANNER, GREETING, IDLE, PATHS, GO_AHEAD, DONE };

struct connection {
    int fd;
    enum state state;
    int replies_left; // of the pipelined MAIL and RCPT
    double dot_at;
    size_t length;
    char input[REPLY_MOST];
};

static struct connection connections[CONNECTIONS_MOST];
static size_t connection_count;
static int events_fd;
static char *message;
static size_t message_size;
static double *latencies;
static size_t sent, answered, late, wanted;
static uint16_t port;

static void fail(const char *what)
{
    fprintf(stderr, "openloop: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void say(struct connection *self, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t count = write(self->fd, data, size);
        if (count < 0)
            fail("write");
        data += count;
        size -= (size_t)count;
    }
}

static struct connection *open_connection(void)
{
    if (connection_count == CONNECTIONS_MOST)
        return NULL;
    struct connection *self = &connections[connection_count++];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int on = 1;
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    self->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (self->fd < 0 || connect(self->fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect");
    setsockopt(self->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = self};
    if (epoll_ctl(events_fd, EPOLL_CTL_ADD, self->fd, &event) < 0)
        fail("epoll");
    return self;
}

static void start_mail(struct connection *self)
{
    static const char paths[] =
        "MAIL FROM:<load@client.example>\r\nRCPT TO:<user@example.org>\r\nDATA\r\n";
    self->state = PATHS;
    self->replies_left = 2;
    sent++;
    say(self, paths, sizeof paths - 1);
}

static void take_reply(struct connection *self, int code)
{
    switch (self->state) {
    case BANNER:
        self->state = GREETING;
        say(self, "EHLO client.example\r\n", 21);
        return;
    case GREETING:
        self->state = IDLE;
        return;
    case PATHS:
        if (--self->replies_left == 0)
            self->state = GO_AHEAD;
        return;
    case GO_AHEAD:
        if (code != 354)
            break;
        say(self, message, message_size);
        self->dot_at = now();
        self->state = DONE;
        return;
    case DONE:
        if (code != 250)
            break;
        latencies[answered++] = (now() - self->dot_at) * 1e3;
        self->state = IDLE;
        return;
    case IDLE:
        break;
    }
    fprintf(stderr, "openloop: unexpected reply: %.*s\n", (int)self->length, self->input);
    exit(1);
}

static void take_input(struct connection *self)
{
    ssize_t count = read(self->fd, self->input + self->length, sizeof self->input - self->length);
    if (count <= 0)
        fail("the connection was closed");
    self->length += (size_t)count;
    char *end;
    while ((end = memchr(self->input, '\n', self->length))) {
        size_t line = (size_t)(end - self->input) + 1;
        if (line > 4 && self->input[3] != '-')
            take_reply(self, atoi(self->input));
        self->length -= line;
        memmove(self->input, end + 1, self->length);
    }
}

// Sends what the schedule wants by now, over idle connections or new ones.
static void keep_schedule(uint64_t due)
{
    for (; due > 0 && sent < wanted; due--) {
        struct connection *idle = NULL;
        for (size_t i = 0; i < connection_count && !idle; i++)
            if (connections[i].state == IDLE)
                idle = &connections[i];
        if (idle) {
            start_mail(idle);
            continue;
        }
        late++;
        wanted--;
        open_connection();
    }
}

static void make_message(size_t size)
{
    static const char head[] =
        "From: <load@client.example>\r\nTo: <user@example.org>\r\nSubject: load\r\n"
        "Message-ID: <load@client.example>\r\n\r\n";
    static const char line[] =
        "The quick brown fox jumps over the lazy dog, again and again, 0123456789\r\n";
    message = malloc(size + sizeof head + sizeof line + 8);
    if (!message)
        fail("memory");
    memcpy(message, head, sizeof head - 1);
    message_size = sizeof head - 1;
    while (message_size < size) {
        memcpy(message + message_size, line, sizeof line - 1);
        message_size += sizeof line - 1;
    }
    memcpy(message + message_size, ".\r\n", 3);
    message_size += 3;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static void wait_for_input(int timer_fd)
{
    struct epoll_event events[64];
    int count = epoll_wait(events_fd, events, 64, 30000);
    if (count <= 0)
        fail("no answer for 30 s");
    for (int i = 0; i < count; i++) {
        uint64_t due = 0;
        if (events[i].data.ptr)
            take_input(events[i].data.ptr);
        else if (read(timer_fd, &due, sizeof due) == sizeof due)
            keep_schedule(due);
    }
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: openloop PORT RATE SECONDS SIZE\n");
        return 2;
    }
    port = (uint16_t)atoi(argv[1]);
    double rate = atof(argv[2]);
    wanted = (size_t)(rate * atof(argv[3]));
    make_message((size_t)atol(argv[4]));
    latencies = calloc(wanted, sizeof *latencies);
    events_fd = epoll_create1(EPOLL_CLOEXEC);
    int timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    long step = (long)(1e9 / rate);
    struct itimerspec every = {{step / 1000000000, step % 1000000000}, {1, 0}};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (!latencies || events_fd < 0 || timer_fd < 0 ||
        timerfd_settime(timer_fd, 0, &every, NULL) < 0 ||
        epoll_ctl(events_fd, EPOLL_CTL_ADD, timer_fd, &event) < 0)
        fail("cannot start");
    for (int i = 0; i < 10; i++)
        open_connection();
    while (answered < wanted)
        wait_for_input(timer_fd);
    qsort(latencies, answered, sizeof *latencies, compare);
    printf("{\"mails\": %zu, \"skipped\": %zu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": "
           "%.3f}\n",
           answered, late, latencies[answered / 2], latencies[answered * 99 / 100],
           latencies[answered - 1]);
    return 0;
}
