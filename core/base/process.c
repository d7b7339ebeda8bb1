// SPDX-License-Identifier: Apache-2.0
#include "core/base/process.h"
#include "core/base/log.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

struct options {
    const char *config, *state, *run, *slot, *listen_fd, *log_level;
};

struct option {
    const char *name;
    size_t offset;
};

static const struct option options[] = {
    {"--config", offsetof(struct options, config)},
    {"--state", offsetof(struct options, state)},
    {"--run", offsetof(struct options, run)},
    {"--slot", offsetof(struct options, slot)},
    {"--listen-fd", offsetof(struct options, listen_fd)},
    {"--log-level", offsetof(struct options, log_level)},
};

__attribute__((noreturn))
PRINTF(2, 3) static void fail(const char *program, const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "%s: ", program);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(EXIT_USAGE);
}

// Not getopt_long: that cannot leave options which only the program knows where they are.
// Returns how many arguments were used up: 0, 1 (--name=value) or 2.
static int take_option(const char *program, struct options *ret, int left, char **argv)
{
    for (size_t i = 0; i < ARRAY_LENGTH(options); i++) {
        size_t size = strlen(options[i].name);
        const char **field = (const char **)((char *)ret + options[i].offset);
        if (strncmp(argv[0], options[i].name, size) != 0)
            continue;
        if (argv[0][size] == '=') {
            *field = argv[0] + size + 1;
            return 1;
        }
        if (argv[0][size])
            continue;
        if (left < 2)
            fail(program, "%s needs a value", options[i].name);
        *field = argv[1];
        return 2;
    }
    return 0;
}

static struct options parse_options(const char *program, int *argc, char **argv)
{
    struct options found = {0};
    int kept = 1;
    for (int i = 1; i < *argc;) {
        int used = take_option(program, &found, *argc - i, argv + i);
        if (!used)
            argv[kept++] = argv[i++];
        i += used;
    }
    argv[kept] = NULL;
    *argc = kept;
    return found;
}

static long number_of(const char *program, const char *option, const char *text,
                      const char **ret_end)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (end == text || errno || number < 0 || number > 1 << 20)
        fail(program, "%s %s: write a number", option, text);
    *ret_end = end;
    return number;
}

static void read_numbers(struct process *self, const struct options *given)
{
    const char *at = given->slot;
    if (at) {
        self->slot = (int)number_of(self->name, "--slot", at, &at);
        if (*at)
            fail(self->name, "--slot %s: write a number", given->slot);
    }
    for (at = given->listen_fd; at && *at; at += *at == ',') {
        if (self->inherited_count == ARRAY_LENGTH(self->inherited_fds))
            fail(self->name, "--listen-fd %s: too many descriptors", given->listen_fd);
        self->inherited_fds[self->inherited_count++] =
            (int)number_of(self->name, "--listen-fd", at, &at);
        if (*at && *at != ',')
            fail(self->name, "--listen-fd %s: write numbers with commas", given->listen_fd);
    }
    self->inherited_fd = self->inherited_count ? self->inherited_fds[0] : -1;
}

static enum log_level level_of(const char *program, const char *text)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        if (!strcmp(text, names[i]))
            return (enum log_level)i;
    fail(program, "--log-level %s: write debug, info, warning or error", text);
}

// Mail and keys stand in this memory: it is nobody's to read.
static void forbid_dumps(void)
{
    const struct rlimit none = {0, 0};
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
        abort();
}

const char *process_config_path(const char *config, const char *state, char ret[256])
{
    static const char usual[] = "/etc/postern/node.conf";
    if (config)
        return config;
    snprintf(ret, 256, "%s/node.conf", state ? state : "/var/lib/postern");
    int is_usual = access(usual, F_OK) == 0 ||
                   (access(ret, F_OK) < 0 && (access("/etc/postern", W_OK) == 0 ||
                                              (errno == ENOENT && access("/etc", W_OK) == 0)));
    return is_usual ? usual : ret;
}

void process_start(struct process *self, const char *name, int *argc, char **argv)
{
    *self = (struct process){.name = name, .slot = -1, .inherited_fd = -1};
    const struct options given = parse_options(name, argc, argv);
    static char config_path[256];
    self->config_path = process_config_path(given.config, given.state, config_path);
    read_numbers(self, &given);
    forbid_dumps();
    signal(SIGPIPE, SIG_IGN);

    char error[512];
    if (nodeconf_read(&self->conf, self->config_path, given.state, given.run, error,
                      sizeof(error)) < 0)
        fail(name, "%s", error);
    self->state = self->conf.state;
    self->run = self->conf.run;
    log_start(name, level_of(name, given.log_level ? given.log_level : self->conf.log_level));
}

void process_limit_descriptors(unsigned most)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = most < limit.rlim_max ? most : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < most)
        log_warning("descriptors", "wanted=%u got=%llu", most, (unsigned long long)limit.rlim_cur);
}
