// SPDX-License-Identifier: Apache-2.0
#include "delivery/schedule.h"

enum { REST_FIRST_MS = 5000, REST_MOST_MS = 5 * 60 * 1000 };

int64_t schedule_next_ms(const struct schedule *self, unsigned attempts, int64_t received_ms,
                         int64_t now_ms, uint64_t random)
{
    double pause = (double)self->first_ms;
    for (unsigned i = 1; i < attempts && pause < (double)self->most_ms; i++)
        pause *= self->factor;
    if (pause > (double)self->most_ms)
        pause = (double)self->most_ms;
    double share = (double)(random >> 11) / (double)(1ULL << 53); // [0, 1)
    int64_t next = now_ms + (int64_t)(pause * (0.9 + 0.2 * share));
    int64_t expiry = received_ms + self->expire_ms;
    if (next > expiry && expiry > now_ms)
        next = expiry;
    return next;
}

int schedule_expired(const struct schedule *self, int64_t received_ms, int64_t now_ms)
{
    return now_ms - received_ms >= self->expire_ms;
}

int schedule_notice_due(const struct schedule *self, int64_t received_ms, int64_t last_ms,
                        int64_t now_ms)
{
    return self->notice_ms > 0 && now_ms - received_ms >= self->notice_ms &&
           last_ms - received_ms < self->notice_ms;
}

int64_t schedule_rest_ms(unsigned failures)
{
    int64_t rest = REST_FIRST_MS;
    for (unsigned i = 1; i < failures && rest < REST_MOST_MS; i++)
        rest *= 2;
    return rest < REST_MOST_MS ? rest : REST_MOST_MS;
}
