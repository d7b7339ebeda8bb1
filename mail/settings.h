// SPDX-License-Identifier: Apache-2.0
#pragma once

// The configuration in force, as the stages use it: state/config/current (JSON {"revision",
// "documents"}), checked by mail/schema. Immutable; a reload makes a new one.
#include "core/base/base.h"
#include "core/bus/roles.h"

struct network {
    uint8_t address[16];
    uint8_t bits;
}; // IPv4 as ::ffff:a.b.c.d

struct settings_domain {
    char *name;        // lower case A-labels
    char **recipients; // local parts taken (sorted); NULL: any
    size_t recipient_count;
    char *policy; // document policy/<name>
    char *route;  // document route/<name>, NULL: MX
};

struct settings_hop {
    char *host; // name, address or [address]
    uint16_t port;
    unsigned priority; // lower first
};

enum tls_policy { TLS_NONE, TLS_MAY, TLS_ENCRYPT, TLS_VERIFY };

struct settings_route {
    char *name;
    struct settings_hop *hops; // sorted by priority
    size_t hop_count;
    enum tls_policy tls;
    unsigned concurrency;     // connections per destination
    unsigned rate_per_minute; // 0: no limit
};

enum list_kind { LIST_ALLOW, LIST_BLOCK };
enum list_of { LIST_SENDER, LIST_RECIPIENT, LIST_CLIENT };

struct settings_list {
    char *name;
    enum list_kind kind;
    enum list_of of;
    char **entries; // addresses, @domains, networks; lower case
    size_t entry_count;
    struct network *networks; // for LIST_CLIENT
    size_t network_count;
};

struct settings_policy {
    char *name;
    double tag, quarantine, reject; // score limits; a huge number: never
    unsigned char on_virus, on_ambiguous, on_limit, on_timeout, on_blocked; // Postern__Action
    char *tag_prefix; // subject prefix for tag, may be empty
};

enum node_wish { NODE_WISH_UP, NODE_WISH_DRAINING, NODE_WISH_MAINTENANCE };

// A document node/<name> that names a key: a member of the cluster.
struct settings_node {
    char *name, *key;
    char *previous_key; // NULL: none
    int64_t previous_until_s;
    enum role role;
    enum node_wish wish;
    int is_revoked;
    char *site;                               // NULL: not said
    char *control, *publish, *events, *enrol; // of a master; NULL: not said
    char **former;                            // names it had
    size_t former_count;
    int ingress, analyzer, delivery; // processes here; -1: as everywhere
};

struct settings {
    char *revision;
    int unconfigured; // nothing but members stands in it
    struct settings_node *nodes;
    size_t node_count; // by name
    char **revoked;    // keys in hexadecimal, sorted
    size_t revoked_count;
    struct settings_domain *domains;
    size_t domain_count;
    struct settings_route *routes;
    size_t route_count;
    struct settings_policy *policies;
    size_t policy_count; // one is named "default", always there
    struct settings_list *lists;
    size_t list_count;
    struct network *relay_clients;
    size_t relay_client_count; // document `relay`
    struct network *xclient;
    size_t xclient_count; // document `ingress`
    struct network *unlimited;
    size_t unlimited_count; // no rate, connection or greylist limits
    struct network *normalise;
    size_t normalise_count; // bare LF/CR is mended, not refused
    // document `ingress`
    uint64_t message_max, memory_max, big_from; // bytes; big_from 1 MiB
    unsigned line_max, text_line_max, recipients_max, errors_max, connections_max,
        connections_per_client;
    unsigned command_timeout_s, data_timeout_s, verdict_wait_ms, hops_max;
    unsigned rate_per_minute_client; // messages; 0: none
    int reputation;
    int greylist;
    unsigned greylist_delay_s;
    char *tls_certificate, *tls_key; // paths; NULL: no TLS offered
    // document `analyzer`
    unsigned check_timeout_ms, job_timeout_ms, analysis_wait_max_s;
    unsigned depth_max, parts_max, headers_max;
    uint64_t header_bytes_max, analyzer_memory_max;
    // document `delivery`
    unsigned retry_first_s, retry_most_s, expire_s, delay_notice_s;
    double retry_factor;
    unsigned deliveries_most; // connections in total
    uint16_t smtp_port;       // for MX delivery: 25
    char *resolver;           // HOST:PORT, NULL: the system's
    // document `redis`
    char *redis;            // unix:/path or address:port, NULL: none
    char **redis_sentinels; // address:port each, instead of it
    size_t redis_sentinel_count;
    char *redis_master_name;
    char *redis_sentinel_user, *redis_sentinel_password_file;
    char *redis_user, *redis_password_file; // NULL: none
    char *redis_authorities, *redis_host;   // PEM file: TLS; whom the certificate names
    // document `stages`: of a worker whose own document says nothing (settings_stages)
    unsigned ingress, analyzer, delivery;
    // document `quarantine`
    unsigned quarantine_days, quarantine_percent;
};

// NULL with a message that names document, key, reason and the mend. `json` is the whole tree.
struct settings *settings_parse(const char *json, size_t size, char *ret_error, size_t error_size);
struct settings *settings_read(const char *state, char *ret_error,
                               size_t error_size); // state/config/current
// As settings_read, and waits for it, logging why: for a stage that must not act on defaults,
// before it holds anything. SIGTERM ends the wait with the process.
struct settings *settings_await(const char *state);
int settings_unconfigured(const struct settings *self); // nobody has said what to do with mail
// The member that holds the key, also as its key before. NULL: none.
const struct settings_node *settings_node(const struct settings *self, const char *key);
struct settings *settings_retain(struct settings *self); // shared by reference count (one thread)
void settings_release(struct settings **self);

const struct settings_domain *settings_domain(const struct settings *self, const char *domain,
                                              size_t size);
const struct settings_route *settings_route(const struct settings *self, const char *name);
const struct settings_policy *settings_policy(const struct settings *self,
                                              const char *name); // "default" when unknown
// What a worker of that name is to do, also by a name it had.
enum node_wish settings_wish(const struct settings *self, const char *name);
// How many processes of each stage a worker of that name runs, also by a name it had: as its own
// document says, else as the document `stages` does.
struct settings_stages {
    unsigned ingress, analyzer, delivery;
};
struct settings_stages settings_stages(const struct settings *self, const char *name);
int settings_revoked(const struct settings *self, const char *key); // is the key?
int network_parse(const char *text, struct network *ret);           // "10.0.0.0/8", "::1"; 0 or -1
int network_contains(const struct network *networks, size_t count,
                     const char *address); // textual address
