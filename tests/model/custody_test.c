// SPDX-License-Identifier: Apache-2.0
// Custody against randomised schedules: custody_test [--seed S] [--schedules N] [--without RULE]
// [--trace] Without arguments: a short run with all rules, then each rule off, which must break
// something.
#include "tests/model/custody_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAILS = 12, FAULTS = 8 };

// A simulated SIGKILL frees nothing, as the real one.
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

static unsigned long run_many(uint64_t seed, unsigned long schedules, int without,
                              int stop_at_first)
{
    unsigned long broken = 0, kills = 0, accepted = 0, duplicates = 0;
    for (uint64_t at = seed; at < seed + schedules; at++) {
        struct result result;
        world_run(at, MAILS, FAULTS, without, 0, &result);
        kills += result.kills;
        accepted += result.accepted;
        duplicates += result.duplicates;
        if (!result.broken[0])
            continue;
        if (without < 0)
            printf("seed %lu: %s\n", (unsigned long)at, result.broken);
        broken++;
        if (stop_at_first)
            break;
    }
    if (without < 0)
        printf("%lu schedules: %lu accepted, %lu kills, %lu allowed repeats, %lu broken\n",
               schedules, accepted, kills, duplicates, broken);
    return broken;
}

static int rule_named(const char *name)
{
    for (int i = 0; i < RULES; i++)
        if (strcmp(rule_names[i], name) == 0)
            return i;
    fprintf(stderr, "no rule %s\n", name);
    exit(2);
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
        struct result result;
        world_run(seed, MAILS, FAULTS, without, 1, &result);
        printf("%s\n", result.broken[0] ? result.broken : "holds");
        return result.broken[0] != 0;
    }
    if (schedules > 0)
        return (run_many(seed, schedules, without, 0) > 0) != (without >= 0);
    int failed = run_many(seed, 1000, -1, 0) > 0;
    for (int rule = 0; rule < RULES; rule++) {
        int caught = run_many(seed, 3000, rule, 1) > 0;
        printf("without %s: %s\n", rule_names[rule], caught ? "caught" : "NOT caught");
        failed |= !caught;
    }
    return failed;
}
