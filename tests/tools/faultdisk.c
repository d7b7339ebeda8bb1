// SPDX-License-Identifier: Apache-2.0
// A machine at its limits, for tests: preloaded into a daemon, it stands before the calls that
// write and sync, and makes the disk slow, broken or full. It can also end the process at the n-th
// of its calls to disk or client, fail the n-th allocation, and refuse threads. What it does is
// read from a small mapped file (FAULTDISK_CONTROL), so a test changes it while the daemon runs.
// FAULTDISK_PROGRAMS (names separated by commas) limits it to some programs.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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
    _Atomic int32_t kill_after;       // calls; 0: never
    _Atomic int32_t allocations_left; // the last of them fails; 0: none does
    _Atomic int32_t thread_budget;    // threads that cannot be started
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
static int (*real_pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
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
    real_pthread_create = dlsym(RTLD_NEXT, "pthread_create");
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

// Counts down to 0; tells whether this was the last.
static int is_last(_Atomic int32_t *count)
{
    int32_t left = atomic_load(count);
    while (left > 0)
        if (atomic_compare_exchange_weak(count, &left, left - 1))
            return left == 1;
    return 0;
}

static void count_call(void)
{
    if (is_last(&control->kill_after))
        kill(getpid(), SIGKILL);
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

// The C library's own names: dlsym allocates, so it cannot be asked for the real ones.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);

static int allocation_fails(void)
{
    if (!is_last(&control->allocations_left))
        return 0;
    atomic_fetch_add(&control->failures, 1);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return allocation_fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return allocation_fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return allocation_fails() ? NULL : __libc_realloc(old, size);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *context)
{
    if (!spend(&control->thread_budget))
        return real_pthread_create(thread, attributes, run, context);
    atomic_fetch_add(&control->failures, 1);
    return EAGAIN;
}
