// SPDX-License-Identifier: Apache-2.0
#pragma once

// The part of a message between node and master that carries the content: a type byte, then packed
// protobuf.
#include "core/bus/control.h"
#include <zmq.h>

struct body {
    enum control_type type;
    size_t size;
    const uint8_t *data; // borrowed from the part
};

int body_published(const struct body *self); // of a type that only PUB and SUB carry
// 0, or -1 when it is empty or of a type that there cannot be.
NODISCARD int body_read(zmq_msg_t *part, struct body *ret);
// 0, or -1 with EMSGSIZE when it would be over `most` bytes. The caller sends or closes `ret`.
NODISCARD int body_pack(zmq_msg_t *ret, enum control_type type, const ProtobufCMessage *message,
                        size_t most);
