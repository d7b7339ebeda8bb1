// SPDX-License-Identifier: Apache-2.0
#pragma once

// What leaves the outbox: what every master has; and, when there is no other way, what one lacks.
// Each cut is itself an event and an alarm, never silent.
#include "node/outbox.h"

uint64_t outbox_bytes_most(const char *folder, unsigned share); // of its file system
void outbox_corrupt_folder(const char *folder, char *ret_path, size_t size);

void outbox_trim(struct journal *journal, struct producer *producer);
// Records older than 14 days, whoever lacks them.
void outbox_cut_old(struct outbox *outbox, struct producer *producer, struct journal *journal,
                    int64_t now_s);
// The oldest segment's records.
void outbox_cut_segment(struct outbox *outbox, struct journal *journal, struct producer *producer);

void outbox_note_cut(struct outbox *outbox, uint64_t from, uint64_t to);
void outbox_note_alarm(struct outbox *outbox, const char *alarm, const char *detail);
