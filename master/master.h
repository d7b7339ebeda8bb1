// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the parts of the master share. All of it belongs to the loop's thread.
#include "core/base/base.h"
#include "core/base/nodeconf.h"
#include "core/bus/keys.h"
#include "core/config/names.h"
#include "core/config/signature.h"
#include "master/members.h"
#include "master/writer.h"

struct alarms;
struct api;
struct bodies;
struct commands;
struct control;
struct compare;
struct door;
struct loop;
struct orders;
struct peer;
struct public_stream;
struct repair;
struct replicate;
struct stream;
struct timer;
struct zap;

enum { COMPARES_MOST = 2 }; // one that repairs, one that verifies

struct master {
    struct loop *loop;
    const struct nodeconf *conf;
    struct curve_keys keys;
    struct writer *writer;
    uint64_t incarnation;
    uint64_t life; // drawn at each start: what an earlier one acknowledged may be lost
    struct zap *zap;
    struct control *control;
    struct stream *events, *config;
    struct public_stream *public;
    struct members members;
    int ready;         // workers are let in
    unsigned waited_s; // for the peer
    char revision[REVISION_NAME_SIZE];
    json_t *tree;          // config_tree of the configuration in force; NULL: not yet
    struct sign_keys sign; // signs the revisions made here
    struct replicate *replicate;
    struct commands *commands;
    struct orders *orders;
    struct peer *peer;
    struct compare *compares[COMPARES_MOST]; // under way; NULL: none
    struct repair *repair;
    struct door *door;
    struct bodies *bodies;
    struct api *api;
    struct alarms *alarms;
    struct timer *timer;
    unsigned ticks;
    int damaged; // files of the record lie in state/master/corrupt: an alarm
};

// Opens everything that stands on loop, conf and the state folder. -1 with a message; master_close
// then ends what was opened.
NODISCARD int master_open(struct master *self, char *ret_error, size_t error_size);
void master_close(struct master *self);
