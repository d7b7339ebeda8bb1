// SPDX-License-Identifier: Apache-2.0
// Each try is made by a child that has gone into the sandbox.
#include "analyzer/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { WORKED = 0, REFUSED = 10, UNCONFINED = 20, NO_LANDLOCK = 21 };

static char folder[] = "/tmp/postern-sandbox-XXXXXX";

static int run_program(void)
{
    return execl("/bin/true", "true", (char *)NULL);
}

static int open_network(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}

static int open_network_6(void)
{
    return socket(AF_INET6, SOCK_DGRAM, 0);
}

static int open_raw(void)
{
    return socket(AF_NETLINK, SOCK_RAW, 0);
}

static int write_file(void)
{
    return open("/tmp/postern-sandbox-file", O_WRONLY | O_CREAT, 0600);
}

static int change_file(void)
{
    return open("/dev/null", O_RDWR);
}

static int make_child(void)
{
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return child < 0 ? -1 : 0;
}

static int trace(void)
{
    return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static int mount_something(void)
{
    return mount("none", "/tmp", "tmpfs", 0, NULL);
}

static int kill_parent(void)
{
    return kill(getppid(), SIGTERM);
}

static int write_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                0) == MAP_FAILED
               ? -1
               : 0;
}

static void *nothing(void *context)
{
    return context;
}

static int start_thread(void)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, nothing, NULL) == 0 ? pthread_join(thread, NULL) : -1;
}

static int open_pipe(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0);
}

static int read_allowed(void)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/mail", folder);
    return open(path, O_RDONLY);
}

static int read_foreign(void)
{
    return open("/etc/passwd", O_RDONLY);
}

static int remove_foreign(void)
{
    char path[64];
    snprintf(path, sizeof(path), "%s/mail", folder);
    return unlink(path);
}

static int take_much_memory(void)
{
    return mmap(NULL, 2ul << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1
                                                                                              : 0;
}

static int dump_core(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0 ? -1 : 0;
}

// What became of the try: its signal, or one of the codes.
static int outcome(int (*try)(void), int files)
{
    struct sandbox sandbox = {.readable = {folder, "/usr", "/lib"}, .memory_max = 1ul << 30};
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        sandbox_limits(&sandbox, 64);
        if (files && sandbox_files(&sandbox) < 0)
            _exit(NO_LANDLOCK);
        if (!files && sandbox_calls() < 0)
            _exit(UNCONFINED);
        _exit(try() < 0 ? REFUSED : WORKED);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static const struct {
    const char *name;
    int (*try)(void);
    int outcome;
} tries[] = {
    {"a program", run_program, SIGSYS},
    {"a network socket", open_network, SIGSYS},
    {"a network socket of IPv6", open_network_6, SIGSYS},
    {"a raw socket", open_raw, SIGSYS},
    {"a new file", write_file, SIGSYS},
    {"a file for change", change_file, SIGSYS},
    {"a child", make_child, SIGSYS},
    {"a trace", trace, SIGSYS},
    {"a mount", mount_something, SIGSYS},
    {"a signal to others", kill_parent, SIGSYS},
    {"code that can be written", write_code, SIGSYS},
    {"a thread", start_thread, WORKED},
    {"a pipe", open_pipe, WORKED},
    {"a file for reading", read_allowed, WORKED},
    {"more memory", take_much_memory, REFUSED},
    {"a core dump", dump_core, REFUSED},
};

// Does this build confine itself? A sanitizer's does not, and says so.
static int is_confined(void)
{
    return outcome(read_allowed, 0) != UNCONFINED;
}

static void test_calls_that_examining_needs_not_kill(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(tries); i++) {
        int found = outcome(tries[i].try, 0);
        if (found != (is_confined() ? tries[i].outcome : UNCONFINED))
            fail_msg("%s: %d", tries[i].name, found);
    }
}

static void test_files_beyond_those_named_are_out_of_reach(void **state)
{
    (void)state;
    if (outcome(read_allowed, 1) == NO_LANDLOCK) { // then for all
        assert_int_equal(outcome(read_foreign, 1), NO_LANDLOCK);
        return;
    }
    assert_int_equal(outcome(read_allowed, 1), WORKED);
    assert_int_equal(outcome(read_foreign, 1), REFUSED);
    assert_int_equal(outcome(write_file, 1), REFUSED);
    assert_int_equal(outcome(remove_foreign, 1), REFUSED);
    assert_int_equal(outcome(run_program, 1), REFUSED);
}

static int start(void **state)
{
    char path[64];
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/mail", folder);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 ? -1 : close(fd);
}

static int stop(void **state)
{
    char path[64];
    (void)state;
    snprintf(path, sizeof(path), "%s/mail", folder);
    return unlink(path) < 0 || rmdir(folder) < 0 ? -1 : 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_that_examining_needs_not_kill),
        cmocka_unit_test(test_files_beyond_those_named_are_out_of_reach),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
