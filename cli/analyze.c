// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// The analyzer lies beside this program.
static int find_analyzer(char *ret, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", ret, size - 1);
    if (length < 0)
        return -1;
    ret[length] = 0;
    char *slash = strrchr(ret, '/');
    if (!slash || (size_t)(slash - ret) + sizeof("/postern-analyzer") > size) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(slash, "/postern-analyzer", sizeof("/postern-analyzer"));
    return 0;
}

// The first argument that is neither an option nor an option's value; -1: none.
static int find_file(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0)
            return i;
        if (strcmp(argv[i], "--json") != 0 && !strchr(argv[i], '='))
            i++;
    }
    return -1;
}

int command_analyze(struct cli *self, int argc, char **argv)
{
    char path[PATH_MAX];
    const char *arguments[64] = {"postern-analyzer", "--one"};
    int count = 2, file = find_file(argc, argv);
    if (argc == 1 && strcmp(argv[0], "--help") == 0) {
        fputs(self->help, stdout);
        return 0;
    }
    if (file < 0 || argc > (int)ARRAY_LENGTH(arguments) - 3)
        return cli_misused(self, "it takes one FILE");
    arguments[count++] = argv[file];
    for (int i = 0; i < argc; i++)
        if (i != file)
            arguments[count++] = argv[i];
    if (find_analyzer(path, sizeof(path)) == 0)
        execv(path, (char *const *)arguments);
    fprintf(stderr, "postern: %s: %s\n", path, strerror(errno));
    return 1;
}
