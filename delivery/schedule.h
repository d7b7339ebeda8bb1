// SPDX-License-Identifier: Apache-2.0
#pragma once

// When a deferred mail is tried again (RFC 5321 4.5.4.1). Sans-I/O: times and randomness come in.
#include "core/base/base.h"

struct schedule {
    int64_t orders_ms; // how long orders about quarantined mail are remembered
    int64_t first_ms;  // pause after the first try
    double factor;     // each further pause is so much longer
    int64_t most_ms;   // but never longer than this
    int64_t expire_ms; // age at which the mail is given up
    int64_t notice_ms; // age at which its sender is told of the delay
};

// The time of the next try after `attempts` tries, the last one at `now_ms`, within ±10 % of the
// plan, so that mails deferred together do not return together. Never later than the expiry, so
// that giving up is punctual.
int64_t schedule_next_ms(const struct schedule *self, unsigned attempts, int64_t received_ms,
                         int64_t now_ms, uint64_t random);
int schedule_expired(const struct schedule *self, int64_t received_ms, int64_t now_ms);
// Is the delay notice due at this try, and was not at the one before?
int schedule_notice_due(const struct schedule *self, int64_t received_ms, int64_t last_ms,
                        int64_t now_ms);

// How long a destination that does not answer is left alone after so many failures in a row.
int64_t schedule_rest_ms(unsigned failures);
