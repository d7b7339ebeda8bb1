// SPDX-License-Identifier: Apache-2.0
#pragma once

// The listening sockets of SMTP. Node binds them once and gives them to every ingress, so that none
// of their queues ends with one of the processes.
#include "core/base/process.h"

struct sockets {
    int fds[9]; // as node.conf names them: smtp in order, then smtps
    unsigned count;
};

// Asks the running ingresses for them; binds when none runs. Blocks: before the loop runs. 0; or -1
// with a message that names the address and the mend.
NODISCARD int sockets_open(struct sockets *self, const struct process *process, char *ret_error,
                           size_t error_size);
void sockets_close(struct sockets *self);
