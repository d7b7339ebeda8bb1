// SPDX-License-Identifier: Apache-2.0
#pragma once

// Revisions in cluster.db: the signed bytes, a row each.
#include "core/config/revision.h"
#include <sqlite3.h>

#define CONFIG_STORE_SCHEMA                                                                        \
    "CREATE TABLE IF NOT EXISTS config_revisions(name TEXT PRIMARY KEY, packed BLOB NOT NULL)"     \
    " WITHOUT ROWID;"

// Numbered trees of older versions become revisions of this master, once. -1: logged.
NODISCARD int config_store_migrate(sqlite3 *db, const char *master, const struct sign_keys *keys);
// Each becomes the callee's. One that cannot be read is logged and left out. -1: logged.
typedef void config_store_fn(void *context, struct revision *revision);
NODISCARD int config_store_read(sqlite3 *db, config_store_fn *fn, void *context);
// All of them or none, durable. -1: logged.
NODISCARD int config_store_write(sqlite3 *db, struct revision *const *list, size_t count);
