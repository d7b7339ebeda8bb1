// SPDX-License-Identifier: Apache-2.0
#pragma once

// Every single damage to a small journal, one at a time: a segment cut off at each offset, each bit
// of each record flipped. Returns the number of damages tried; 0 after one that cost more than it
// may, which is printed.
unsigned long journal_spoil_all(void);
