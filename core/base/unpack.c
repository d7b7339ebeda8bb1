// SPDX-License-Identifier: Apache-2.0
#include "core/base/unpack.h"
#include "core/base/base.h"
#include <stdlib.h>

// Not zeroed: messages hold whole bodies.
static void *unpack_allocate(void *context, size_t size)
{
    (void)context;
    return reallocate(NULL, size);
}

static void unpack_free(void *context, void *memory)
{
    (void)context;
    free(memory);
}

ProtobufCAllocator unpack_allocator = {unpack_allocate, unpack_free, NULL};
