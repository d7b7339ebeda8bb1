// SPDX-License-Identifier: Apache-2.0
#pragma once

// Brings mails to their next hops: groups recipients by destination, keeps connections to each
// within its limits, hands the results back to the mail's queue.
#include "delivery/queue.h"

struct loop;
struct settings;
struct deliverer;

// Retains the settings. NULL when TLS cannot be set up, with a sentence in ret_error.
struct deliverer *deliverer_new(struct loop *loop, struct settings *settings, const char *hostname,
                                char *ret_error, size_t error_size);
void deliverer_destroy(struct deliverer **self);
void deliverer_settings(struct deliverer *self, struct settings *settings);
// queue_ops.deliver. Results come later or within the call.
void deliverer_deliver(struct deliverer *self, struct queued *mail);
size_t deliverer_busy(const struct deliverer *self); // transactions under way or waiting
size_t deliverer_connections(const struct deliverer *self);
