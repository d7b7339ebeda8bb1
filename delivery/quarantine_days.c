// SPDX-License-Identifier: Apache-2.0
#include "delivery/quarantine_days.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/loop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HOUR_MS = 3600 * 1000, DAY_SIZE = 11, STEP = 200 };
#define DAY_MS ((int64_t)24 * HOUR_MS)

struct quarantine_days {
    struct loop *loop;
    struct journal *journal;
    struct timer *timer;
    char *folder;
    unsigned days;
    int64_t wall_ms, monotonic_ms; // of the last look
    char oldest[DAY_SIZE];         // of the look under way
    int removed;
};

// -- on the disk thread

static int is_day(const char *name)
{
    static const char form[] = "dddd-dd-dd";
    for (size_t i = 0; i < sizeof(form); i++) {
        int good = form[i] == 'd' ? name[i] >= '0' && name[i] <= '9' : name[i] == form[i];
        if (!good)
            return 0;
    }
    return 1;
}

static DIR *open_folder(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (fd >= 0 && !folder)
        close(fd);
    return folder;
}

// Another delivery may be removing the same: what is gone already is as good.
static int remove_day(int quarantine, const char *day, int most)
{
    DIR *folder = open_folder(quarantine, day);
    if (!folder)
        return errno == ENOENT ? 0 : -1;
    int removed = 0;
    for (struct dirent *entry; removed < most && (entry = readdir(folder));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(dirfd(folder), entry->d_name, 0) < 0 && errno != ENOENT) {
            closedir(folder);
            return -1;
        }
        removed++;
    }
    closedir(folder);
    if (removed < most && unlinkat(quarantine, day, AT_REMOVEDIR) < 0 && errno != ENOENT &&
        errno != ENOTEMPTY)
        return -1;
    return removed;
}

int quarantine_days_remove(const char *folder, const char *oldest, int most)
{
    DIR *quarantine = open_folder(AT_FDCWD, folder);
    if (!quarantine)
        return errno == ENOENT ? 0 : -1;
    int removed = 0, rc = 0;
    for (struct dirent *entry; rc >= 0 && removed < most && (entry = readdir(quarantine));) {
        if (!is_day(entry->d_name) || strcmp(entry->d_name, oldest) >= 0)
            continue;
        rc = remove_day(dirfd(quarantine), entry->d_name, most - removed);
        removed += rc > 0 ? rc : 0;
    }
    closedir(quarantine);
    return rc < 0 ? -1 : removed;
}

static int work(void *context)
{
    struct quarantine_days *self = context;
    self->removed = quarantine_days_remove(self->folder, self->oldest, STEP);
    return self->removed < 0 ? errno : 0;
}

// -- on the loop

static void worked(void *context, int result)
{
    struct quarantine_days *self = context;
    if (result != 0)
        log_error("quarantine.stays", "folder=%s before=%s errno=%d", self->folder, self->oldest,
                  result);
    else if (self->removed == STEP && journal_run(self->journal, work, worked, self) == 0)
        return; // commits come in between
    timer_start(self->timer, HOUR_MS);
}

static void look(void *context)
{
    struct quarantine_days *self = context;
    int64_t wall = clock_wall_ms(), monotonic = clock_monotonic_ms();
    int64_t step = (wall - self->wall_ms) - (monotonic - self->monotonic_ms);
    self->wall_ms = wall;
    self->monotonic_ms = monotonic;
    timer_start(self->timer, HOUR_MS);
    // A clock that leaps must not take the quarantine with it. Should it stay there, the next look
    // believes it.
    if (step > DAY_MS || step < -DAY_MS) {
        log_warning("quarantine.kept", "clock_step_ms=%lld", (long long)step);
        return;
    }
    clock_format_day(wall - self->days * DAY_MS, self->oldest);
    if (journal_run(self->journal, work, worked, self) == 0)
        timer_stop(self->timer); // `worked` starts it anew
}

struct quarantine_days *quarantine_days_new(struct loop *loop, struct journal *journal,
                                            const char *state, unsigned days)
{
    struct quarantine_days *self = allocate(sizeof(*self));
    char folder[512];
    snprintf(folder, sizeof(folder), "%s/quarantine", state);
    *self = (struct quarantine_days){.loop = loop, .journal = journal, .days = days};
    self->folder = duplicate(folder);
    self->wall_ms = clock_wall_ms();
    self->monotonic_ms = clock_monotonic_ms();
    self->timer = timer_new(loop, look, self);
    timer_start(self->timer, HOUR_MS);
    return self;
}

void quarantine_days_destroy(struct quarantine_days **days)
{
    struct quarantine_days *self = *days;
    if (!self)
        return;
    *days = NULL;
    timer_destroy(&self->timer);
    free(self->folder);
    free(self);
}

void quarantine_days_keep(struct quarantine_days *self, unsigned days)
{
    self->days = days;
}
