// SPDX-License-Identifier: Apache-2.0
#pragma once

// One line per event: time, level, process, event, then key=value pairs, spool id first.
// A writer thread owns stderr; a full ring drops lines and counts them. Peer strings go through
// log_escape. Never content, never credentials.
#include "core/base/base.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERROR };

void log_start(const char *process, enum log_level least); // starts the writer thread
void log_stop(void);                                       // flushes; lines after it are written at once
void log_write(enum log_level level, const char *event, const char *format, ...) PRINTF(3, 4);

#define log_debug(event, ...) log_write(LOG_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...) log_write(LOG_INFO, event, __VA_ARGS__)
#define log_warning(event, ...) log_write(LOG_WARNING, event, __VA_ARGS__)
#define log_error(event, ...) log_write(LOG_ERROR, event, __VA_ARGS__)

// Printable ASCII without quotes, blanks and '=' stays, the rest becomes \xHH; cut at the size.
// Returns ret_text.
const char *log_escape(const void *data, size_t size, char *ret_text, size_t text_size);
