// SPDX-License-Identifier: Apache-2.0
#pragma once

// Wall clock and monotonic clock. Cores without I/O take times as arguments instead.
#include <stdint.h>

int64_t clock_wall_ms(void);
int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);
void clock_format_rfc5322(int64_t wall_ms, char ret_text[40]); // "Mon, 23 Nov 2026 23:49:57 +0000"
void clock_format_rfc3339(int64_t wall_ms, char ret_text[40]);
void clock_format_day(int64_t wall_ms, char ret_text[11]); // local time zone, YYYY-MM-DD
