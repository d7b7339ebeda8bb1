// SPDX-License-Identifier: Apache-2.0
// A quarantined mail goes over from its owner to another worker, in random schedules against two
// real queues (DESIGN 10): two masters that know of the takeover or not yet, the owner's own
// console, deaths on both sides between any two steps. However they fall, a round is delivered once
// (twice where a death fell between the next hop's 250 and its record), by one of them, and ends.
#include "core/base/clock.h"
#include "delivery/quarantine.h"
#include "tests/unit/delivery/world.h"

#include <sys/stat.h>
#include <unistd.h>

enum { OWNER, TAKER, WORKERS, MASTERS = 2, ROUNDS = 3, STEPS = 40, SCHEDULES = 150, TRIES = 60 };

// A crash abandons what was in memory, as a crash does.
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

// What goes wrong without it.
enum rule {
    RULE_NONE,
    RULE_FENCE_DURABLE,   // a crash takes the owner's fence
    RULE_WAITS_FOR_BEGUN, // a master does not wait until the owner has ended what it began
    RULE_OWNER_FIRST,     // a master does not ask the owner at all
    RULE_COUNT,
};
static const char *const rule_names[] = {"none", "fence-durable", "waits-for-begun", "owner-first"};

struct run {
    struct world *worlds[WORKERS];
    enum rule off;
    struct ulid id;
    char paths[WORKERS][200], day[11];
    int knows[MASTERS];               // of the takeover
    int follows[MASTERS][ROUNDS + 1]; // the owner's word about that order
    unsigned rounds;                  // clicked
    int ended[ROUNDS + 1], copies[ROUNDS + 1], window[ROUNDS + 1], accepted[WORKERS][ROUNDS + 1];
    int by_taker;
    char wrong[160];
};

static unsigned dice(struct run *run, unsigned sides)
{
    return (unsigned)(world_random(run->worlds[OWNER]) % sides);
}

// -- the workers

static void deliver(struct run *run, unsigned worker, enum result result)
{
    struct world *world = run->worlds[worker];
    if (world->delivering_count == 0)
        return;
    const struct queued *mail = world->delivering[0];
    unsigned round = mail->head->round;
    if (mail->recipients[0].state == QUEUED_OUT && result == RESULT_DELIVERED) {
        run->accepted[worker][round] = 1;
        run->by_taker += worker == TAKER;
        if (++run->copies[round] > 1 + (run->window[round] > 0))
            snprintf(run->wrong, sizeof(run->wrong), "a copy too many of round %u", round);
    }
    world_result(world, result);
}

static void commit(struct run *run, unsigned worker)
{
    struct world *world = run->worlds[worker];
    world_commit(world);
    world_acknowledge(world);
    world_commit(world);
    memset(run->accepted[worker], 0, sizeof(run->accepted[worker]));
}

static void pass(struct run *run, unsigned worker)
{
    world_pass(run->worlds[worker], 60000);
    memset(run->accepted[worker], 0, sizeof(run->accepted[worker]));
}

static void forget_fences(struct world *world)
{
    for (size_t i = 0; i < world->record_count; i++) {
        struct world_record *record = &world->records[i];
        if (record->type != RECORD_ORDER)
            continue;
        Postern__KeptQuarantine *kept =
            postern__kept_quarantine__unpack(NULL, record->size, (uint8_t *)record->payload);
        assert_non_null(kept);
        free(kept->fence.data);
        kept->fence = (ProtobufCBinaryData){0, NULL};
        size_t size;
        free(record->payload);
        record->payload = pack(&kept->base, &size);
        record->size = (uint32_t)size;
        postern__kept_quarantine__free_unpacked(kept, NULL);
    }
}

static void start(struct run *run, unsigned worker)
{
    struct world *world = run->worlds[worker];
    world_start(world);
    world->queue->slot = worker == TAKER ? 0 : WORLD_SLOT;
    world_hello(world);
}

static void crash(struct run *run, unsigned worker)
{
    struct world *world = run->worlds[worker];
    for (unsigned round = 1; round <= ROUNDS; round++)
        run->window[round] += run->accepted[worker][round];
    memset(run->accepted[worker], 0, sizeof(run->accepted[worker]));
    world_crash(world);
    if (run->off == RULE_FENCE_DURABLE)
        forget_fences(world);
    world->ingress_incarnation++;
    start(run, worker);
}

// -- orders

static void give_body(const struct run *run)
{
    char folder[200];
    struct span head = {run->worlds[OWNER]->spooled, run->worlds[OWNER]->spooled_size};
    snprintf(folder, sizeof(folder), "%s/quarantine", run->worlds[TAKER]->state);
    (void)!mkdir(folder, 0700);
    *strrchr(strcpy(folder, run->paths[TAKER]), '/') = 0;
    (void)!mkdir(folder, 0700);
    FILE *file = fopen(run->paths[TAKER], "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(head.data, 1, head.size, file), head.size);
    fclose(file);
}

static const char *order(struct run *run, unsigned worker, unsigned round, const char *fence)
{
    char key[32];
    struct span to = span_of("r0@b.example");
    snprintf(key, sizeof(key), "X|0|%u", round);
    struct quarantine_order given = {.id = run->id,
                                     .key = span_of(key),
                                     .addresses = &to,
                                     .address_count = 1,
                                     .round = round,
                                     .fence = span_of(fence),
                                     .adopts = worker == TAKER,
                                     .day = span_of(run->day)};
    return quarantine_release(run->worlds[worker]->queue, &given);
}

static void carry(struct run *run, unsigned master, unsigned round)
{
    int follows =
        run->follows[master][round] || (run->off == RULE_OWNER_FIRST && run->knows[master]);
    unsigned worker = follows ? TAKER : OWNER;
    const char *said = order(run, worker, round, run->knows[master] && !follows ? "worker-2" : "");
    if (strcmp(said, "no body") == 0)
        give_body(run);
    if (strcmp(said, "fenced worker-2") == 0 ||
        (run->off == RULE_WAITS_FOR_BEGUN && run->knows[master] && strcmp(said, "pending") == 0))
        run->follows[master][round] = 1;
    run->ended[round] |=
        strcmp(said, "released") == 0 || strcmp(said, "failed") == 0 || strcmp(said, "unsure") == 0;
}

// -- a schedule

static void step(struct run *run)
{
    unsigned what = dice(run, 100), worker = dice(run, WORKERS), master = dice(run, MASTERS);
    unsigned round = run->rounds ? 1 + dice(run, run->rounds) : 0;
    if (what < 12 && run->rounds < ROUNDS && (run->rounds == 0 || run->ended[run->rounds]))
        run->rounds++;
    else if (what < 42 && round)
        carry(run, master, round);
    else if (what < 46 && round)
        (void)order(run, OWNER, round, ""); // on its own console
    else if (what < 52)
        run->knows[master] = 1;
    else if (what < 64)
        commit(run, worker);
    else if (what < 76)
        pass(run, worker);
    else if (what < 90)
        deliver(run, worker, what < 86 ? RESULT_DELIVERED : RESULT_DEFERRED);
    else
        crash(run, worker);
}

static void settle(struct run *run)
{
    int open = 1;
    memset(run->knows, 1, sizeof(run->knows));
    for (int i = 0; i < TRIES && open && !*run->wrong; i++) {
        open = 0;
        for (unsigned round = 1; round <= run->rounds; round++)
            for (unsigned master = 0; master < MASTERS && !run->ended[round]; master++)
                carry(run, master, round);
        for (unsigned worker = 0; worker < WORKERS; worker++) {
            commit(run, worker);
            while (run->worlds[worker]->delivering_count > 0)
                deliver(run, worker, RESULT_DELIVERED);
            commit(run, worker);
            world_pass(run->worlds[worker], 3600 * 1000);
        }
        for (unsigned round = 1; round <= run->rounds; round++)
            open |= !run->ended[round];
    }
    if (open && !*run->wrong)
        snprintf(run->wrong, sizeof(run->wrong), "an order without outcome");
}

static void begin(struct run *run, uint64_t seed, enum rule off)
{
    static const uint32_t recipients[] = {0};
    char name[ULID_TEXT];
    run->off = off;
    for (unsigned worker = 0; worker < WORKERS; worker++) {
        struct world *world = run->worlds[worker] = world_new(seed + worker);
        world->orders_ms = world->queue->schedule.orders_ms = (int64_t)60 * 86400 * 1000;
    }
    run->worlds[TAKER]->queue->slot = 0;
    run->id = ulid_new(run->worlds[OWNER]->now_ms);
    world_job(run->worlds[OWNER], &run->id, recipients, 1, POSTERN__ACTION__ACTION_QUARANTINE);
    commit(run, OWNER);
    ulid_format(&run->id, name);
    clock_format_day(run->worlds[OWNER]->now_ms, run->day);
    for (unsigned worker = 0; worker < WORKERS; worker++)
        snprintf(run->paths[worker], sizeof(run->paths[worker]), "%s/quarantine/%s/%s",
                 run->worlds[worker]->state, run->day, name);
}

// One schedule; what went wrong, or "".
static void run_one(struct run *run, uint64_t seed, enum rule off)
{
    memset(run, 0, sizeof(*run));
    begin(run, seed, off);
    for (int i = 0; i < STEPS && !*run->wrong; i++)
        step(run);
    if (!*run->wrong)
        settle(run);
    for (unsigned worker = 0; worker < WORKERS; worker++)
        world_destroy(run->worlds[worker]);
}

static void every_round_is_delivered_once_by_one_of_them(void **state)
{
    (void)state;
    struct run *run = allocate(sizeof(*run));
    const char *count = getenv("SCHEDULES");
    uint64_t last = count ? strtoull(count, NULL, 10) : SCHEDULES;
    int by_taker = 0;
    for (uint64_t seed = 1; seed <= last; seed++) {
        run_one(run, seed, RULE_NONE);
        if (*run->wrong)
            fail_msg("seed %llu: %s", (unsigned long long)seed, run->wrong);
        by_taker += run->by_taker;
    }
    assert_true(by_taker > 0);
    free(run);
}

static void a_rule_switched_off_is_caught(void **state)
{
    (void)state;
    struct run *run = allocate(sizeof(*run));
    for (enum rule off = RULE_NONE + 1; off < RULE_COUNT; off++) {
        uint64_t seed = 1;
        for (*run->wrong = 0; seed <= 4 * SCHEDULES && !*run->wrong; seed++)
            run_one(run, seed, off);
        if (!*run->wrong)
            fail_msg("nothing goes wrong without %s", rule_names[off]);
        printf("without %s: %s (seed %llu)\n", rule_names[off], run->wrong,
               (unsigned long long)seed - 1);
    }
    free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_round_is_delivered_once_by_one_of_them),
        cmocka_unit_test(a_rule_switched_off_is_caught),
    };
    log_start("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
