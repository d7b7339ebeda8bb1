// SPDX-License-Identifier: Apache-2.0
// A disk that is slow, broken or full, for tests: preloaded into a daemon, it stands before the
// calls that write and sync. It can also end the process at the n-th of its calls to disk or
// client. What it does is read from a small mapped file (FAULTDISK_CONTROL), so a test changes it
// while the daemon runs. FAULTDISK_PROGRAMS (names separated by commas) limits it to some programs.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

// The layout is shared with tests/lib/faults.py. A budget of -1 means: every call.
struct control {
    _Atomic uint32_t sync_delay_us;
    _Atomic uint32_t sync_errno;
    _Atomic int32_t sync_budget;
    _Atomic uint32_t write_errno;
    _Atomic int32_t write_budget;
    _Atomic uint32_t short_writes;
    _Atomic uint64_t syncs;
    _Atomic uint64_t failures;
    _Atomic int32_t kill_after; // calls; 0: never
};

static struct control idle;
static struct control *control = &idle;

static int (*real_fdatasync)(int);
static int (*real_fsync)(int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_fallocate)(int, int, off_t, off_t);
static int (*real_posix_fallocate)(int, off_t, off_t);
static ssize_t (*real_send)(int, const void *, size_t, int);
static ssize_t (*real_recv)(int, void *, size_t, int);

static int is_meant(const char *programs)
{
    size_t length = strlen(program_invocation_short_name);
    for (const char *at = programs; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, program_invocation_short_name, length) == 0 &&
            (at[length] == ',' || at[length] == '\0'))
            return 1;
    }
    return 0;
}

__attribute__((constructor)) static void prepare(void)
{
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    real_writev = dlsym(RTLD_NEXT, "writev");
    real_pwritev = dlsym(RTLD_NEXT, "pwritev");
    real_fallocate = dlsym(RTLD_NEXT, "fallocate");
    real_posix_fallocate = dlsym(RTLD_NEXT, "posix_fallocate");
    real_send = dlsym(RTLD_NEXT, "send");
    real_recv = dlsym(RTLD_NEXT, "recv");
    const char *path = getenv("FAULTDISK_CONTROL");
    const char *programs = getenv("FAULTDISK_PROGRAMS");
    if (!path || (programs && !is_meant(programs)))
        return;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *mapped = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED)
        control = mapped;
}

// Takes one from the budget; tells whether this call is to fail.
static int spend(_Atomic int32_t *budget)
{
    int32_t left = atomic_load(budget);
    while (left > 0) {
        if (atomic_compare_exchange_weak(budget, &left, left - 1))
            return 1;
    }
    return left < 0;
}

static void count_call(void)
{
    int32_t left = atomic_load(&control->kill_after);
    while (left > 0)
        if (atomic_compare_exchange_weak(&control->kill_after, &left, left - 1)) {
            if (left == 1)
                kill(getpid(), SIGKILL);
            return;
        }
}

static int sync_fails(void)
{
    count_call();
    uint32_t delay = atomic_load(&control->sync_delay_us);
    atomic_fetch_add(&control->syncs, 1);
    if (delay) {
        struct timespec time = {delay / 1000000, (long)(delay % 1000000) * 1000};
        nanosleep(&time, NULL);
    }
    int error = (int)atomic_load(&control->sync_errno);
    if (!error || !spend(&control->sync_budget))
        return 0;
    atomic_fetch_add(&control->failures, 1);
    errno = error;
    return 1;
}

// Standard streams, sockets and pipes are spared: it is the disk that fails.
static int write_fails(int fd)
{
    int error = (int)atomic_load(&control->write_errno);
    struct stat status;
    count_call();
    if (!error || fd <= STDERR_FILENO || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode))
        return 0;
    if (!spend(&control->write_budget))
        return 0;
    atomic_fetch_add(&control->failures, 1);
    errno = error;
    return 1;
}

static size_t allowed(int fd, size_t size)
{
    struct stat status;
    if (!atomic_load(&control->short_writes) || size < 2 || fstat(fd, &status) < 0 ||
        !S_ISREG(status.st_mode))
        return size;
    return size / 2;
}

int fdatasync(int fd)
{
    return sync_fails() ? -1 : real_fdatasync(fd);
}

int fsync(int fd)
{
    return sync_fails() ? -1 : real_fsync(fd);
}

ssize_t write(int fd, const void *data, size_t size)
{
    return write_fails(fd) ? -1 : real_write(fd, data, allowed(fd, size));
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    return write_fails(fd) ? -1 : real_pwrite(fd, data, allowed(fd, size), at);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    return write_fails(fd) ? -1 : real_writev(fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    return write_fails(fd) ? -1 : real_pwritev(fd, parts, count, at);
}

int fallocate(int fd, int mode, off_t at, off_t size)
{
    return write_fails(fd) ? -1 : real_fallocate(fd, mode, at, size);
}

int posix_fallocate(int fd, off_t at, off_t size)
{
    return write_fails(fd) ? errno : real_posix_fallocate(fd, at, size);
}

ssize_t send(int fd, const void *data, size_t size, int flags)
{
    count_call();
    return real_send(fd, data, size, flags);
}

ssize_t recv(int fd, void *data, size_t size, int flags)
{
    count_call();
    return real_recv(fd, data, size, flags);
}
