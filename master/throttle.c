// SPDX-License-Identifier: Apache-2.0
#include "master/throttle.h"
#include <arpa/inet.h>
#include <string.h>

// What is no address shares one entry.
static void prefix_of(const char *address, uint8_t ret[8])
{
    uint8_t bytes[16] = {0};
    memset(ret, 0, 8);
    if (inet_pton(AF_INET6, address, bytes) == 1) {
        static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
        if (memcmp(bytes, mapped, sizeof(mapped)) != 0) {
            memcpy(ret, bytes, 8);
            return;
        }
        memcpy(ret, mapped + 8, 4);
        memcpy(ret + 4, bytes + 12, 4);
    } else if (inet_pton(AF_INET, address, ret + 4) == 1) {
        ret[2] = ret[3] = 0xff;
    }
}

// The address's entry, or the one that has been quiet longest.
static struct throttle_entry *entry_of(struct throttle *self, const uint8_t prefix[8])
{
    struct throttle_entry *oldest = &self->entries[0];
    for (size_t i = 0; i < THROTTLE_ENTRIES; i++) {
        struct throttle_entry *entry = &self->entries[i];
        if (entry->full_ms && memcmp(entry->prefix, prefix, sizeof(entry->prefix)) == 0)
            return entry;
        if (entry->full_ms < oldest->full_ms)
            oldest = entry;
    }
    memcpy(oldest->prefix, prefix, sizeof(oldest->prefix));
    oldest->full_ms = 0;
    return oldest;
}

int throttle_may(struct throttle *self, const char *address, int64_t now_ms)
{
    uint8_t prefix[8];
    prefix_of(address, prefix);
    struct throttle_entry *entry = entry_of(self, prefix);
    int64_t full_ms = entry->full_ms > now_ms ? entry->full_ms : now_ms;
    if (full_ms + THROTTLE_REFILL_MS - now_ms > (int64_t)THROTTLE_BURST * THROTTLE_REFILL_MS)
        return 0;
    entry->full_ms = full_ms + THROTTLE_REFILL_MS;
    return 1;
}
