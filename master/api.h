// SPDX-License-Identifier: Apache-2.0
#pragma once

// /api/v1 on run/api.sock (docs/openapi.yaml), and the probes. What can be read from the store is
// answered on the HTTP thread; what touches sockets, members or the configuration goes to the loop.
#include "master/master.h"

// Opens the socket and, where node.conf names an address, the probes. NULL with a message.
struct api *api_new(struct master *master, char *ret_error, size_t error_size);
void api_destroy(struct api **self);
void api_turned(struct api *self);    // the loop lives: each second
void api_committed(struct api *self); // new events: streams look again
