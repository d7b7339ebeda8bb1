// SPDX-License-Identifier: Apache-2.0
// The queue under randomised schedules: mails are given, answered, deferred and refused while the
// process dies at any moment with some of its unsynced records, and an ingress gives again whatever
// is not claimed. In the end every recipient has ended exactly once, and was delivered twice only
// where a delivery died with a 250 in hand.
#include "tests/unit/delivery/world.h"

enum { MAILS = 3, RECIPIENTS = 2, STEPS = 120, SCHEDULES = 3000 };
enum { OURS = 0xff }; // first byte of the mails' names; those of notifications begin with the time

// A crash abandons what was in memory, as a crash does.
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

struct fate {
    int done;     // ingress has this outcome durably: its custody ended so
    int accepted; // times that the next hop took it
    int windows;  // times that a delivery died with a 250 whose record was not durable
    int in_hand;  // such a 250 is in hand now
    int notified; // notifications that left about it
};

struct schedule_run {
    struct world *world;
    uint64_t seed;
    struct fate fates[MAILS][RECIPIENTS];
    int given[MAILS]; // ingress believes that the delivery has it
};

static struct ulid name(unsigned number)
{
    struct ulid id = {{0}};
    id.bytes[0] = OURS;
    id.bytes[15] = (uint8_t)number;
    return id;
}

static struct fate *fate_of(struct schedule_run *run, const uint8_t *id, uint32_t recipient)
{
    if (id[0] != OURS || id[15] >= MAILS || recipient >= RECIPIENTS)
        return NULL;
    return &run->fates[id[15]][recipient];
}

// Ingress reads what was told and makes it durable.
static void note(struct schedule_run *run)
{
    struct world *world = run->world;
    for (size_t i = 0; i < world->outcome_count; i++) {
        struct fate *fate = fate_of(run, world->outcomes[i].id.bytes, world->outcomes[i].recipient);
        if (!fate->done)
            fate->done = world->outcomes[i].disposition;
        if (fate->done == POSTERN__DISPOSITION__DISPOSITION_DELIVERED)
            fate->in_hand = 0;
    }
}

// So it does, and acknowledges; or that is lost.
static void hear(struct schedule_run *run)
{
    struct world *world = run->world;
    note(run);
    if (world_random(world) & 1)
        world_acknowledge(world);
    world->outcome_count = 0;
}

static int held(const struct world *world, const struct ulid *id, uint32_t recipient)
{
    for (size_t i = 0; i < world->holding_count; i++)
        if (memcmp(world->holding[i].id.bytes, id->bytes, ULID_SIZE) == 0 &&
            world->holding[i].recipient == recipient)
            return 1;
    return 0;
}

// Gives what has not ended and is not claimed by the report.
static void give(struct schedule_run *run)
{
    struct world *world = run->world;
    world_hello(world);
    for (unsigned mail = 0; mail < MAILS; mail++) {
        struct ulid id = name(mail);
        uint32_t wanted[RECIPIENTS];
        size_t count = 0;
        for (uint32_t i = 0; i < RECIPIENTS; i++)
            if (!run->fates[mail][i].done && !held(world, &id, i))
                wanted[count++] = i;
        if (count > 0)
            world_job(world, &id, wanted, count, POSTERN__ACTION__ACTION_ACCEPT);
    }
}

static void answer(struct schedule_run *run, enum result result)
{
    struct world *world = run->world;
    if (world->delivering_count == 0)
        return;
    const struct queued *mail = world->delivering[0];
    int notice = mail->envelope->reverse_path.len == 0;
    for (size_t i = 0; i < mail->count && result == RESULT_DELIVERED && !notice; i++) {
        struct fate *fate = fate_of(run, mail->id.bytes, mail->recipients[i].index);
        if (mail->recipients[i].state != QUEUED_OUT)
            continue;
        if (++fate->accepted > 1 + fate->windows)
            fail_msg("seed %llu: a second copy, and no delivery died with a 250 in hand",
                     (unsigned long long)run->seed);
        fate->in_hand = 1;
    }
    world_result(world, notice && result == RESULT_FAILED ? RESULT_DELIVERED : result);
}

static void crash(struct schedule_run *run)
{
    struct world *world = run->world;
    for (unsigned i = 0; i < MAILS * RECIPIENTS; i++) {
        struct fate *fate = &run->fates[i / RECIPIENTS][i % RECIPIENTS];
        fate->windows += fate->in_hand;
        fate->in_hand = 0;
    }
    world_crash(world);
    world_start(world);
}

// What is durable now is no window any more: ingress's done, or our own record of a retry.
static void commit(struct schedule_run *run)
{
    world_commit(run->world);
    hear(run);
    for (unsigned i = 0; i < MAILS * RECIPIENTS; i++) {
        struct fate *fate = &run->fates[i / RECIPIENTS][i % RECIPIENTS];
        if (fate->done == POSTERN__DISPOSITION__DISPOSITION_DEFERRED)
            fate->in_hand = 0;
    }
}

static void step(struct schedule_run *run)
{
    struct world *world = run->world;
    switch (world_random(world) % 10) {
    case 0:
        crash(run);
        break;
    case 1:
    case 2:
        give(run);
        break;
    case 3:
        answer(run, RESULT_DELIVERED);
        break;
    case 4:
        answer(run, RESULT_DEFERRED);
        break;
    case 5:
        answer(run, RESULT_FAILED);
        break;
    case 6:
        world->now_ms += 600000;
        queue_tick(world->queue);
        break;
    case 7:
        queue_flush(world->queue);
        hear(run);
        break;
    default:
        commit(run);
        break;
    }
}

// No more faults: everything has to come to its end.
static void settle(struct schedule_run *run)
{
    struct world *world = run->world;
    for (int i = 0; i < 40; i++) {
        give(run);
        while (world->delivering_count > 0)
            answer(run, RESULT_DELIVERED);
        world_commit(world);
        note(run);
        world_acknowledge(world);
        world->now_ms += 5000; // what was heard without an acknowledgement is told again
        world_hello(world);
        hear(run);
        world_pass(world, 600000);
    }
    world_hello(world);
    note(run);
    world_acknowledge(world);
    world_commit(world);
}

static void check(struct schedule_run *run, uint64_t seed)
{
    struct world *world = run->world;
    for (unsigned i = 0; i < MAILS * RECIPIENTS; i++) {
        const struct fate *fate = &run->fates[i / RECIPIENTS][i % RECIPIENTS];
        int good = fate->done && (fate->done != POSTERN__DISPOSITION__DISPOSITION_DELIVERED ||
                                  fate->accepted > 0);
        if (!good)
            fail_msg("seed %llu: mail %u: done %d, accepted %d", (unsigned long long)seed, i,
                     fate->done, fate->accepted);
    }
    if (!queue_empty(world->queue) || world_live(world) > 0)
        fail_msg("seed %llu: %zu claims, %zu held, %zu records stay", (unsigned long long)seed,
                 queue_claims(world->queue), queue_held(world->queue), world_live(world));
}

// Each terminal record makes one event, once the books are closed: counted over what was ever
// durable.
static void count_ends(const struct world *world, int ends[MAILS][RECIPIENTS])
{
    for (size_t i = 0; i < world->record_count; i++) {
        const struct world_record *record = &world->records[i];
        if (record->type != RECORD_ENDED || !record->was_durable)
            continue;
        Postern__Event *event =
            postern__event__unpack(NULL, record->size, (const uint8_t *)record->payload);
        for (size_t j = 0; j < event->n_recipients; j++)
            if (event->id.data[0] == OURS && event->id.data[15] < MAILS)
                ends[event->id.data[15]][event->recipients[j]->recipient]++;
        postern__event__free_unpacked(event, NULL);
    }
}

static void check_events(struct schedule_run *run, uint64_t seed)
{
    int ends[MAILS][RECIPIENTS] = {{0}};
    count_ends(run->world, ends);
    for (unsigned i = 0; i < MAILS * RECIPIENTS; i++) {
        const struct fate *fate = &run->fates[i / RECIPIENTS][i % RECIPIENTS];
        int wanted = fate->done != POSTERN__DISPOSITION__DISPOSITION_DELIVERED;
        if (ends[i / RECIPIENTS][i % RECIPIENTS] != wanted)
            fail_msg("seed %llu: mail %u ended as %d with %d records of its end",
                     (unsigned long long)seed, i, fate->done, ends[i / RECIPIENTS][i % RECIPIENTS]);
    }
}

static void test_schedules(void **state)
{
    (void)state;
    const char *only = getenv("SEED"), *count = getenv("SCHEDULES");
    uint64_t seed = only ? strtoull(only, NULL, 10) : 1;
    uint64_t last = only ? seed : count ? strtoull(count, NULL, 10) : SCHEDULES;
    for (; seed <= last; seed++) {
        struct schedule_run run = {.world = world_new(seed), .seed = seed};
        for (int i = 0; i < STEPS; i++)
            step(&run);
        settle(&run);
        check(&run, seed);
        check_events(&run, seed);
        world_destroy(run.world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_schedules)};
    log_start("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
