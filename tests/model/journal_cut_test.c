// SPDX-License-Identifier: Apache-2.0
// The journal against power cuts, deaths and a failing disk: journal_cut_test [--seed S]
// [--schedules N]
// [--without RULE] [--trace]. Without arguments: a short run with all rules, then each rule off,
// which must break something.
#include "tests/model/journal_seams.h"
#include "tests/model/journal_spoil.h"
#include "tests/model/journal_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SHORT_SCHEDULES = 2000, RULE_SCHEDULES = 10000 };

// A simulated SIGKILL frees nothing, as the real one.
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

static unsigned long run_many(uint64_t seed, unsigned long schedules, int without,
                              int stop_at_first)
{
    unsigned long broken = 0;
    struct journal_result sum = {0};
    for (uint64_t at = seed; at < seed + schedules; at++) {
        struct journal_result result;
        journal_world_run(at, without, 0, &result);
        sum.mails += result.mails;
        sum.kept += result.kept;
        sum.kills += result.kills;
        sum.cuts += result.cuts;
        sum.failures += result.failures;
        sum.flips += result.flips;
        if (!result.broken[0])
            continue;
        if (without < 0 || stop_at_first)
            printf("seed %lu: %s\n", (unsigned long)at, result.broken);
        broken++;
        if (stop_at_first)
            break;
    }
    if (!stop_at_first)
        printf("%lu schedules: %lu mails, %lu acknowledged, %lu deaths (%lu power cuts), %lu "
               "failures of the disk, %lu flipped bits, %lu broken\n",
               schedules, sum.mails, sum.kept, sum.kills, sum.cuts, sum.failures, sum.flips,
               broken);
    return broken;
}

static int rule_named(const char *name)
{
    for (int i = 0; i < JOURNAL_RULES; i++)
        if (strcmp(journal_rule_names[i], name) == 0)
            return i;
    fprintf(stderr, "no rule %s\n", name);
    exit(2);
}

// In a process of its own: an assertion of the code may be what notices.
static int is_caught(uint64_t seed, int rule)
{
    int status = 0;
    printf("without %s: ", journal_rule_names[rule]);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        unsigned long broken = run_many(seed, RULE_SCHEDULES, rule, 1);
        fflush(stdout);
        _exit(broken > 0);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0)
        abort();
    if (status == 0)
        printf("NOT caught\n");
    else if (!WIFEXITED(status))
        printf("an assertion fails\n");
    return status != 0;
}

static int catch_all(uint64_t seed)
{
    int missed = 0;
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    for (int rule = 0; rule < JOURNAL_RULES; rule++)
        missed |= !is_caught(seed, rule);
    return missed;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1;
    unsigned long schedules = 0;
    int without = -1, trace = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0)
            trace = 1;
        else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[++i], NULL, 10);
        else if (i + 1 < argc && strcmp(argv[i], "--schedules") == 0)
            schedules = strtoul(argv[++i], NULL, 10);
        else if (i + 1 < argc && strcmp(argv[i], "--without") == 0)
            without = rule_named(argv[++i]);
    }
    if (trace) {
        struct journal_result result;
        journal_world_run(seed, without, 1, &result);
        printf("%s\n", result.broken[0] ? result.broken : "holds");
        return result.broken[0] != 0;
    }
    if (schedules > 0)
        return (run_many(seed, schedules, without, 0) > 0) != (without >= 0);
    unsigned long damages = journal_spoil_all();
    int failed = damages == 0;
    if (!failed)
        printf("%lu cuts and flipped bits, each alone: nothing lost but what was hit, and that "
               "reported\n",
               damages);
    failed |= run_many(seed, SHORT_SCHEDULES, -1, 0) > 0;
    return failed | catch_all(seed);
}
