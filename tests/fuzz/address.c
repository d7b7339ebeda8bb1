// SPDX-License-Identifier: Apache-2.0
// Paths: what was parsed lies within the text and is what the syntax promises.
#include "mail/address.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = {(const char *)data, size};
    struct address address;
    size_t used;
    char domain[256];
    if (address_parse_path(text, ADDRESS_NULL | ADDRESS_POSTMASTER, 1, &address, &used) == 0) {
        assert(used <= size && data[0] == '<' && data[used - 1] == '>');
        assert(!memchr(data, '\r', used) && !memchr(data, '\n', used) && !memchr(data, 0, used));
        assert(utf8_valid(text.data, used));
        if (!address.literal && address_domain_ascii(address.domain, domain, sizeof(domain)) == 0)
            assert(strlen(domain) < sizeof(domain));
    }
    if (address_parse(text, 0, &address) == 0)
        assert(!address.utf8 && address.local.size && address.domain.size);
    return 0;
}
