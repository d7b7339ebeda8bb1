// SPDX-License-Identifier: Apache-2.0
// The stream against randomised schedules: stream_test [--seed S] [--schedules N]
// [--without RULE[,RULE]] [--worlds BITS] [--trace] [--sizes]. Without arguments: a short run with
// all rules, then each rule off in worlds that need it, which must break something. A schedule that
// breaks is shrunk and told in words; `--sizes` tells how few steps each rule needs to break.
#include "tests/model/stream_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEDULES = 1000, SCHEDULES_WITHOUT = 3000 };

#define OFF(rule) (1u << STREAM_RULE_##rule)

// What two rules prevent, each in its way, shows when both are off: either alone must hold then.
static const struct mutation {
    unsigned without, worlds;
} mutations[] = {
    {OFF(COMMIT_FIRST), 0},
    {OFF(ALL_ACKS), 0},
    {OFF(DURABLE_FIRST), STREAM_WORLDS_RESTLESS},
    {OFF(LAST_TOLD), 0},
    {OFF(KEEP), 0},
    {OFF(PEERS), 0},
    {OFF(INCARNATION) | OFF(LIVES),
     STREAM_WORLDS_MASTER_BACK | STREAM_WORLDS_STALE | STREAM_WORLDS_APART},
    {OFF(EPOCH), STREAM_WORLDS_WORKER_BACK},
    {OFF(SETTLED), STREAM_WORLDS_WORKER_BACK | STREAM_WORLDS_RESTLESS | STREAM_WORLDS_APART},
    {OFF(OWED) | OFF(MARKS),
     STREAM_WORLDS_WORKER_BACK | STREAM_WORLDS_MET | STREAM_WORLDS_SLOW | STREAM_WORLDS_APART},
    {OFF(GREETED), STREAM_WORLDS_MASTER_BACK | STREAM_WORLDS_APART},
    {OFF(CURSORS), 0},
    {OFF(FOLLOWS_ON), 0},
    {OFF(MARKS), STREAM_WORLDS_WORKER_BACK},
    {OFF(LIVES), STREAM_WORLDS_MASTER_BACK | STREAM_WORLDS_STALE | STREAM_WORLDS_APART},
    {OFF(ACK_MARKS), STREAM_WORLDS_WORKER_BACK | STREAM_WORLDS_APART | STREAM_WORLDS_LATE},
};

static const char *names_of(unsigned without)
{
    static char names[256];
    size_t used = 0;
    names[0] = 0;
    for (unsigned rule = 0; rule < STREAM_RULES; rule++)
        if (without >> rule & 1)
            used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", used ? "," : "",
                                     stream_rule_names[rule]);
    return names;
}

static unsigned rules_named(char *names)
{
    unsigned without = 0;
    for (char *name = strtok(names, ","); name; name = strtok(NULL, ",")) {
        unsigned rule = 0;
        while (rule < STREAM_RULES && strcmp(stream_rule_names[rule], name) != 0)
            rule++;
        if (rule == STREAM_RULES) {
            fprintf(stderr, "no rule %s\n", name);
            exit(2);
        }
        without |= 1u << rule;
    }
    return without;
}

// Would it break with other rules off, too?
static int breaks_without(const struct stream_schedule *schedule, unsigned without)
{
    struct stream_schedule other = *schedule;
    struct stream_result result;
    other.without = without;
    stream_world_run(&other, &result);
    return result.broken[0] != 0;
}

// Does it need all the rules that are off to break?
static int needs_all(const struct stream_schedule *schedule)
{
    for (unsigned rule = 0; rule < STREAM_RULES; rule++)
        if (schedule->without >> rule & 1 &&
            breaks_without(schedule, schedule->without & ~(1u << rule)))
            return 0;
    return 1;
}

// The first of so many schedules that breaks, and would not with one rule fewer off; 1: `schedule`
// is it.
static int find_broken(struct stream_schedule *schedule, unsigned long schedules,
                       struct stream_result *ret)
{
    for (; schedules > 0; schedules--, schedule->seed++) {
        stream_world_run(schedule, ret);
        if (ret->broken[0] && needs_all(schedule))
            return 1;
    }
    return 0;
}

static void tell_shrunk(const struct stream_schedule *schedule)
{
    static unsigned char left_out[STEPS_MOST];
    struct stream_schedule shrunk = *schedule;
    struct stream_result result;
    unsigned left = stream_shrink(schedule, left_out);
    shrunk.left_out = left_out;
    shrunk.trace = 1;
    printf("%u steps do it:\n", left);
    stream_world_run(&shrunk, &result);
}

// Returns how many broke.
static unsigned long run_many(const struct stream_schedule *from, unsigned long schedules, int told)
{
    struct stream_schedule schedule = *from;
    struct stream_result result;
    unsigned long broken = 0, events = 0, crashes = 0, replays = 0;
    for (; schedule.seed < from->seed + schedules; schedule.seed++) {
        stream_world_run(&schedule, &result);
        events += result.events;
        crashes += result.crashes;
        replays += result.replays;
        if (!result.broken[0])
            continue;
        if (told)
            printf("seed %lu: %s\n", (unsigned long)schedule.seed, result.broken);
        if (told && broken == 0)
            tell_shrunk(&schedule);
        broken++;
    }
    printf("%lu schedules: %lu events, %lu crashes, %lu frames replayed, %lu broken\n", schedules,
           events, crashes, replays, broken);
    return broken;
}

static int is_caught(const struct mutation *mutation, uint64_t seed, int sized)
{
    static unsigned char left_out[STEPS_MOST];
    struct stream_schedule schedule = {seed, mutation->without, mutation->worlds, NULL, 0};
    struct stream_result result;
    int caught = find_broken(&schedule, SCHEDULES_WITHOUT, &result);
    printf("without %s: %s", names_of(mutation->without), caught ? "caught" : "NOT caught");
    if (caught)
        printf(" by schedule %llu: %s", (unsigned long long)(schedule.seed - seed + 1),
               result.broken);
    if (caught && sized)
        printf(", %u of %u steps do it", stream_shrink(&schedule, left_out), result.steps);
    putchar('\n');
    return caught;
}

int main(int argc, char **argv)
{
    struct stream_schedule schedule = {.seed = 1};
    unsigned long schedules = 0;
    int sized = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--trace") == 0)
            schedule.trace = 1;
        else if (strcmp(argv[i], "--sizes") == 0)
            sized = 1;
        else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0)
            schedule.seed = strtoull(argv[++i], NULL, 10);
        else if (i + 1 < argc && strcmp(argv[i], "--schedules") == 0)
            schedules = strtoul(argv[++i], NULL, 10);
        else if (i + 1 < argc && strcmp(argv[i], "--worlds") == 0)
            schedule.worlds = (unsigned)strtoul(argv[++i], NULL, 0);
        else if (i + 1 < argc && strcmp(argv[i], "--without") == 0)
            schedule.without = rules_named(argv[++i]);
    }
    if (schedule.trace) {
        struct stream_result result;
        stream_world_run(&schedule, &result);
        printf("%s\n", result.broken[0] ? result.broken : "holds");
        return result.broken[0] != 0;
    }
    if (schedules > 0)
        return (run_many(&schedule, schedules, !schedule.without) > 0) != (schedule.without != 0);
    int failed = run_many(&schedule, SCHEDULES, 1) > 0;
    for (size_t i = 0; i < ARRAY_LENGTH(mutations); i++)
        failed |= !is_caught(&mutations[i], schedule.seed, sized);
    return failed;
}
