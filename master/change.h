// SPDX-License-Identifier: Apache-2.0
#pragma once

// A change of membership documents: made on the writer's thread of what is in force there, durable
// as one revision, then followed on the loop. Whatever looks first and writes then goes this way.
#include "master/config.h"
#include "master/master.h"

struct change;

// On the writer's thread. Returns what to change, as config_apply takes it (the caller frees it);
// NULL by change_refuse when it cannot be.
typedef json_t *change_make_fn(struct change *self, const json_t *documents);
// On the loop; the configuration is followed already. `status` 200: done.
typedef void change_done_fn(struct change *self);

struct change {
    struct writer_job job;
    struct master *master;
    json_t *arguments; // what `make` reads; owned
    change_make_fn *make;
    change_done_fn *done;
    void *context;
    const char *author;
    char comment[128];
    // What became of it.
    unsigned status;
    char error[512];
    json_t *tree;
};

// Takes arguments. `author` is borrowed until `done`.
struct change *change_new(struct master *master, json_t *arguments, change_make_fn *make,
                          change_done_fn *done, void *context);
void change_start(struct change *self); // calls `done` in any case, maybe at once
// For `make`: why it cannot be. Returns NULL.
json_t *change_refuse(struct change *self, unsigned status, const char *format, ...) PRINTF(3, 4);
const char *change_text(const struct change *self, const char *key); // of the arguments; "": none
