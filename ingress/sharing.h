// SPDX-License-Identifier: Apache-2.0
#pragma once

// What this ingress shares with all others by Redis: the greylist, and each second what clients
// spent of their rate and what their mail was like. Without Redis all go on alone, and the metric
// `degraded` says so.
struct greylist;
struct limits;
struct loop;
struct reputation;
struct settings;
struct sharing;

// Borrows them. Never NULL.
struct sharing *sharing_new(struct loop *loop, struct greylist *greylist, struct limits *limits,
                            struct reputation *reputation);
void sharing_destroy(struct sharing **self); // after the sessions
// Connects as the settings say; what stays the same is left alone.
void sharing_settings(struct sharing *self, const struct settings *settings);
