// SPDX-License-Identifier: Apache-2.0
#pragma once

// What this ingress shares with all others by Redis: the greylist, and each second what clients
// spent of their rate. Without Redis both go on alone, and the metric `degraded` says so.
struct greylist;
struct limits;
struct loop;
struct settings;
struct sharing;

// Borrows greylist and limits. Never NULL.
struct sharing *sharing_new(struct loop *loop, struct greylist *greylist, struct limits *limits);
void sharing_destroy(struct sharing **self); // after the sessions
// Connects as the settings say; what stays the same is left alone.
void sharing_settings(struct sharing *self, const struct settings *settings);
