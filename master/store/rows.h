// SPDX-License-Identifier: Apache-2.0
#pragma once

// Rows of a day's file as JSON: what lists and single lookups have in common.
#include "master/store/reader.h"

#define MESSAGE_COLUMNS "m.id,m.node,m.message_id,m.sender,m.subject,m.received_ms,m.size,m.score"

// The statement stands on a row of MESSAGE_COLUMNS of the day that the reader has open.
json_t *message_row(struct store_reader *reader, sqlite3_stmt *row);
json_t *quarantine_row(struct store_reader *reader, sqlite3_stmt *row);
