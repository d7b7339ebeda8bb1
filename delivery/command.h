// SPDX-License-Identifier: Apache-2.0
#pragma once

// Commands from node, in JSON: queue.list, queue.show, queue.retry, queue.hold, queue.delete,
// quarantine.release, quarantine.delete; for the worker's own console quarantine.list,
// quarantine.show, quarantine.order.
#include "delivery/queue.h"

// Carries the command out on these queues. The answer is JSON, from malloc; ret_failed when it was
// none of ours or wrong.
char *command_run(struct queue *const *queues, size_t count, const void *body, size_t size,
                  int *ret_failed);
