// SPDX-License-Identifier: Apache-2.0
#include "core/base/random.h"

#include <limits.h>
#include <openssl/rand.h>
#include <stdlib.h>

void random_bytes(void *ret, size_t size)
{
    if (size > INT_MAX || RAND_bytes(ret, (int)size) != 1)
        abort();
}

uint64_t random_u64(void)
{
    uint64_t value = 0;
    while (!value)
        random_bytes(&value, sizeof(value));
    return value;
}
