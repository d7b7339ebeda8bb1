// SPDX-License-Identifier: Apache-2.0
#pragma once

// Reads a DNS response (RFC 1035 section 4), sans-I/O: hostile bytes in, the records asked for out.
#include "core/base/base.h"

enum dns_type { DNS_A = 1, DNS_MX = 15, DNS_AAAA = 28 };

enum { DNS_NAME_SIZE = 256, DNS_RECORDS_MOST = 32 };

struct dns_record {
    uint16_t preference;      // of an MX
    char host[DNS_NAME_SIZE]; // of an MX, without the last dot; empty: the root
    uint8_t address[16];      // of an A (4 bytes) or AAAA
    uint32_t ttl;
};

struct dns_answer {
    struct dns_record records[DNS_RECORDS_MOST];
    size_t count; // more than fit are left out
};

// Takes the answer section's records of that type, whatever CNAMEs lead to them: the resolver
// followed those. 0; or -1 when the packet is broken.
NODISCARD int dns_answer_read(struct dns_answer *ret, enum dns_type type, const void *packet,
                              size_t size);
