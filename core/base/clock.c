// SPDX-License-Identifier: Apache-2.0
#include "core/base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t now_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
    return now_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_monotonic_ms(void)
{
    return now_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_monotonic_us(void)
{
    return now_us(CLOCK_MONOTONIC);
}

// Times before 1970 do not occur; a peer's nonsense must not index outside the names below.
static struct tm broken_down(int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms > 0 ? wall_ms / 1000 : 0);
    struct tm parts = {0};
    if (!gmtime_r(&seconds, &parts))
        parts = (struct tm){.tm_mday = 1, .tm_year = 70};
    return parts;
}

void clock_format_rfc5322(int64_t wall_ms, char ret_text[40])
{
    // Not strftime: its names follow the locale.
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm parts = broken_down(wall_ms);
    snprintf(ret_text, 40, "%s, %d %s %04d %02d:%02d:%02d +0000", days[parts.tm_wday % 7],
             parts.tm_mday, months[parts.tm_mon % 12], parts.tm_year + 1900, parts.tm_hour,
             parts.tm_min, parts.tm_sec);
}

void clock_format_rfc3339(int64_t wall_ms, char ret_text[40])
{
    struct tm parts = broken_down(wall_ms);
    unsigned ms = (unsigned)(wall_ms > 0 ? wall_ms % 1000 : 0);
    size_t size = strftime(ret_text, 32, "%Y-%m-%dT%H:%M:%S", &parts); // digits only, in any locale
    snprintf(ret_text + size, 40 - size, ".%03uZ", ms);
}

void clock_format_day(int64_t wall_ms, char ret_text[11])
{
    time_t seconds = (time_t)(wall_ms > 0 ? wall_ms / 1000 : 0);
    struct tm parts = {0};
    if (!localtime_r(&seconds, &parts))
        parts = broken_down(wall_ms);
    snprintf(ret_text, 11, "%04u-%02u-%02u", (unsigned)(parts.tm_year + 1900) % 10000u,
             (unsigned)(parts.tm_mon + 1) % 100u, (unsigned)parts.tm_mday % 100u);
}
