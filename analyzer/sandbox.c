// SPDX-License-Identifier: Apache-2.0
#include "analyzer/sandbox.h"
#include "core/base/log.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static void limit(int resource, rlim_t most)
{
    struct rlimit now;
    if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
        return;
    if (most < now.rlim_max)
        now.rlim_max = most;
    if (now.rlim_cur > now.rlim_max)
        now.rlim_cur = now.rlim_max;
    if (setrlimit((__rlimit_resource_t)resource, &now) < 0)
        log_warning("sandbox.limit", "resource=%d errno=%d", resource, errno);
}

void sandbox_limits(const struct sandbox *self, unsigned descriptors)
{
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        log_warning("sandbox.dumpable", "errno=%d", errno);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, descriptors);
    if (!SANITIZED) // a sanitizer's shadow is larger than any machine
        limit(RLIMIT_AS, self->memory_max);
}

// -- files

enum {
    READS = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    WRITES = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
             LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR |
             LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
             LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
             LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM,
    OF_FILES = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE,
};

// A path that is not there needs no rule.
static int allow(int rules, const char *path, uint64_t access)
{
    struct landlock_path_beneath_attr beneath = {.allowed_access = access};
    struct stat status;
    beneath.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (beneath.parent_fd < 0)
        return errno == ENOENT ? 0 : -1;
    if (fstat(beneath.parent_fd, &status) == 0 && !S_ISDIR(status.st_mode))
        beneath.allowed_access &= OF_FILES;
    long rc = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
    close(beneath.parent_fd);
    return (int)rc;
}

static int allow_all(int rules, const char *const *paths, uint64_t access)
{
    for (size_t i = 0; i < SANDBOX_PATHS && paths[i]; i++)
        if (allow(rules, paths[i], access) < 0)
            return -1;
    return 0;
}

int sandbox_files(const struct sandbox *self)
{
    struct landlock_ruleset_attr handled = {.handled_access_fs =
                                                WRITES | LANDLOCK_ACCESS_FS_EXECUTE};
    if (SANITIZED)
        return -1;
    if (self->readable[0])
        handled.handled_access_fs |= READS;
    int rules = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);
    if (rules < 0)
        return -1;
    int rc = allow_all(rules, self->readable, READS & handled.handled_access_fs);
    if (rc == 0)
        rc = allow_all(rules, self->writable, (READS | WRITES) & handled.handled_access_fs);
    if (rc == 0)
        rc = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (rc == 0)
        rc = (int)syscall(SYS_landlock_restrict_self, rules, 0);
    close(rules);
    return rc;
}

// -- system calls

// Nobody who examines mail has a use for these.
static const char *const forbidden[] = {
    "execve",
    "execveat",
    "fork",
    "vfork",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_getfd",
    "pidfd_send_signal",
    "kill",
    "tkill",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "move_mount",
    "fsopen",
    "fsmount",
    "open_tree",
    "mount_setattr",
    "unshare",
    "setns",
    "bpf",
    "perf_event_open",
    "keyctl",
    "add_key",
    "request_key",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "reboot",
    "swapon",
    "swapoff",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "open_by_handle_at",
    "mknod",
    "mknodat",
    "creat",
    "truncate",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "rename",
    "renameat",
    "renameat2",
    "chmod",
    "fchmod",
    "fchmodat",
    "chown",
    "fchown",
    "lchown",
    "fchownat",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "setuid",
    "setgid",
    "setreuid",
    "setregid",
    "setresuid",
    "setresgid",
    "setgroups",
    "setfsuid",
    "setfsgid",
    "capset",
    "personality",
    "memfd_create",
    "acct",
    "quotactl",
    "settimeofday",
    "clock_settime",
    "adjtimex",
    "sethostname",
    "setdomainname",
    "iopl",
    "ioperm",
};

static int forbid_all(scmp_filter_ctx filter)
{
    for (size_t i = 0; i < ARRAY_LENGTH(forbidden); i++) {
        int call = seccomp_syscall_resolve_name(forbidden[i]);
        if (call == __NR_SCMP_ERROR)
            continue; // this machine's kind has it not
        if (seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, call, 0) < 0)
            return -1;
    }
    return 0;
}

static int forbid_writing(scmp_filter_ctx filter, int call, unsigned flags)
{
    static const scmp_datum_t ways[][2] = {
        {O_ACCMODE, O_WRONLY}, {O_ACCMODE, O_RDWR}, {O_CREAT, O_CREAT}};
    for (size_t i = 0; i < ARRAY_LENGTH(ways); i++)
        if (seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, call, 1,
                             SCMP_CMP(flags, SCMP_CMP_MASKED_EQ, ways[i][0], ways[i][1])) < 0)
            return -1;
    return 0;
}

// Calls that are allowed with some arguments only.
static int forbid_some(scmp_filter_ctx filter)
{
    const scmp_datum_t writable_code = PROT_WRITE | PROT_EXEC;
    if (forbid_writing(filter, SCMP_SYS(open), 1) < 0 ||
        forbid_writing(filter, SCMP_SYS(openat), 2) < 0 ||
        seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(socket), 1,
                         SCMP_A0(SCMP_CMP_NE, AF_UNIX)) < 0 ||
        seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(clone), 1,
                         SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)) < 0 ||
        seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(mmap), 1,
                         SCMP_A2(SCMP_CMP_MASKED_EQ, writable_code, writable_code)) < 0 ||
        seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(mprotect), 1,
                         SCMP_A2(SCMP_CMP_MASKED_EQ, writable_code, writable_code)) < 0)
        return -1;
    // What they are asked for lies in memory, out of the filter's sight: the C library then takes
    // the calls above.
    return seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) < 0 ||
                   seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2), 0) < 0
               ? -1
               : 0;
}

int sandbox_calls(void)
{
    if (SANITIZED)
        return -1;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter)
        return -1;
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (rc == 0)
        rc = forbid_all(filter);
    if (rc == 0)
        rc = forbid_some(filter);
    if (rc == 0)
        rc = seccomp_load(filter); // sets no_new_privs as well
    seccomp_release(filter);
    if (rc < -1)
        errno = -rc;
    return rc < 0 ? -1 : 0;
}
