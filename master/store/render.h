// SPDX-License-Identifier: Apache-2.0
#pragma once

// Events as JSON for people and programs.
#include "proto/event.pb-c.h"
#include <jansson.h>

// What a peer sent as a JSON text: never NULL; what is not UTF-8, and NUL, becomes '?'.
json_t *render_bytes(const ProtobufCBinaryData *data);
json_t *render_time(int64_t wall_ms); // RFC 3339, null for 0
json_t *render_findings(const Postern__Event *event);
// One entry of a timeline; NULL when the packed event cannot be read.
json_t *render_event(const char *node, uint64_t epoch, uint64_t sequence, const void *packed,
                     size_t size);
