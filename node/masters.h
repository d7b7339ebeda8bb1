// SPDX-License-Identifier: Apache-2.0
#pragma once

// Which masters a worker serves: those that node.conf names, as it joined by them, and those that
// the configuration in force adds, moves or takes away.
#include "core/base/nodeconf.h"
#include "mail/settings.h"

// Brings conf's masters to what the settings say. One that they do not name stays until its key is
// revoked: it may only be that this tree was made without it. A pinned one keeps its addresses. 1:
// something changed.
int masters_follow(struct nodeconf *conf, const struct settings *settings);
