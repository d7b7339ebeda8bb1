// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who may connect: members in the list, their keys in ZAP. The list is durable in cluster.db first.
#include "master/master.h"

void enrol_admit(struct master *master, const char *name, const char *key, const char *role);
// Revoked for good: its live sessions are cut, too.
void enrol_revoke(struct master *master, const char *name);
// At the start: everybody from cluster.db. -1: it cannot be read.
NODISCARD int enrol_load(struct master *master);
