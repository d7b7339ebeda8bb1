// SPDX-License-Identifier: Apache-2.0
#pragma once

// Prometheus' text format (version 0.0.4) of metrics that processes tell as {"name{labels}":
// value}.
#include "core/base/buffer.h"
#include <jansson.h>

struct exposition;

struct exposition *exposition_new(void);
void exposition_destroy(struct exposition **self);
// Adds what one process told. `labels` like `stage="ingress",slot="0"`, or "", come before its own.
void exposition_add(struct exposition *self, const json_t *metrics, const char *labels);
// Writes all of it, each metric with its HELP and TYPE once.
void exposition_write(struct exposition *self, struct buffer *out);
