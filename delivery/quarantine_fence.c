// SPDX-License-Identifier: Apache-2.0
// A quarantined mail goes over to another worker (DESIGN 10). Its owner fences it: what is begun
// ends here, whatever comes later is refused, and that is durable before it is told. The taker has
// the mail durably before it begins anything, in one slot, so that it is begun once there.
#include "delivery/quarantine_internal.h"

#include <stdio.h>
#include <string.h>

enum { NAME_MOST = 63, TAKING_SLOT = 0 };

static const char prefix[] = "fenced ";

// -- the owner

void quarantine_set_fence(struct quarantined *entry, const void *name, size_t size)
{
    if (size > 0 && size <= NAME_MOST)
        snprintf(entry->fence, sizeof(entry->fence), "%s%.*s", prefix, (int)size,
                 (const char *)name);
}

struct span quarantine_fence_name(const struct quarantined *entry)
{
    return span_of(*entry->fence ? entry->fence + strlen(prefix) : "");
}

int quarantine_fence(struct queue *self, struct quarantined *entry,
                     const struct quarantine_order *order)
{
    if (*entry->fence || order->fence.size == 0)
        return *entry->fence != 0;
    quarantine_set_fence(entry, order->fence.data, order->fence.size);
    if (*entry->fence)
        quarantine_write(self, entry, NULL, NULL);
    return *entry->fence != 0;
}

// -- the taker

const char *quarantine_adopt(struct queue *self, const struct quarantine_order *order)
{
    struct quarantined *entry = quarantine_find(self, &order->id);
    if (!order->adopts)
        return NULL;
    if (entry && quarantine_recipient(entry, order->recipient))
        return entry->ordered > 0 ? "pending" : NULL;
    if (self->slot != TAKING_SLOT || order->address_count != 1 ||
        !quarantine_day_sound(order->day.data, order->day.size))
        return NULL;
    const struct span *address = &order->addresses[0];
    ProtobufCBinaryData day = {order->day.size, (uint8_t *)(uintptr_t)order->day.data};
    ProtobufCBinaryData to = {address->size, (uint8_t *)(uintptr_t)address->data};
    entry = quarantine_make(self, &order->id, &day);
    quarantine_add(entry, order->recipient, &to);
    quarantine_write(self, entry, NULL, NULL);
    return "adopted";
}
