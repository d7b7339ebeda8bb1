// SPDX-License-Identifier: Apache-2.0
#pragma once

// What protobuf-c unpacks with. Its own allocator makes a message that finds no memory look like one
// that cannot be read, and a record that cannot be read is passed over; this one aborts, as
// allocate() does. What was unpacked is freed with NULL, or with this.
#include <protobuf-c/protobuf-c.h>

extern ProtobufCAllocator unpack_allocator;
