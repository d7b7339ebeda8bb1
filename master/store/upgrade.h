// SPDX-License-Identifier: Apache-2.0
#pragma once

// A stream.db that an earlier version wrote, made into one of this version.
#include "core/base/base.h"
#include <sqlite3.h>

// Gives the events of the list the form in which they are published (of what the list knew of them:
// not sender and recipients, which the timelines hold), and enters what the timelines hold into an
// inventory, where there was none. In one transaction: a crash or a full disk leaves the file as it
// was. Costs nothing when the file is of this version. -1: logged.
NODISCARD int upgrade_list(sqlite3 *db, const char *folder);
