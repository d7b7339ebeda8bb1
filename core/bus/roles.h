// SPDX-License-Identifier: Apache-2.0
#pragma once

// The one table of who may say what to whom between the nodes of a cluster. Every message on every
// cluster socket is looked up here, by the role of the key that CURVE has proven, before it is
// read.
#include "core/base/base.h"

enum role { ROLE_WORKER, ROLE_MASTER, ROLE_MONITOR };
enum { ROLE_COUNT = 3 };

// May a node of the role `from` send a message of this type (enum control_type) to one of `to`?
int role_may_send(enum role from, enum role to, unsigned type);
const char *role_name(enum role role); // "worker", "master", "monitor"
// -1: there is no such role.
int role_of(const char *name);
