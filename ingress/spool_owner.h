// SPDX-License-Identifier: Apache-2.0
#pragma once

// The spool's face towards main.c.
#include "ingress/custody.h"
#include "ingress/spool.h"
#include "mail/settings.h"

// Borrows all but the settings, which it retains. `big_folder` exists.
struct spool *spool_new(struct custody *custody, struct journal *journal, struct settings *settings,
                        const char *hostname, const char *big_folder);
void spool_destroy(struct spool **self);
void spool_settings(struct spool *self, struct settings *settings);
