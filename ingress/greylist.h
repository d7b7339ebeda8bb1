// SPDX-License-Identifier: Apache-2.0
#pragma once

// Unknown triples of client network, sender and recipient are put off once (RFC 6647). What is
// known lies in Redis, for all workers, and in a bounded memory of our own, which decides alone
// while Redis does not answer.
#include "core/base/base.h"

struct greylist;
struct greylist_question;
struct redis;

struct greylist *greylist_new(size_t most);
void greylist_destroy(struct greylist **self);
// Asks this one from now on; NULL: nobody. Borrowed. `by_standing`: clients that all workers
// together know as good pass.
void greylist_share(struct greylist *self, struct redis *redis, int by_standing);

// 1: the triple tried before, at least `delay_s` ago; 0: it is to try again later. A triple that
// passed stays known for 36 days since its last use, one that did not come back is forgotten after
// a day.
enum greylist_answer { GREYLIST_PUT_OFF, GREYLIST_PASSES, GREYLIST_LATER };
typedef void greylist_fn(void *context, int passes);

// LATER: Redis is asked, and `fn` is called within its patience, unless ret_question is forgotten.
enum greylist_answer greylist_ask(struct greylist *self, const char *client, struct span sender,
                                  struct span recipient, unsigned delay_s, int64_t now_ms,
                                  greylist_fn *fn, void *context,
                                  struct greylist_question **ret_question);
void greylist_forget(struct greylist_question *question);
