// SPDX-License-Identifier: Apache-2.0
#pragma once

// The Redis that the document `redis` names: its address or its Sentinels, who we are there, TLS.
struct loop;
struct redis;
struct settings;

// Connects. NULL, with the reason in the log, when the settings cannot be used.
struct redis *shared_redis_new(struct loop *loop, const struct settings *settings);
// All that the connection depends on, as one text to compare; the caller frees. NULL: no Redis is
// wanted.
char *shared_redis_text(const struct settings *settings);
