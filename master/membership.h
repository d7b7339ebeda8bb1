// SPDX-License-Identifier: Apache-2.0
#pragma once

// Who may connect follows the documents in force: node/<name> makes a member, revoked/<key> ends
// one. So whatever brings configuration brings membership.
#include "master/master.h"

// Brings the member list and the ZAP handler's lists to what the documents say, and cuts the
// sessions of those who are no longer in. Workers are let in only once enrol_ready was called.
void membership_follow(struct master *master, const json_t *documents);
// Lets in all who may come now: after master->ready has changed.
void membership_admit(struct master *master);
// Ends what was good for a time only: keys before. Every second.
void membership_tick(struct master *master);
