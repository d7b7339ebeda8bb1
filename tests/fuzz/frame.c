// SPDX-License-Identifier: Apache-2.0
#include "core/bus/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Every byte of every record is read, and no record reaches out of the frame.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span frame = {(const char *)data, size};
    struct frame_record record;
    volatile uint8_t sum = 0;
    while (frame_next(&frame, &record) == FRAME_RECORD)
        for (size_t i = 0; i < record.size; i++)
            sum ^= record.data[i];
    return 0;
}
