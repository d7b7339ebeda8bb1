// SPDX-License-Identifier: Apache-2.0
#pragma once

// /metrics, /healthz and /readyz as plain HTTP. The loop lays down what they say; the HTTP
// library's thread reads it, so neither waits for the other.
#include "core/base/base.h"

struct probes;

// NULL with errno.
struct probes *probes_new(const char *address);
void probes_destroy(struct probes **self);
// Each second. Copies. `unready` NULL: ready.
void probes_tell(struct probes *self, const char *metrics, size_t size, const char *unready);
