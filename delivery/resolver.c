// SPDX-License-Identifier: Apache-2.0
#include "delivery/resolver.h"

#include "core/base/log.h"
#include "core/base/loop.h"
#include "delivery/dns_answer.h"
#include "delivery/unbound_loop.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unbound-event.h>
#include <unbound.h>

enum { CLASS_IN = 1, RCODE_NXDOMAIN = 3, LOOKUP_MS = 30 * 1000, HOSTS_MOST = 16 };

struct resolver {
    struct loop *loop;
    struct ub_event_base *base;
    struct ub_ctx *context;
    struct lookup *lookups;
};

// One question for a destination's targets: at first perhaps MX, then A and AAAA of each host.
struct lookup {
    struct lookup *next, *previous;
    struct resolver *resolver;
    targets_fn *fn;
    void *context;
    struct targets targets;
    unsigned waiting; // queries under way, and one while they are being sent
    int soft;         // an error that may pass
    int missing;      // the domain does not exist
    int ended;        // told; goes when no query is under way any more
    struct timer *timer;
};

struct query {
    struct lookup *lookup;
    enum dns_type type;
    char host[DNS_NAME_SIZE];
    unsigned priority;
    uint16_t port;
};

static void set_error(struct targets *targets, int permanent, const char *status, const char *text)
{
    targets->permanent = permanent;
    snprintf(targets->status, sizeof(targets->status), "%s", status);
    snprintf(targets->error, sizeof(targets->error), "%s%s%s%s", permanent ? "556 " : "",
             permanent ? status : "", permanent ? " " : "", text);
}

static void lookup_free(struct lookup *self)
{
    if (self->next)
        self->next->previous = self->previous;
    if (self->previous)
        self->previous->next = self->next;
    else
        self->resolver->lookups = self->next;
    timer_destroy(&self->timer);
    free(self);
}

// Tells once; the rest of its queries may still come.
static void tell(struct lookup *self)
{
    if (self->ended)
        return;
    self->ended = 1;
    if (self->targets.count == 0 && self->targets.error[0] == '\0') {
        if (self->missing && !self->soft)
            set_error(&self->targets, 1, "5.1.2", "The domain does not exist or has no mail host");
        else
            set_error(&self->targets, 0, "4.4.3",
                      "The name of the next host could not be looked up");
    }
    self->fn(self->context, &self->targets);
}

static void done_one(struct lookup *self)
{
    if (--self->waiting > 0)
        return;
    tell(self);
    lookup_free(self);
}

static void too_late(void *context)
{
    struct lookup *self = context;
    self->soft = 1;
    tell(self);
}

static void answered(void *context, int rcode, void *packet, int size, int security,
                     char *why_bogus, int limited);

static void ask(struct lookup *self, enum dns_type type, const char *host, unsigned priority,
                uint16_t port)
{
    struct query *query = allocate(sizeof(*query));
    query->lookup = self;
    query->type = type;
    query->priority = priority;
    query->port = port;
    snprintf(query->host, sizeof(query->host), "%s", host);
    self->waiting++;
    // The answer may come within the call, so `query` is not touched after it.
    if (ub_resolve_event(self->resolver->context, host, type, CLASS_IN, query, answered, NULL) !=
        0) {
        free(query);
        self->soft = 1;
        self->waiting--;
    }
}

static void ask_addresses(struct lookup *self, const char *host, unsigned priority, uint16_t port)
{
    struct sockaddr_storage address;
    socklen_t size;
    if (target_literal(host, &address, &size) == 0) {
        targets_add(&self->targets, host, priority, (struct sockaddr *)&address, size, port);
        return;
    }
    ask(self, DNS_A, host, priority, port);
    ask(self, DNS_AAAA, host, priority, port);
}

static void take_addresses(struct lookup *self, const struct query *query,
                           const struct dns_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++) {
        struct sockaddr_in v4 = {.sin_family = AF_INET};
        struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
        memcpy(&v4.sin_addr, answer->records[i].address, 4);
        memcpy(&v6.sin6_addr, answer->records[i].address, 16);
        int four = query->type == DNS_A;
        targets_add(&self->targets, query->host, query->priority,
                    four ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
                    four ? sizeof(v4) : sizeof(v6), query->port);
    }
}

static void take_mx(struct lookup *self, const struct query *query, const struct dns_answer *answer)
{
    if (answer->count == 1 && answer->records[0].host[0] == '\0') {
        set_error(&self->targets, 1, "5.1.10", "The domain takes no mail (null MX)");
        return;
    }
    if (answer->count == 0)
        ask_addresses(self, query->host, 0, query->port); // the implicit MX
    for (size_t i = 0; i < answer->count && i < HOSTS_MOST; i++)
        if (answer->records[i].host[0] != '\0')
            ask_addresses(self, answer->records[i].host, answer->records[i].preference,
                          query->port);
}

static void answered(void *context, int rcode, void *packet, int size, int security,
                     char *why_bogus, int limited)
{
    struct query *query = context;
    struct lookup *self = query->lookup;
    struct dns_answer answer = {.count = 0};
    (void)why_bogus, (void)limited;
    if (security == 1 || (rcode != 0 && rcode != RCODE_NXDOMAIN) || size < 0)
        self->soft = 1; // bogus, SERVFAIL ...
    else if (rcode == RCODE_NXDOMAIN)
        self->missing = 1;
    else if (dns_answer_read(&answer, query->type, packet, (size_t)size) < 0)
        self->soft = 1;
    else if (query->type == DNS_MX)
        take_mx(self, query, &answer);
    else
        take_addresses(self, query, &answer);
    if (rcode == 0 && query->type != DNS_MX && answer.count == 0)
        self->missing = 1;
    free(query);
    done_one(self);
}

static struct lookup *lookup_new(struct resolver *self, targets_fn *fn, void *context)
{
    struct lookup *lookup = allocate(sizeof(*lookup));
    lookup->resolver = self;
    lookup->fn = fn;
    lookup->context = context;
    lookup->waiting = 1; // until all are sent
    lookup->next = self->lookups;
    if (lookup->next)
        lookup->next->previous = lookup;
    self->lookups = lookup;
    lookup->timer = timer_new(self->loop, too_late, lookup);
    timer_start(lookup->timer, LOOKUP_MS);
    return lookup;
}

void resolver_find_mx(struct resolver *self, const char *domain, uint16_t port, targets_fn *fn,
                      void *context)
{
    struct lookup *lookup = lookup_new(self, fn, context);
    struct sockaddr_storage address;
    socklen_t size;
    if (domain[0] == '[' && target_literal(domain, &address, &size) == 0)
        targets_add(&lookup->targets, domain, 0, (struct sockaddr *)&address, size, port);
    else if (domain[0] == '[')
        set_error(&lookup->targets, 1, "5.1.2", "The address literal is not valid");
    else
        ask(lookup, DNS_MX, domain, 0, port);
    done_one(lookup);
}

void resolver_find_hops(struct resolver *self, const struct settings_hop *hops, size_t count,
                        targets_fn *fn, void *context)
{
    struct lookup *lookup = lookup_new(self, fn, context);
    lookup->soft = 1; // a configured host that has no address is a mistake to be mended, not a
                      // reason to bounce
    for (size_t i = 0; i < count; i++)
        ask_addresses(lookup, hops[i].host, hops[i].priority, hops[i].port);
    done_one(lookup);
}

// -- life

static int configure(struct resolver *self, const char *server)
{
    char address[280];
    if (!server) {
        // Without them libunbound asks the roots itself.
        if (ub_ctx_resolvconf(self->context, NULL) != 0 || ub_ctx_hosts(self->context, NULL) != 0)
            log_warning("resolver-system.unread", "reason=%s", "resolv.conf");
        return 0;
    }
    const char *port = strrchr(server, ':');
    size_t host = port ? (size_t)(port - server) : strlen(server);
    if (host > 2 && server[0] == '[' && server[host - 1] == ']')
        snprintf(address, sizeof(address), "%.*s@%s", (int)host - 2, server + 1,
                 port ? port + 1 : "53");
    else
        snprintf(address, sizeof(address), "%.*s@%s", (int)host, server, port ? port + 1 : "53");
    // A resolver on this machine is not asked in vain (do-not-query-localhost is libunbound's
    // default).
    if (ub_ctx_set_option(self->context, "do-not-query-localhost:", "no") != 0)
        return -1;
    return ub_ctx_set_fwd(self->context, address) == 0 ? 0 : -1;
}

struct resolver *resolver_new(struct loop *loop, const char *server)
{
    struct resolver *self = allocate(sizeof(*self));
    self->loop = loop;
    self->base = unbound_loop_new(loop);
    self->context = ub_ctx_create_ub_event(self->base);
    if (!self->context || configure(self, server) < 0)
        resolver_destroy(&self);
    return self;
}

void resolver_destroy(struct resolver **self_pointer)
{
    struct resolver *self = *self_pointer;
    if (!self)
        return;
    while (self->lookups)
        lookup_free(self->lookups);
    if (self->context)
        ub_ctx_delete(self->context);
    unbound_loop_destroy(&self->base);
    free(self);
    *self_pointer = NULL;
}
