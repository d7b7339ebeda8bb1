// SPDX-License-Identifier: Apache-2.0
#include "core/base/loop.h"
#include "core/base/process.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

enum { TICK_S = 5, TICKS_MOST = 6, EXIT_STUCK = 86 };

// Ticks that came since the loop last turned. Ticks are counted, not seconds: a paused container
// gets one tick when it wakes, however long it slept.
static volatile sig_atomic_t silent_ticks;

struct watchdog {
    struct timer *timer;
    struct hook *hook;
};

static void on_tick(int signal)
{
    static const char last_words[] =
        "postern: the loop has not turned for 30 s, this process ends\n";
    (void)signal;
    if (++silent_ticks <= TICKS_MOST)
        return;
    ssize_t wrote = write(STDERR_FILENO, last_words, sizeof(last_words) - 1);
    _exit(wrote < 0 ? EXIT_STUCK + 1 : EXIT_STUCK);
}

static void on_turn(void *context)
{
    (void)context;
    silent_ticks = 0;
}

// An idle loop turns too.
static void on_idle(void *context)
{
    struct watchdog *self = context;
    timer_start(self->timer, TICK_S * 1000);
}

void process_watchdog(struct loop *loop)
{
    static struct watchdog only; // lives as long as the process, and stays reachable to its end
    struct watchdog *self = &only;
    self->hook = hook_new(loop, on_turn, self);
    self->timer = timer_new(loop, on_idle, self);
    timer_start(self->timer, TICK_S * 1000);

    struct sigaction action = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval every = {.it_interval.tv_sec = TICK_S, .it_value.tv_sec = TICK_S};
    if (setitimer(ITIMER_REAL, &every, NULL) < 0)
        abort();
}
