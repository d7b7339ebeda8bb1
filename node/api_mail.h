// SPDX-License-Identifier: Apache-2.0
#pragma once

// Quarantined mails as the worker's API shows them: rows of the deliveries, and what their files
// say. Reading blocks: on the disk thread.
#include "core/base/base.h"
#include <jansson.h>

// One file's bytes.
struct api_mail {
    char id[32], day[11];
    void *bytes;
    size_t size;
};

int api_mail_read(struct api_mail *self, const char *state); // 0, or an errno
struct span api_mail_bytes(const struct api_mail *self);     // of the message alone
void api_mail_free(struct api_mail *self);

// Adds what the file's envelope says to a row with "id" and "day"; -1: the file is
// gone.
int api_mail_describe(json_t *row, const char *state);
// Rows of several deliveries about one mail become one: their states and orders together.
json_t *api_mail_merge(const json_t *rows);
