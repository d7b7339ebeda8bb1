// SPDX-License-Identifier: Apache-2.0
#include "core/base/slot.h"
#include "core/base/file.h"
#include "core/base/random.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES_MOST = 16 };

const char *stage_name(enum stage stage)
{
    switch (stage) {
    case STAGE_INGRESS:
        return "ingress";
    case STAGE_ANALYZER:
        return "analyzer";
    case STAGE_DELIVERY:
        return "delivery";
    case STAGE_NODE:
        return "node";
    }
    return "unknown";
}

static int format_checked(char *ret_text, size_t size, int length)
{
    if (length >= 0 && (size_t)length < size)
        return 0;
    ret_text[0] = 0;
    errno = ENAMETOOLONG;
    return -1;
}

static int slot_path(char *ret_path, size_t size, const char *state, enum stage stage,
                     unsigned number)
{
    return format_checked(ret_path, size,
                          snprintf(ret_path, size, "%s/%s/%u", state, stage_name(stage), number));
}

static int lock_path(char *ret_path, size_t size, const char *slot_folder)
{
    return format_checked(ret_path, size, snprintf(ret_path, size, "%s/lock", slot_folder));
}

static struct flock whole_file(void)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
}

// Somebody who removed a drained slot unlinked its lock while holding it: a lock on that orphan
// would guard nothing.
static int still_named(int fd, const char *path)
{
    struct stat held, named;
    return fstat(fd, &held) == 0 && stat(path, &named) == 0 && held.st_ino == named.st_ino &&
           held.st_dev == named.st_dev;
}

// The locked descriptor; -1 with EAGAIN when somebody else holds the lock.
static int lock_folder(const char *folder)
{
    char path[128];
    if (lock_path(path, sizeof(path), folder) < 0)
        return -1;
    for (int i = 0; i < TRIES_MOST; i++) {
        if (file_make_folders(folder, 0750) < 0)
            return -1;
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (fd < 0 && errno == ENOENT)
            continue; // the folder was removed meanwhile
        if (fd < 0)
            return -1;
        struct flock lock = whole_file();
        int locked = fcntl(fd, F_OFD_SETLK, &lock);
        int kept = errno;
        if (locked == 0 && still_named(fd, path))
            return fd;
        close(fd);
        errno = kept == EACCES ? EAGAIN : kept;
        if (locked < 0)
            return -1;
    }
    errno = EAGAIN;
    return -1;
}

static int take_number(struct slot *self, const char *state, enum stage stage, unsigned number)
{
    struct slot taken = {.stage = stage, .number = number};
    if (slot_path(taken.path, sizeof(taken.path), state, stage, number) < 0)
        return -1;
    taken.lock_fd = lock_folder(taken.path);
    if (taken.lock_fd < 0)
        return -1;
    taken.incarnation = random_u64();
    *self = taken;
    return 0;
}

// Slots whose journals wait for an heir come before fresh ones.
static uint64_t with_records(const char *state, enum stage stage, slot_records_fn *has_records)
{
    uint64_t existing = has_records ? slot_existing(state, stage) : 0;
    uint64_t found = 0;
    for (unsigned number = 0; number < SLOT_MOST; number++) {
        char path[128];
        if (!(existing >> number & 1) || slot_locked(state, stage, number) != 0)
            continue;
        if (slot_path(path, sizeof(path), state, stage, number) == 0 && has_records(path) > 0)
            found |= 1ull << number;
    }
    return found;
}

static int take_first_of(struct slot *self, const char *state, enum stage stage,
                         uint64_t candidates)
{
    for (unsigned number = 0; number < SLOT_MOST; number++) {
        if (!(candidates >> number & 1))
            continue;
        if (take_number(self, state, stage, number) == 0)
            return 0;
        if (errno != EAGAIN)
            return -1;
    }
    errno = EBUSY;
    return -1;
}

int slot_take(struct slot *self, const char *state, enum stage stage, int number,
              slot_records_fn *has_records)
{
    if (number >= SLOT_MOST) {
        errno = EINVAL;
        return -1;
    }
    if (number >= 0)
        return take_first_of(self, state, stage, 1ull << number);
    uint64_t inherited = with_records(state, stage, has_records);
    if (take_first_of(self, state, stage, inherited) == 0)
        return 0;
    return errno == EBUSY ? take_first_of(self, state, stage, ~inherited) : -1;
}

void slot_release(struct slot *self)
{
    if (self->lock_fd >= 0)
        close(self->lock_fd);
    self->lock_fd = -1;
    self->incarnation = 0;
}

int slot_remove(struct slot *self)
{
    char path[128];
    // One who opens the lock meanwhile finds that it has no name, and begins anew.
    int removed = lock_path(path, sizeof(path), self->path) == 0 && unlink(path) == 0 &&
                          rmdir(self->path) == 0
                      ? 0
                      : -1;
    int kept = errno;
    slot_release(self);
    errno = kept;
    return removed;
}

int slot_locked(const char *state, enum stage stage, unsigned number)
{
    char folder[128], path[160];
    if (slot_path(folder, sizeof(folder), state, stage, number) < 0 ||
        lock_path(path, sizeof(path), folder) < 0)
        return -1;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    struct flock lock = whole_file();
    int asked = fcntl(fd, F_OFD_GETLK, &lock);
    int kept = errno;
    close(fd);
    errno = kept;
    return asked < 0 ? -1 : lock.l_type != F_UNLCK;
}

// "0" .. "63" without leading zeros, else -1.
static int number_of(const char *name)
{
    char *end;
    if (name[0] < '0' || name[0] > '9' || (name[0] == '0' && name[1]))
        return -1;
    unsigned long number = strtoul(name, &end, 10);
    return *end || number >= SLOT_MOST ? -1 : (int)number;
}

uint64_t slot_existing(const char *state, enum stage stage)
{
    char path[128];
    if (format_checked(path, sizeof(path),
                       snprintf(path, sizeof(path), "%s/%s", state, stage_name(stage))) < 0)
        return 0;
    DIR *folder = opendir(path);
    if (!folder)
        return 0;
    uint64_t found = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        int number = number_of(entry->d_name);
        if (number >= 0)
            found |= 1ull << number;
    }
    closedir(folder);
    return found;
}
