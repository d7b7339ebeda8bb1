// SPDX-License-Identifier: Apache-2.0
#include "core/bus/body.h"

#include <errno.h>

// Which of them the receiver takes, and from whom, its role table says.
enum { TYPE_MOST = 79 };
static const uint8_t published_first = 32, published_last = 39;

int body_published(const struct body *self)
{
    return (uint8_t)self->type >= published_first && (uint8_t)self->type <= published_last;
}

int body_read(zmq_msg_t *part, struct body *ret)
{
    const uint8_t *data = zmq_msg_data(part);
    size_t size = zmq_msg_size(part);
    if (size == 0 || data[0] == 0 || data[0] > TYPE_MOST) {
        errno = EBADMSG;
        return -1;
    }
    *ret = (struct body){(enum control_type)data[0], size - 1, data + 1};
    return 0;
}

int body_pack(zmq_msg_t *ret, enum control_type type, const ProtobufCMessage *message, size_t most)
{
    size_t size = 1 + protobuf_c_message_get_packed_size(message);
    if (size > most) {
        errno = EMSGSIZE;
        return -1;
    }
    if (zmq_msg_init_size(ret, size) < 0)
        return -1;
    uint8_t *data = zmq_msg_data(ret);
    data[0] = (uint8_t)type;
    protobuf_c_message_pack(message, data + 1);
    return 0;
}
