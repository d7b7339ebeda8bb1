// SPDX-License-Identifier: Apache-2.0
#pragma once

// Finds the addresses of next hops, never blocking: MX, A and AAAA by libunbound on the loop.
#include "delivery/target.h"

struct resolver;

// `server` is HOST:PORT, NULL: the system's. NULL when libunbound cannot be set up.
struct resolver *resolver_new(struct loop *loop, const char *server);
void resolver_destroy(struct resolver **self); // lookups under way are forgotten
// The hosts that take mail for a domain (RFC 5321 5.1): its MX, else its own address; null MX (RFC
// 7505) is a permanent error. `fn` may be called within the call.
void resolver_find_mx(struct resolver *self, const char *domain, uint16_t port, targets_fn *fn,
                      void *context);
// The addresses of configured hops.
void resolver_find_hops(struct resolver *self, const struct settings_hop *hops, size_t count,
                        targets_fn *fn, void *context);
