// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the mail of each client was like, by the verdicts on it. Counts lie in Redis for all
// workers, and in a bounded memory of our own. Old mail weighs less and less: counts are halved
// when they grow beyond a thousand.
#include "ingress/limits.h"

#define REPUTATION_PREFIX "postern:client:"                 // of its names in Redis
#define REPUTATION_LIFE_MS (30 * 24 * 3600 * (int64_t)1000) // there, without news

enum {
    REPUTATION_WEIGHT_MOST = 1000,
    REPUTATION_ENOUGH = 10,       // mails that tell something
    REPUTATION_GOOD_FOR_BAD = 20, // so many good ones make up for a bad one
};

enum standing {
    STANDING_UNKNOWN,
    STANDING_GOOD, // enough good mails, also for the bad ones
    STANDING_BAD,  // enough bad mails, and more than good ones
};
enum standing standing_of(int64_t good, int64_t bad);

struct reputation;
struct reputation *reputation_new(size_t most);
void reputation_destroy(struct reputation **self);
void reputation_note(struct reputation *self, const char *client, int bad);
enum standing reputation_of(struct reputation *self, const char *client);

// For the workers together: what was noted here, and what all have noted.
struct reputation_counts {
    uint8_t key[CLIENT_KEY_MOST];
    uint8_t key_size;
    int64_t good, bad;
};
// Up to `most` clients with news since they were last asked for.
size_t reputation_news(struct reputation *self, struct reputation_counts *ret, size_t most);
// All workers' word, ours up to that question included.
void reputation_learn(struct reputation *self, const struct reputation_counts *client);
