// SPDX-License-Identifier: Apache-2.0
// Orders about a quarantined mail in random schedules (DESIGN 10): clicks of two masters, repeated
// and stale ones, deletes, the body let go and given back, deaths between any two steps. However
// they fall, a round is delivered once (twice where a death fell between the next hop's 250 and its
// record, never more often), nothing leaves once it was told as deleted, and every order gets an
// outcome. A rule switched off must be caught.
#include "core/base/clock.h"
#include "delivery/quarantine.h"
#include "tests/unit/delivery/world.h"

#include <unistd.h>

enum { RECIPIENTS = 2, ROUNDS = 4, KEYS = 24, STEPS = 60, SCHEDULES = 150, TRIES = 80 };
#define DAY_MS ((int64_t)86400 * 1000)

// A crash abandons what was in memory, as a crash does.
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

// What goes wrong without it.
enum rule {
    RULE_NONE,
    RULE_DURABLE,      // begun and outcome are durable: a crash takes them
    RULE_KEYS_OUTLIVE, // what is known of orders outlives the body: it goes with the day
    RULE_BODY_ALONG,   // the master sends the body along: nobody does
    RULE_ONE_RETRY,    // begun without an outcome is tried once more, then `unsure`: always tried
    RULE_CLICK_FIXES,  // the click fixes the round: each time it is given it is a new one
    RULE_COUNT,
};
static const char *const rule_names[] = {"none",       "durable",   "keys-outlive-bodies",
                                         "body-along", "one-retry", "round-from-click"};

struct key {
    unsigned recipient, round; // round 0: delete
    int settled;
};

struct run {
    struct world *world;
    enum rule off;
    struct ulid id;
    char path[200], aside[200];
    struct key keys[KEYS];
    size_t key_count;
    unsigned known[2][RECIPIENTS]; // by each master: the last round whose outcome it heard
    int copies[RECIPIENTS][64], allowed[RECIPIENTS][64], accepted[RECIPIENTS][64];
    int deleted[RECIPIENTS];
    unsigned unsure; // outcomes
    char wrong[160], story[8192];
};

static void tell(struct run *run, const char *format, ...) PRINTF(2, 3);
static void tell(struct run *run, const char *format, ...)
{
    size_t at = strlen(run->story);
    va_list list;
    va_start(list, format);
    vsnprintf(run->story + at, sizeof(run->story) - at, format, list);
    va_end(list);
}

static void find_wrong(struct run *run, const char *what, unsigned recipient, unsigned round)
{
    if (!*run->wrong)
        snprintf(run->wrong, sizeof(run->wrong), "%s: r%u round %u", what, recipient, round);
}

static struct key *key_of(struct run *run, unsigned recipient, unsigned round)
{
    for (size_t i = 0; i < run->key_count; i++)
        if (run->keys[i].recipient == recipient && run->keys[i].round == round)
            return &run->keys[i];
    return NULL;
}

// -- the next hop

static void deliver(struct run *run, enum result result)
{
    struct world *world = run->world;
    if (world->delivering_count == 0)
        return;
    const struct queued *mail = world->delivering[0];
    for (size_t i = 0; i < mail->count && result == RESULT_DELIVERED; i++) {
        unsigned recipient = mail->recipients[i].index, round = mail->head->round;
        if (mail->recipients[i].state != QUEUED_OUT || round >= 64)
            continue;
        tell(run, "the next hop accepts r%u of round %u\n", recipient, round);
        run->accepted[recipient][round] = 1;
        if (!key_of(run, recipient, round))
            find_wrong(run, "delivered in a round that nobody clicked", recipient, round);
        if (run->deleted[recipient])
            find_wrong(run, "delivered after it was told as deleted", recipient, round);
        if (++run->copies[recipient][round] > 1 + (run->allowed[recipient][round] > 0))
            find_wrong(run, "a copy too many", recipient, round);
    }
    world_result(world, result);
}

static void commit(struct run *run)
{
    world_commit(run->world);
    world_acknowledge(run->world);
    world_commit(run->world);
    memset(run->accepted, 0, sizeof(run->accepted));
}

// As if tries were not counted durably.
static void forget_tries(struct world *world)
{
    for (size_t i = 0; i < world->record_count; i++) {
        struct world_record *record = &world->records[i];
        if (record->type != RECORD_ORDER)
            continue;
        Postern__KeptQuarantine *kept =
            postern__kept_quarantine__unpack(NULL, record->size, (uint8_t *)record->payload);
        assert_non_null(kept);
        for (size_t k = 0; k < kept->n_recipients; k++)
            kept->recipients[k]->tries = 0;
        size_t size;
        free(record->payload);
        record->payload = pack(&kept->base, &size);
        record->size = (uint32_t)size;
        postern__kept_quarantine__free_unpacked(kept, NULL);
    }
}

static void crash(struct run *run)
{
    tell(run, "the delivery dies and starts again\n");
    for (unsigned i = 0; i < RECIPIENTS; i++)
        for (unsigned k = 0; k < 64; k++)
            run->allowed[i][k] += run->accepted[i][k];
    memset(run->accepted, 0, sizeof(run->accepted));
    world_crash(run->world);
    if (run->off == RULE_ONE_RETRY)
        forget_tries(run->world);
    run->world->ingress_incarnation++;
    world_start(run->world);
    world_hello(run->world);
}

// -- the masters

static void click(struct run *run, unsigned master)
{
    struct world *world = run->world;
    unsigned recipient = (unsigned)(world_random(world) % RECIPIENTS);
    unsigned known = run->known[master][recipient];
    int again = world_random(world) % 3 == 0, deletes = world_random(world) % 8 == 0;
    unsigned round = deletes ? 0 : known == 0 ? 1 : known + (unsigned)again;
    if (round > ROUNDS)
        return;
    if (key_of(run, recipient, round) || run->key_count == KEYS)
        return; // the same order
    tell(run, "%s of r%u, round %u, is clicked\n", deletes ? "delete" : "release", recipient,
         round);
    run->keys[run->key_count++] = (struct key){recipient, round, 0};
}

static const char *carry(struct run *run, struct key *key)
{
    char name[64], address[32];
    snprintf(name, sizeof(name), "X|%u|%u", key->recipient, key->round);
    snprintf(address, sizeof(address), "r%u@b.example", key->recipient);
    struct span to = span_of(address);
    struct quarantine_order order = {
        .id = run->id, .key = span_of(name), .addresses = &to, .address_count = 1};
    static unsigned anew;
    order.round = run->off == RULE_CLICK_FIXES ? 10 + anew++ % 50 : key->round;
    const char *said = key->round ? quarantine_release(run->world->queue, &order)
                                  : quarantine_delete(run->world->queue, &order);
    tell(run, "order r%u round %u: %s\n", key->recipient, key->round, said);
    if (strcmp(said, "no body") == 0 && run->off != RULE_BODY_ALONG)
        (void)!rename(run->aside, run->path);
    if (strcmp(said, "deleted") == 0)
        run->deleted[key->recipient] = 1;
    key->settled |= strcmp(said, "released") == 0 || strcmp(said, "failed") == 0 ||
                    strcmp(said, "unsure") == 0 || strncmp(said, "deleted", 7) == 0;
    run->unsure += strcmp(said, "unsure") == 0;
    return said;
}

static void hear(struct run *run, unsigned master)
{
    for (size_t i = 0; i < run->key_count; i++) {
        const struct key *key = &run->keys[i];
        unsigned *known = &run->known[master][key->recipient];
        if (key->settled && key->round > *known)
            *known = key->round;
    }
}

// -- a schedule

static void let_go(struct run *run)
{
    tell(run, "the body is let go, days pass\n");
    (void)!rename(run->path, run->aside);
    run->world->now_ms += 3 * DAY_MS;
    quarantine_copy(run->world->queue, 1); // small records move on, what is outlived goes
}

// Orders are carried out, what is due leaves, and then the delivery dies: again and again.
static void die_delivering(struct run *run)
{
    for (unsigned i = 0; i < 3 && !*run->wrong; i++) {
        for (size_t k = 0; k < run->key_count; k++)
            if (!run->keys[k].settled)
                carry(run, &run->keys[k]);
        world_pass(run->world, 1000);
        while (run->world->delivering_count > 0)
            deliver(run, RESULT_DELIVERED);
        crash(run);
    }
}

static void step(struct run *run)
{
    unsigned dice = (unsigned)(world_random(run->world) % 100);
    if (dice < 20)
        click(run, dice & 1);
    else if (dice < 50 && run->key_count > 0)
        carry(run, &run->keys[world_random(run->world) % run->key_count]);
    else if (dice < 65)
        commit(run);
    else if (dice < 80)
        deliver(run, dice < 75 ? RESULT_DELIVERED : dice < 78 ? RESULT_DEFERRED : RESULT_FAILED);
    else if (dice < 90)
        crash(run);
    else if (dice < 92)
        let_go(run);
    else if (dice < 94)
        die_delivering(run);
    else if (dice < 97)
        world_pass(run->world, 60000);
    else
        hear(run, dice & 1);
}

static void settle(struct run *run)
{
    for (int i = 0; i < TRIES && !*run->wrong; i++) {
        int open = 0;
        for (size_t k = 0; k < run->key_count; k++)
            if (!run->keys[k].settled)
                open |= carry(run, &run->keys[k]) != NULL;
        commit(run);
        while (run->world->delivering_count > 0)
            deliver(run, RESULT_DELIVERED);
        commit(run);
        world_pass(run->world, 3600 * 1000);
        if (!open)
            return;
    }
    for (size_t k = 0; k < run->key_count; k++)
        if (!run->keys[k].settled)
            find_wrong(run, "an order without outcome", run->keys[k].recipient, run->keys[k].round);
}

static void begin(struct run *run, uint64_t seed, enum rule off)
{
    static const uint32_t recipients[] = {0, 1};
    char name[ULID_TEXT], day[11];
    run->world = world_new(seed);
    run->off = off;
    run->world->orders_ms = off == RULE_KEYS_OUTLIVE ? 0 : 60 * DAY_MS;
    run->world->forgets = off == RULE_DURABLE;
    run->world->queue->schedule.orders_ms = run->world->orders_ms;
    run->id = ulid_new(run->world->now_ms);
    world_job(run->world, &run->id, recipients, RECIPIENTS, POSTERN__ACTION__ACTION_QUARANTINE);
    world_commit(run->world);
    world_acknowledge(run->world);
    world_commit(run->world);
    ulid_format(&run->id, name);
    clock_format_day(run->world->now_ms, day);
    snprintf(run->path, sizeof(run->path), "%s/quarantine/%s/%s", run->world->state, day, name);
    snprintf(run->aside, sizeof(run->aside), "%s/%s", run->world->state, name);
    assert_int_equal(access(run->path, F_OK), 0);
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
    world_destroy(run->world);
}

static uint64_t schedules(void)
{
    const char *count = getenv("SCHEDULES");
    return count ? strtoull(count, NULL, 10) : SCHEDULES;
}

static void every_round_is_delivered_once_and_every_order_ends(void **state)
{
    (void)state;
    struct run *run = allocate(sizeof(*run));
    const char *only = getenv("SEED");
    uint64_t seed = only ? strtoull(only, NULL, 10) : 1, last = only ? seed : schedules();
    unsigned unsure = 0;
    for (; seed <= last; seed++) {
        run_one(run, seed, RULE_NONE);
        if (*run->wrong)
            fail_msg("seed %llu: %s\n%s", (unsigned long long)seed, run->wrong, run->story);
        unsure += run->unsure;
    }
    assert_true(only || unsure > 0); // else no schedule went that far
    free(run);
}

static void a_rule_switched_off_is_caught(void **state)
{
    (void)state;
    struct run *run = allocate(sizeof(*run));
    for (enum rule off = RULE_NONE + 1; off < RULE_COUNT; off++) {
        uint64_t seed = 1;
        for (*run->wrong = 0; seed <= SCHEDULES && !*run->wrong; seed++)
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
        cmocka_unit_test(every_round_is_delivered_once_and_every_order_ends),
        cmocka_unit_test(a_rule_switched_off_is_caught),
    };
    log_start("test", LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
