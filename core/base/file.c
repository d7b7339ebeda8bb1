// SPDX-License-Identifier: Apache-2.0
#include "core/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static void close_keeping_errno(int fd)
{
    int kept = errno;
    close(fd);
    errno = kept;
}

int file_write_whole(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size) {
        ssize_t wrote = write(fd, at, size);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return -1;
        at += wrote;
        size -= (size_t)wrote;
    }
    return 0;
}

int file_sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int result = fsync(fd);
    close_keeping_errno(fd);
    return result;
}

static int sync_parent(const char *path)
{
    char copy[PATH_MAX];
    if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return file_sync_folder(dirname(copy));
}

static int write_synced(const char *path, const void *data, size_t size, unsigned mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    int result = -1;
    // The mode is set outright: a file of secrets must not depend on somebody's umask.
    if (fchmod(fd, (mode_t)mode) == 0 && file_write_whole(fd, data, size) == 0)
        result = fsync(fd);
    close_keeping_errno(fd);
    return result;
}

int file_write_atomic(const char *path, const void *data, size_t size, unsigned mode)
{
    char temporary[PATH_MAX];
    int length = snprintf(temporary, sizeof(temporary), "%s.new.%ld", path, (long)getpid());
    if (length >= (int)sizeof(temporary)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (write_synced(temporary, data, size, mode) < 0 || rename(temporary, path) < 0) {
        int kept = errno;
        unlink(temporary);
        errno = kept;
        return -1;
    }
    return sync_parent(path); // without this a power cut takes the name back
}

// Not by the size that stat tells: files under /proc have none, and a file may grow meanwhile.
static ssize_t read_upto(int fd, char *data, size_t most)
{
    size_t size = 0;
    while (size < most) {
        ssize_t got = read(fd, data + size, most - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        size += (size_t)got;
    }
    return (ssize_t)size;
}

static char *read_fd(int fd, size_t max, size_t *ret_size)
{
    struct stat status;
    if (fstat(fd, &status) < 0)
        return NULL;
    size_t room = max;
    if (S_ISREG(status.st_mode) && status.st_size > 0 && (size_t)status.st_size < max)
        room = (size_t)status.st_size;
    char *data = allocate(room + 2);
    ssize_t size = read_upto(fd, data, room + 1);
    if (size < 0 || (size_t)size > max) {
        if (size >= 0)
            errno = EFBIG;
        free(data);
        return NULL;
    }
    data[size] = 0;
    if (ret_size)
        *ret_size = (size_t)size;
    return data;
}

char *file_read(const char *path, size_t max, size_t *ret_size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    char *data = read_fd(fd, max, ret_size);
    close_keeping_errno(fd);
    return data;
}

static int make_folder(const char *path, unsigned mode)
{
    if (mkdir(path, (mode_t)mode) == 0)
        return sync_parent(path);
    struct stat status;
    if (errno != EEXIST || stat(path, &status) < 0)
        return -1;
    if (S_ISDIR(status.st_mode))
        return 0;
    errno = ENOTDIR;
    return -1;
}

int file_make_folders(const char *path, unsigned mode)
{
    char copy[PATH_MAX];
    if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    for (char *slash = strchr(copy + 1, '/'); *copy && slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (make_folder(copy, mode) < 0)
            return -1;
        *slash = '/';
    }
    return make_folder(copy, mode);
}

unsigned file_free_percent(const char *folder)
{
    struct statvfs disk;
    if (statvfs(folder, &disk) < 0 || disk.f_blocks == 0)
        return 100;
    return (unsigned)(disk.f_bavail * 100 / disk.f_blocks);
}

int file_remove_folder(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder)
        return errno == ENOENT ? 0 : -1;
    for (struct dirent *entry; (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            unlinkat(dirfd(folder), entry->d_name, 0) < 0)
            break;
    int removed = rmdir(path), kept = errno;
    closedir(folder);
    errno = kept;
    return removed;
}
