// SPDX-License-Identifier: Apache-2.0
#include "ingress/recipient.h"
#include "mail/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOCAL_TEXT = 256 };

// The local part as lists hold it: lower case, without needless quotes.
static void plain_local(struct span local, char ret_text[LOCAL_TEXT])
{
    int quoted = local.size >= 2 && local.data[0] == '"';
    size_t size = 0;
    for (size_t i = quoted ? 1 : 0; i < local.size - (quoted ? 1 : 0); i++) {
        char byte = local.data[i];
        if (quoted && byte == '\\')
            byte = local.data[++i];
        if (size + 1 < LOCAL_TEXT)
            ret_text[size++] = byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
    }
    ret_text[size] = 0;
}

static int compare(const void *key, const void *entry)
{
    return strcmp(key, *(char *const *)entry);
}

// "user%elsewhere", "elsewhere!user", "user@elsewhere": a next hop that still honours these would
// relay for whoever came through us.
static int is_routed(const char *local)
{
    return strpbrk(local, "@%!") != NULL;
}

static int is_listed(const struct settings_domain *domain, const char *local)
{
    if (!domain->recipients || !strcmp(local, "postmaster"))
        return 1;
    return bsearch(local, domain->recipients, domain->recipient_count,
                   sizeof(domain->recipients[0]), compare) != NULL;
}

enum recipient_result recipient_check(const struct settings *settings,
                                      const struct address *address, int may_relay,
                                      char ret_address[RECIPIENT_TEXT])
{
    char local[LOCAL_TEXT], name[256];
    const struct settings_domain *domain = NULL;
    if (settings_unconfigured(settings))
        return RECIPIENT_LATER;
    if (!address->domain.size) {
        if (!settings->domain_count)
            return RECIPIENT_DENIED;
        snprintf(ret_address, RECIPIENT_TEXT, "postmaster@%s", settings->domains[0].name);
        return RECIPIENT_OURS;
    }
    if (!address->literal) {
        if (address_domain_ascii(address->domain, name, sizeof(name)) < 0)
            return RECIPIENT_BAD;
        domain = settings_domain(settings, name, strlen(name));
    }
    snprintf(ret_address, RECIPIENT_TEXT, "%.*s@%s%.*s%s", (int)address->local.size,
             address->local.data, address->literal ? "[" : "", (int)address->domain.size,
             address->domain.data, address->literal ? "]" : "");
    if (!domain)
        return may_relay ? RECIPIENT_RELAYED : RECIPIENT_DENIED;
    plain_local(address->local, local);
    if (!domain->recipients && is_routed(local) && !may_relay)
        return RECIPIENT_ROUTED;
    return is_listed(domain, local) ? RECIPIENT_OURS : RECIPIENT_UNKNOWN;
}
