// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/base/base.h"

// CRC-32C (Castagnoli), continued from `seed` (0 to begin). Uses the processor's instruction where it has one.
uint32_t crc32c(uint32_t seed, const void *data, size_t size);
