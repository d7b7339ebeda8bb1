// SPDX-License-Identifier: Apache-2.0
#include "core/bus/roster.h"
#include "core/base/log.h"
#include "core/base/loop.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

enum {
    NONE = -1,
    FOLDER_MADE = IN_CREATE | IN_MOVED_TO,
    SOCKET_BOUND = IN_CREATE | IN_MOVED_TO,
    SOCKET_GONE = IN_DELETE | IN_MOVED_FROM,
};

struct folder {
    int wanted;
    int watch; // NONE while the folder is missing
    uint64_t slots;
};

struct roster {
    char *run;
    int fd;
    int run_watch;
    struct watch *readable;
    struct folder folders[STAGE_NODE + 1];
    roster_fn *fn;
    void *context;
};

// A slot number in its only spelling: other files live here, too.
static int parse_slot(const char *name, unsigned *ret)
{
    char *end;
    if (name[0] < '0' || name[0] > '9' || (name[0] == '0' && name[1]))
        return 0;
    unsigned long number = strtoul(name, &end, 10);
    if (*end || number >= SLOT_MOST)
        return 0;
    *ret = (unsigned)number;
    return 1;
}

static void set_slot(struct roster *self, enum stage stage, unsigned slot, int present)
{
    uint64_t bit = 1ULL << slot;
    if (present)
        self->folders[stage].slots |= bit;
    else
        self->folders[stage].slots &= ~bit;
    self->fn(self->context, stage, slot, present);
}

static void folder_path(const struct roster *self, enum stage stage, char ret[PATH_MAX])
{
    snprintf(ret, PATH_MAX, "%s/%s", self->run, stage_name(stage));
}

// Which slots have a name in the folder now. -1 with errno when it cannot be read.
static int list_slots(const struct roster *self, enum stage stage, uint64_t *ret)
{
    char path[PATH_MAX];
    unsigned slot;
    *ret = 0;
    folder_path(self, stage, path);
    DIR *folder = opendir(path);
    if (!folder)
        return errno == ENOENT ? 0 : -1;
    for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        if (parse_slot(entry->d_name, &slot))
            *ret |= 1ULL << slot;
    closedir(folder);
    return 0;
}

// Tells the differences between what was told and what is.
static int compare(struct roster *self, enum stage stage)
{
    uint64_t now;
    if (list_slots(self, stage, &now) < 0)
        return -1;
    for (uint64_t changed = now ^ self->folders[stage].slots; changed; changed &= changed - 1) {
        unsigned slot = (unsigned)__builtin_ctzll(changed);
        set_slot(self, stage, slot, (now >> slot) & 1);
    }
    return 0;
}

static int watch_folder(struct roster *self, enum stage stage)
{
    char path[PATH_MAX];
    folder_path(self, stage, path);
    int watch = inotify_add_watch(self->fd, path, SOCKET_BOUND | SOCKET_GONE | IN_ONLYDIR);
    if (watch < 0 && errno != ENOENT)
        return -1;
    self->folders[stage].watch = watch;
    return compare(self, stage); // after the watch, so that nothing falls between
}

static void try_folder(struct roster *self, enum stage stage)
{
    if (watch_folder(self, stage) < 0)
        log_error("watch-failed", "stage=%s error=%s", stage_name(stage), strerror(errno));
}

static void on_run_event(struct roster *self, const struct inotify_event *event)
{
    for (enum stage stage = STAGE_INGRESS; stage <= STAGE_NODE; stage++)
        if (self->folders[stage].wanted && event->len &&
            strcmp(event->name, stage_name(stage)) == 0)
            try_folder(self, stage);
}

static void on_folder_event(struct roster *self, enum stage stage,
                            const struct inotify_event *event)
{
    unsigned slot;
    if (event->mask & IN_IGNORED) {
        try_folder(self, stage); // removed; perhaps already made again
        return;
    }
    if (event->len && parse_slot(event->name, &slot))
        set_slot(self, stage, slot, (event->mask & SOCKET_BOUND) != 0);
}

static void on_event(struct roster *self, const struct inotify_event *event)
{
    for (enum stage stage = STAGE_INGRESS; stage <= STAGE_NODE; stage++) {
        const struct folder *folder = &self->folders[stage];
        if (folder->wanted && event->mask & IN_Q_OVERFLOW)
            try_folder(self, stage);
        else if (folder->wanted && folder->watch == event->wd)
            on_folder_event(self, stage, event);
    }
    if (event->wd == self->run_watch)
        on_run_event(self, event);
}

static void on_readable(void *context, int events)
{
    (void)events;
    struct roster *self = context;
    _Alignas(struct inotify_event) char bytes[16 * 1024];
    ssize_t size = read(self->fd, bytes, sizeof(bytes));
    for (ssize_t offset = 0; offset < size;) {
        const struct inotify_event *event = (const struct inotify_event *)(bytes + offset);
        on_event(self, event);
        offset += (ssize_t)(sizeof(*event) + event->len);
    }
}

struct roster *roster_new(struct loop *loop, const char *run, roster_fn *fn, void *context)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0)
        return NULL;
    int run_watch = inotify_add_watch(fd, run, FOLDER_MADE | IN_ONLYDIR);
    if (run_watch < 0) {
        int failure = errno;
        close(fd);
        errno = failure;
        return NULL;
    }
    struct roster *self = allocate(sizeof(*self));
    self->run = duplicate(run);
    self->fd = fd;
    self->run_watch = run_watch;
    self->fn = fn;
    self->context = context;
    for (size_t i = 0; i < ARRAY_LENGTH(self->folders); i++)
        self->folders[i].watch = NONE;
    self->readable = watch_new(loop, fd, LOOP_READ, on_readable, self);
    return self;
}

void roster_destroy(struct roster **self)
{
    struct roster *roster = *self;
    if (!roster)
        return;
    watch_destroy(&roster->readable);
    close(roster->fd);
    free(roster->run);
    free(roster);
    *self = NULL;
}

int roster_watch(struct roster *self, enum stage stage)
{
    assert(stage >= STAGE_INGRESS && stage <= STAGE_NODE);
    self->folders[stage].wanted = 1;
    return watch_folder(self, stage);
}
