// SPDX-License-Identifier: Apache-2.0
#include "node/shelving.h"

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "core/base/unpack.h"
#include "core/stream/kind.h"
#include "proto/event.pb-c.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    DAY_SIZE = 11,
    STEP = 200,
    ASK_IDS = 4096,
    ASK_FIRST_MS = 500,
    ASK_AGAIN_MS = 60000,
    TIDY_MS = 60000,
    TIDY_AFTER_MS = 3000,
};
#define DAY_MS ((int64_t)86400 * 1000)

struct shelving {
    struct loop *loop;
    struct journal *journal;
    struct shelving_ops ops;
    struct shelf *shelf;
    const char *state;
    char folder[160];
    unsigned masters;
    int64_t ask_ms[SHELF_MASTERS_MOST]; // when to ask next, 0: no session yet
    int64_t tidy_ms;
    int full, removing, pressed;
    struct shelf_item going[STEP];
    size_t going_count;
    struct metric *custody, *custody_bytes, *bytes, *removed;
};

// -- the folder

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

static void read_day(struct shelving *self, int quarantine, const char *day)
{
    struct stat status;
    struct ulid id;
    DIR *folder = open_folder(quarantine, day);
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));)
        if (ulid_parse(entry->d_name, strlen(entry->d_name), &id) == 0 &&
            fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
            shelf_add(self->shelf, &id, day, (uint64_t)status.st_size);
    closedir(folder);
}

static void read_folder(struct shelving *self)
{
    DIR *quarantine = open_folder(AT_FDCWD, self->folder);
    if (!quarantine)
        return;
    for (struct dirent *entry; (entry = readdir(quarantine));)
        if (is_day(entry->d_name))
            read_day(self, dirfd(quarantine), entry->d_name);
    closedir(quarantine);
}

// What a delivery that died was writing goes with its day.
static void remove_day(int quarantine, const char *day)
{
    DIR *folder = open_folder(quarantine, day);
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] == '.' && strcmp(entry->d_name, ".") != 0 &&
            strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    unlinkat(quarantine, day, AT_REMOVEDIR); // ENOTEMPTY: some stay
}

static int remove_items(int quarantine, const struct shelf_item *items, size_t count)
{
    char path[DAY_SIZE + ULID_TEXT + 1], name[ULID_TEXT];
    for (size_t i = 0; i < count; i++) {
        ulid_format(&items[i].id, name);
        snprintf(path, sizeof(path), "%s/%s", items[i].day, name);
        if (unlinkat(quarantine, path, 0) < 0 && errno != ENOENT)
            return -1;
        if (i + 1 == count || strcmp(items[i].day, items[i + 1].day) != 0)
            remove_day(quarantine, items[i].day);
    }
    return (int)count;
}

int shelving_remove(const char *folder, const struct shelf_item *items, size_t count)
{
    int quarantine = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (quarantine < 0)
        return errno == ENOENT ? (int)count : -1;
    int removed = remove_items(quarantine, items, count), error = errno;
    close(quarantine);
    errno = error;
    return removed;
}

// -- what goes

static int work(void *context)
{
    struct shelving *self = context;
    return shelving_remove(self->folder, self->going, self->going_count) < 0 ? errno : 0;
}

static void remove_some(struct shelving *self);

static void worked(void *context, int result)
{
    struct shelving *self = context;
    self->removing = 0;
    if (result != 0) {
        log_error("quarantine.stays", "folder=%s errno=%d", self->folder, result);
        return;
    }
    for (size_t i = 0; i < self->going_count; i++)
        shelf_remove(self->shelf, &self->going[i].id);
    metric_add(self->removed, (int64_t)self->going_count);
    if (self->going_count == STEP)
        remove_some(self);
}

// No leap of the clock is looked for: what goes, the masters hold.
static void remove_some(struct shelving *self)
{
    char kept[DAY_SIZE];
    clock_format_day(clock_wall_ms() - DAY_MS, kept); // yesterday
    self->going_count = shelf_may_go(self->shelf, kept, self->pressed, self->going, STEP);
    if (self->going_count > 0 && journal_run(self->journal, work, worked, self) == 0)
        self->removing = 1;
}

static void tidy(struct shelving *self)
{
    int64_t now = loop_now_ms(self->loop);
    if (self->removing || (now < self->tidy_ms && !self->pressed))
        return;
    self->tidy_ms = now + TIDY_MS;
    remove_some(self);
}

static void measure(struct shelving *self, unsigned percent)
{
    struct statvfs disk;
    if (statvfs(self->state, &disk) == 0) {
        uint64_t share = (uint64_t)disk.f_blocks * disk.f_frsize / 100 * percent;
        self->full = shelf_custody_bytes(self->shelf) > share;
        self->pressed = shelf_bytes(self->shelf) > share;
    }
    metric_set(metric("quarantine_full", ""), self->full);
    metric_set(self->custody, (int64_t)shelf_custody(self->shelf));
    metric_set(self->custody_bytes, (int64_t)shelf_custody_bytes(self->shelf));
    metric_set(self->bytes, (int64_t)shelf_bytes(self->shelf));
}

// -- the masters

static int ask_some(struct shelving *self, unsigned master, struct ulid *ids, size_t count)
{
    ProtobufCBinaryData *list = allocate(count * sizeof(*list));
    Postern__BodiesQuestion question = POSTERN__BODIES_QUESTION__INIT;
    for (size_t i = 0; i < count; i++)
        list[i] = (ProtobufCBinaryData){ULID_SIZE, ids[i].bytes};
    question.ids = list;
    question.n_ids = count;
    int rc = self->ops.ask(self->ops.context, master, &question);
    free(list);
    return rc;
}

static void ask(struct shelving *self, unsigned master)
{
    size_t count, at = 0;
    struct ulid *ids = shelf_lacking(self->shelf, master, &count);
    while (at < count) {
        size_t some = count - at < ASK_IDS ? count - at : ASK_IDS;
        if (ask_some(self, master, ids + at, some) < 0)
            break;
        at += some;
    }
    free(ids);
    self->ask_ms[master] = loop_now_ms(self->loop) + ASK_AGAIN_MS;
    self->tidy_ms = loop_now_ms(self->loop) + TIDY_AFTER_MS; // by then it has answered
}

void shelving_masters(struct shelving *self, unsigned masters)
{
    shelf_masters(self->shelf, masters);
    for (unsigned i = 0; i < masters; i++)
        self->ask_ms[i] = loop_now_ms(self->loop) + ASK_FIRST_MS;
}

void shelving_session(struct shelving *self, unsigned master)
{
    shelf_session(self->shelf, master);
    self->ask_ms[master] = loop_now_ms(self->loop) + ASK_FIRST_MS;
}

void shelving_held(struct shelving *self, unsigned master, const Postern__BodiesHeld *held)
{
    struct ulid id;
    for (size_t i = 0; i < held->n_ids; i++) {
        if (held->ids[i].len != ULID_SIZE)
            continue;
        memcpy(id.bytes, held->ids[i].data, ULID_SIZE);
        shelf_held(self->shelf, master, &id);
    }
}

// -- events and time

void shelving_event(struct shelving *self, const void *event, size_t size)
{
    if (event_kind(event, size) != POSTERN__KIND__KIND_QUARANTINED)
        return;
    Postern__Event *told = postern__event__unpack(&unpack_allocator, size, event);
    if (!told)
        return;
    char day[DAY_SIZE] = "";
    struct ulid id;
    if (told->id.len == ULID_SIZE && told->quarantine_day.len == DAY_SIZE - 1) {
        memcpy(id.bytes, told->id.data, ULID_SIZE);
        memcpy(day, told->quarantine_day.data, DAY_SIZE - 1);
    }
    if (is_day(day))
        shelf_add(self->shelf, &id, day, told->size);
    postern__event__free_unpacked(told, NULL);
}

void shelving_second(struct shelving *self, unsigned percent)
{
    measure(self, percent);
    tidy(self);
    for (unsigned i = 0; i < self->masters; i++)
        if (self->ask_ms[i] && self->ask_ms[i] <= loop_now_ms(self->loop))
            ask(self, i);
}

int shelving_full(const struct shelving *self)
{
    return self->full;
}

const struct shelf *shelving_shelf(const struct shelving *self)
{
    return self->shelf;
}

struct shelving *shelving_new(struct loop *loop, struct journal *journal, const char *state,
                              unsigned masters, const struct shelving_ops *ops)
{
    struct shelving *self = allocate(sizeof(*self));
    self->loop = loop;
    self->journal = journal;
    self->ops = *ops;
    self->state = state;
    self->masters = masters;
    self->shelf = shelf_new(masters);
    snprintf(self->folder, sizeof(self->folder), "%s/quarantine", state);
    self->custody = metric("quarantine_custody", "");
    self->custody_bytes = metric("quarantine_custody_bytes", "");
    self->bytes = metric("quarantine_bytes", "");
    self->removed = metric("quarantine_removed_total", "");
    read_folder(self);
    return self;
}

void shelving_destroy(struct shelving **self)
{
    if (!*self)
        return;
    shelf_destroy(&(*self)->shelf);
    free(*self);
    *self = NULL;
}
