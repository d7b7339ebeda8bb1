// SPDX-License-Identifier: Apache-2.0
#include "delivery/pieces_file.h"

#include "core/base/file.h"
#include "core/base/random.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDER_MODE = 0750, FILE_MODE = 0640 };

static int write_all(int fd, struct span head, const struct body *body)
{
    if (head.size > 0 && file_write_whole(fd, head.data, head.size) < 0)
        return -1;
    for (size_t i = 0; i < body->count; i++)
        if (file_write_whole(fd, body->pieces[i].iov_base, body->pieces[i].iov_len) < 0)
            return -1;
    return fsync(fd);
}

int pieces_file_write(const char *folder, const char *name, struct span head,
                      const struct body *body)
{
    char path[512], making[560];
    int length = snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (length < 0 || (size_t)length >= sizeof(path))
        return ENAMETOOLONG;
    // Two deliveries may write the quarantine file of one mail at the same time.
    snprintf(making, sizeof(making), "%s/.%s.%016llx", folder, name,
             (unsigned long long)random_u64());
    if (file_make_folders(folder, FOLDER_MODE) < 0)
        return errno;
    int fd = open(making, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return errno;
    int result = write_all(fd, head, body) < 0 ? errno : 0;
    if (close(fd) < 0 && result == 0)
        result = errno;
    if (result == 0 && (rename(making, path) < 0 || file_sync_folder(folder) < 0))
        result = errno;
    if (result != 0)
        unlink(making);
    return result;
}

void *pieces_file_map(const char *path, size_t *ret_size)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return NULL;
    void *bytes = MAP_FAILED;
    if (fstat(fd, &status) == 0) {
        bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
        *ret_size = (size_t)status.st_size;
    }
    int saved = errno;
    close(fd);
    errno = saved;
    return bytes == MAP_FAILED ? NULL : bytes; // an empty file: EINVAL
}
