// SPDX-License-Identifier: Apache-2.0
// The configuration of two masters against randomised schedules: config_test [--seed S]
// [--schedules N] [--without RULE]. Without arguments: a short run with all rules, then each rule
// off, which must break something. A schedule that breaks is shrunk and told in words.
#include "tests/model/config_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCHEDULES = 150, SCHEDULES_WITHOUT = 3000 };

static void tell(struct operation *operations, unsigned count, const char *kind)
{
    struct world *world = allocate(sizeof(*world));
    count = schedule_shrink(operations, count, kind);
    world_play(world, operations, count);
    printf("  \"%s\": %s\n%.*s", world->broken, world->how, (int)buffer_size(&world->story),
           buffer_bytes(&world->story));
    world_free(world);
    free(world);
}

// Schedules until one breaks, told if so wanted; returns whether one did.
static int run(uint64_t seed, unsigned schedules, int told)
{
    const char *rule =
        config_rule_off < 0 ? "every rule in place" : config_rule_names[config_rule_off];
    struct world *world = allocate(sizeof(*world));
    struct operation operations[OPERATIONS_MOST];
    unsigned at = 0, edits = 0;
    int broke = 0;
    for (; at < schedules && !broke; at++) {
        unsigned count = schedule_make(seed + at, operations);
        char kind[64];
        broke = !world_play(world, operations, count);
        snprintf(kind, sizeof(kind), "%s", world->broken);
        edits += world->acked_count;
        world_free(world);
        if (broke)
            printf("%s: seed %llu, schedule %u: \"%s\"\n", rule, (unsigned long long)seed + at,
                   at + 1, kind);
        if (broke && told)
            tell(operations, count, kind);
    }
    if (!broke)
        printf("%s: %u schedules, %u edits, nothing broke\n", rule, at, edits);
    free(world);
    return broke;
}

static int rule_named(const char *name)
{
    for (int i = 0; i < CONFIG_RULES; i++)
        if (strcmp(config_rule_names[i], name) == 0)
            return i;
    fprintf(stderr, "no rule %s\n", name);
    exit(2);
}

int main(int argc, char **argv)
{
    uint64_t seed = 1;
    unsigned schedules = 0;
    int without = -1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--schedules") == 0)
            schedules = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--without") == 0)
            without = rule_named(argv[i + 1]);
    }
    config_rule_off = without;
    if (schedules > 0 || without >= 0)
        return run(seed, schedules ? schedules : SCHEDULES_WITHOUT, 1) != (without >= 0);
    int failed = run(seed, SCHEDULES, 1);
    for (config_rule_off = 0; config_rule_off < CONFIG_RULES; config_rule_off++) {
        int caught = run(seed, SCHEDULES_WITHOUT, 0);
        failed |= !caught;
    }
    return failed;
}
