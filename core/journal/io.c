// SPDX-License-Identifier: Apache-2.0
#include "core/journal/io.h"
#include "core/base/clock.h"
#include "core/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct disk {
    int folder_fd;
    char *corrupt;
};

static int disk_open(void *context, const char *name, int create)
{
    struct disk *self = context;
    int flags = create ? O_RDWR | O_CREAT | O_EXCL : O_RDONLY;
    return openat(self->folder_fd, name, flags | O_CLOEXEC, 0640);
}

static void disk_close(void *context, int fd)
{
    (void)context;
    int kept = errno;
    close(fd);
    errno = kept;
}

static int64_t disk_size(void *context, int fd)
{
    (void)context;
    struct stat status;
    return fstat(fd, &status) < 0 ? -1 : status.st_size;
}

static ssize_t disk_pread(void *context, int fd, void *ret, size_t size, uint64_t offset)
{
    (void)context;
    return pread(fd, ret, size, (off_t)offset);
}

static ssize_t disk_pwrite(void *context, int fd, const void *data, size_t size, uint64_t offset)
{
    (void)context;
    return pwrite(fd, data, size, (off_t)offset);
}

static int disk_preallocate(void *context, int fd, uint64_t size)
{
    (void)context;
    int error = 0;
    do {
        if (fallocate(fd, 0, 0, (off_t)size) == 0)
            return 0;
        error = errno;
    } while (error == EINTR);
    return error == EOPNOTSUPP ? 0 : -1; // then the zeros take the space
}

static int disk_fdatasync(void *context, int fd)
{
    (void)context;
    return fdatasync(fd);
}

static int disk_write_back(void *context, int fd, uint64_t offset, uint64_t size, int wait)
{
    (void)context;
    unsigned flags = wait ? SYNC_FILE_RANGE_WAIT_BEFORE : SYNC_FILE_RANGE_WRITE;
    if (sync_file_range(fd, (off_t)offset, (off_t)size, flags) == 0)
        return 0;
    return errno == ENOSYS || errno == EINVAL || errno == ESPIPE ? 0
                                                                 : -1; // then the sync does it all
}

static int disk_unlink(void *context, const char *name)
{
    return unlinkat(((struct disk *)context)->folder_fd, name, 0);
}

static int disk_sync_folder(void *context)
{
    return fsync(((struct disk *)context)->folder_fd);
}

static int disk_list(void *context, journal_name_fn *fn, void *fn_context)
{
    struct disk *self = context;
    int fd = openat(self->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    DIR *folder = fdopendir(fd);
    if (!folder) {
        disk_close(context, fd);
        return -1;
    }
    errno = 0;
    for (struct dirent *entry; (entry = readdir(folder));)
        fn(fn_context, entry->d_name);
    int error = errno;
    closedir(folder);
    errno = error;
    return error ? -1 : 0;
}

static int disk_keep(void *context, const char *name, const void *data, size_t size, char *ret_path,
                     size_t path_size)
{
    struct disk *self = context;
    if (!self->corrupt)
        return 0;
    if (file_make_folders(self->corrupt, 0750) < 0)
        return -1;
    if (snprintf(ret_path, path_size, "%s/%s", self->corrupt, name) >= (int)path_size) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return file_write_atomic(ret_path, data, size, 0640);
}

static unsigned disk_free_percent(void *context)
{
    struct statvfs status;
    if (fstatvfs(((struct disk *)context)->folder_fd, &status) < 0 || status.f_blocks == 0)
        return 100;
    return (unsigned)(status.f_bavail * 100 / status.f_blocks);
}

static int64_t disk_now_us(void *context)
{
    (void)context;
    return clock_monotonic_us();
}

static void disk_destroy(void *context)
{
    struct disk *self = context;
    close(self->folder_fd);
    free(self->corrupt);
    free(self);
}

int journal_io_open(struct journal_io *ret, const char *folder, const char *corrupt)
{
    if (file_make_folders(folder, 0750) < 0)
        return -1;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    struct disk *disk = allocate(sizeof(*disk));
    *disk = (struct disk){.folder_fd = fd, .corrupt = corrupt ? duplicate(corrupt) : NULL};
    *ret = (struct journal_io){
        .context = disk,
        .open = disk_open,
        .close = disk_close,
        .size = disk_size,
        .pread = disk_pread,
        .pwrite = disk_pwrite,
        .preallocate = disk_preallocate,
        .fdatasync = disk_fdatasync,
        .write_back = disk_write_back,
        .unlink = disk_unlink,
        .sync_folder = disk_sync_folder,
        .list = disk_list,
        .keep = disk_keep,
        .free_percent = disk_free_percent,
        .now_us = disk_now_us,
        .destroy = disk_destroy,
    };
    return 0;
}
