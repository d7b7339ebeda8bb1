// SPDX-License-Identifier: Apache-2.0
#include "core/base/log.h"
#include "core/base/clock.h"
#include "core/base/file.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    RING_SIZE = 1 << 20, // bytes of lines that wait for the writer
    LINE_MOST = 2048,
    GATHER_MS = 20, // lines of this time leave with one write
};

// The one mutable global of the project: everybody logs.
static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t writer;
    char process[32];
    enum log_level least;
    int running, stopping, asleep, urgent;
    char *waiting, *writing; // two halves: filled by everybody, emptied by the writer
    size_t held;
    uint64_t dropped;
} logger = {.lock = PTHREAD_MUTEX_INITIALIZER, .process = "postern", .least = LOG_INFO};

PRINTF(4, 0)
static size_t format_line(char line[LINE_MOST], enum log_level level, const char *event,
                          const char *format, va_list arguments)
{
    static const char levels[][8] = {"debug", "info", "warning", "error"};
    char now[40];
    clock_format_rfc3339(clock_wall_ms(), now);
    int head = snprintf(line, LINE_MOST, "%s %s %s %s ", now, levels[level], logger.process, event);
    size_t size = head < 0 ? 0 : (size_t)head;
    if (size > LINE_MOST - 2)
        size = LINE_MOST - 2;
    int tail = vsnprintf(line + size, LINE_MOST - 1 - size, format, arguments);
    if (tail > 0)
        size += (size_t)tail;
    if (size > LINE_MOST - 2)
        size = LINE_MOST - 2;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)line[i] < ' ') // nobody's text begins a line of its own
            line[i] = '?';
    line[size++] = '\n';
    return size;
}

static void write_out(const char *data, size_t size)
{
    if (file_write_whole(STDERR_FILENO, data, size) < 0)
        return; // nobody is left who could be told
}

static void add_line(const char *line, size_t size, enum log_level level)
{
    pthread_mutex_lock(&logger.lock);
    if (!logger.running) {
        pthread_mutex_unlock(&logger.lock);
        write_out(line, size);
        return;
    }
    if (logger.held + size > RING_SIZE) {
        logger.dropped++;
    } else {
        memcpy(logger.waiting + logger.held, line, size);
        logger.held += size;
    }
    // A wake-up is a system call: only for a writer that sleeps, or for what should be seen at
    // once.
    int urgent = level >= LOG_ERROR || logger.held > RING_SIZE / 2;
    int wake = logger.asleep || (urgent && !logger.urgent);
    logger.asleep = 0;
    logger.urgent |= urgent;
    pthread_mutex_unlock(&logger.lock);
    if (wake)
        pthread_cond_signal(&logger.wake);
}

static void wait_for_lines(void)
{
    while (!logger.held && !logger.stopping) {
        logger.asleep = 1;
        pthread_cond_wait(&logger.wake, &logger.lock);
    }
    logger.asleep = 0;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += GATHER_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    while (!logger.urgent && !logger.stopping)
        if (pthread_cond_timedwait(&logger.wake, &logger.lock, &until) == ETIMEDOUT)
            break;
    logger.urgent = 0;
}

static void *writer_main(void *context)
{
    pthread_mutex_lock(&logger.lock);
    do {
        wait_for_lines();
        char *full = logger.waiting;
        size_t size = logger.held;
        uint64_t dropped = logger.dropped;
        logger.waiting = logger.writing;
        logger.writing = full;
        logger.held = 0;
        logger.dropped = 0;
        pthread_mutex_unlock(&logger.lock);
        write_out(full, size);
        if (dropped)
            log_warning("log-dropped", "lines=%llu", (unsigned long long)dropped);
        pthread_mutex_lock(&logger.lock);
    } while (!logger.stopping || logger.held);
    pthread_mutex_unlock(&logger.lock);
    return context;
}

void log_start(const char *process, enum log_level least)
{
    snprintf(logger.process, sizeof(logger.process), "%s", process);
    logger.least = least;
    if (logger.running)
        return;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&logger.wake, &attributes);
    pthread_condattr_destroy(&attributes);
    logger.waiting = allocate(RING_SIZE);
    logger.writing = allocate(RING_SIZE);
    logger.stopping = 0;
    // Signals are the loop's: this thread takes none.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    logger.running = pthread_create(&logger.writer, NULL, writer_main, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void log_stop(void)
{
    pthread_mutex_lock(&logger.lock);
    int was_running = logger.running;
    logger.stopping = 1;
    pthread_mutex_unlock(&logger.lock);
    if (!was_running)
        return;
    pthread_cond_signal(&logger.wake);
    pthread_join(logger.writer, NULL);
    pthread_mutex_lock(&logger.lock);
    logger.running = 0;
    size_t held = logger.held; // lines that came while the writer ended
    logger.held = 0;
    pthread_mutex_unlock(&logger.lock);
    write_out(logger.waiting, held);
    free(logger.waiting);
    free(logger.writing);
    logger.waiting = logger.writing = NULL;
}

void log_write(enum log_level level, const char *event, const char *format, ...)
{
    if (level < logger.least)
        return;
    char line[LINE_MOST];
    va_list arguments;
    va_start(arguments, format);
    size_t size = format_line(line, level, event, format, arguments);
    va_end(arguments);
    add_line(line, size, level);
}

const char *log_escape(const void *data, size_t size, char *ret_text, size_t text_size)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *bytes = data;
    size_t at = 0;
    if (!text_size)
        return ret_text;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = bytes[i];
        int plain = c > ' ' && c < 0x7f && c != '"' && c != '\'' && c != '=' && c != '\\';
        if (at + (plain ? 1 : 4) >= text_size)
            break;
        if (plain) {
            ret_text[at++] = (char)c;
            continue;
        }
        ret_text[at++] = '\\';
        ret_text[at++] = 'x';
        ret_text[at++] = hex[c >> 4];
        ret_text[at++] = hex[c & 15];
    }
    ret_text[at] = 0;
    return ret_text;
}
