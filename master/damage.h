// SPDX-License-Identifier: Apache-2.0
#pragma once

// The alarm about files of the record that were found damaged. It stands while a file lies in
// state/master/corrupt: whoever has looked at them removes them, and starts the master anew.
#include "master/master.h"

#define DAMAGE_ALARM "record-damaged"

void damage_look(struct master *master); // blocks: before the loop runs
// A file was set aside: raises the alarm, and puts it into the list of events.
void damage_found(struct master *master, const struct store_damage *damage);
