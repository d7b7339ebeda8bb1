// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the parts of the master share. All of it belongs to the loop's thread.
#include "core/base/nodeconf.h"
#include "core/bus/keys.h"
#include "master/members.h"
#include "master/writer.h"

struct api;
struct commands;
struct control;
struct loop;
struct orders;
struct stream;
struct zap;

struct master {
    struct loop *loop;
    const struct nodeconf *conf;
    struct curve_keys keys;
    struct writer *writer;
    uint64_t incarnation;
    struct zap *zap;
    struct control *control;
    struct stream *events, *config;
    struct members members;
    char revision[24];
    char *tree; // the configuration in force, as nodes get it
    struct commands *commands;
    struct orders *orders;
    struct api *api;
};
