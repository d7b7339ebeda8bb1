// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/base/base.h"

// From OpenSSL's RAND_bytes; aborts if that fails. random_u64 is never 0.
void random_bytes(void *ret, size_t size);
uint64_t random_u64(void);
