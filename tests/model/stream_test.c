// SPDX-License-Identifier: Apache-2.0
// The stream against randomised schedules: stream_test [--seed S] [--schedules N] [--without RULE]
// [--trace]. Without arguments: a short run with all rules, then each rule off, which must break
// something. The first schedule that breaks is printed in words.
#include "tests/model/stream_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEDULES = 300, SCHEDULES_WITHOUT = 5000 };

static unsigned long run_many(uint64_t seed, unsigned long schedules, int without,
                              int stop_at_first)
{
    unsigned long broken = 0, events = 0, crashes = 0, replays = 0;
    for (uint64_t at = seed; at < seed + schedules; at++) {
        struct stream_result result;
        stream_world_run(at, without, 0, &result);
        events += result.events;
        crashes += result.crashes;
        replays += result.replays;
        if (!result.broken[0])
            continue;
        if (without < 0) {
            printf("seed %lu: %s\n", (unsigned long)at, result.broken);
            if (broken == 0)
                stream_world_run(at, without, 1, &result);
        }
        broken++;
        if (stop_at_first)
            break;
    }
    if (without < 0 || !stop_at_first)
        printf("%lu schedules: %lu events, %lu crashes, %lu frames replayed, %lu broken\n",
               schedules, events, crashes, replays, broken);
    return broken;
}

// Not in the short run: 5,000 schedules are too few to miss `incarnation`, and what `owed-hello`
// prevents, the marks find out, too.
static int is_short(int rule)
{
    return rule != STREAM_RULE_INCARNATION && rule != STREAM_RULE_OWED;
}

static int rule_named(const char *name)
{
    for (int i = 0; i < STREAM_RULES; i++)
        if (strcmp(stream_rule_names[i], name) == 0)
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
        struct stream_result result;
        stream_world_run(seed, without, 1, &result);
        printf("%s\n", result.broken[0] ? result.broken : "holds");
        return result.broken[0] != 0;
    }
    if (schedules > 0)
        return (run_many(seed, schedules, without, 0) > 0) != (without >= 0);
    int failed = run_many(seed, SCHEDULES, -1, 0) > 0;
    for (int rule = 0; rule < STREAM_RULES; rule++) {
        if (!is_short(rule))
            continue;
        int caught = run_many(seed, SCHEDULES_WITHOUT, rule, 1) > 0;
        printf("without %s: %s\n", stream_rule_names[rule], caught ? "caught" : "NOT caught");
        failed |= !caught;
    }
    return failed;
}
