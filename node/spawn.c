// SPDX-License-Identifier: Apache-2.0
#include "node/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FDS_ABOVE = 64 };

extern char **environ;

static int sibling_path(const char *program, char *ret_path, size_t size)
{
    char own[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", own, sizeof(own) - 1);
    if (length < 0)
        return -1;
    own[length] = 0;
    *strrchr(own, '/') = 0;
    if ((size_t)snprintf(ret_path, size, "%s/%s", own, program) < size)
        return 0;
    errno = ENAMETOOLONG;
    return -1;
}

// Signals that we block or ignore are none of the child's business.
static int prepare_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int result = posix_spawnattr_setsigmask(attributes, &none);
    if (!result)
        result = posix_spawnattr_setsigdefault(attributes, &all);
    if (!result)
        result =
            posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return result;
}

static int prepare_descriptors(posix_spawn_file_actions_t *actions, const int *fds, unsigned count)
{
    int result = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    for (unsigned i = 0; i < count && !result; i++)
        result = posix_spawn_file_actions_adddup2(actions, fds[i], SPAWN_FD_FIRST + (int)i);
    if (!result)
        result = posix_spawn_file_actions_addclosefrom_np(actions, SPAWN_FD_FIRST + (int)count);
    return result;
}

pid_t spawn(char *const *argv, const int *fds, unsigned fd_count)
{
    char path[PATH_MAX];
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    pid_t pid = -1;
    if (sibling_path(argv[0], path, sizeof(path)) < 0)
        return -1;
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_init(&actions);
    int result = prepare_attributes(&attributes);
    if (!result)
        result = prepare_descriptors(&actions, fds, fd_count);
    if (!result)
        result = posix_spawn(&pid, path, &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    errno = result;
    return result ? -1 : pid;
}

int spawned_is(pid_t pid, const char *program)
{
    char path[64], line[PATH_MAX];
    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, line, sizeof(line) - 1);
    close(fd);
    if (length <= 0)
        return 0;
    line[length] = 0;
    const char *slash = strrchr(line, '/');
    return strcmp(slash ? slash + 1 : line, program) == 0;
}

int spawn_move_up(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, FDS_ABOVE);
    int kept = errno;
    close(fd);
    errno = kept;
    return moved;
}
