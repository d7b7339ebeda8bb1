// SPDX-License-Identifier: Apache-2.0
#pragma once

// What kind an event is, read from its packed form without unpacking it.
#include "core/base/base.h"

enum { EVENT_MOST = 512 * 1024 }; // bytes of one packed event

// The Kind of proto/event.proto; 0 for none; -1 when the bytes are not a message.
int event_kind(const void *event, size_t size);
