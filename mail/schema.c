// SPDX-License-Identifier: Apache-2.0
#include "mail/schema.h"
#include "mail/settings.h"
#include "proto/verdict.pb-c.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB 1024.0
#define MIB (1024.0 * 1024)
#define DAY (24.0 * 3600)
#define SCORE 1e6 // further than any sum of findings
#define KEYS(table) table, ARRAY_LENGTH(table)

// The order is that of Postern__Action, enum tls_policy, enum list_kind, enum list_of, enum
// role and enum node_wish.
static const char *const actions[] = {"accept", "tag", "quarantine", "reject", "discard", NULL};
static const char *const tls_policies[] = {"none", "may", "encrypt", "verify", NULL};
static const char *const list_kinds[] = {"allow", "block", NULL};
static const char *const list_subjects[] = {"sender", "recipient", "client", NULL};
static const char *const roles[] = {"worker", "master", "monitor", NULL};
static const char *const node_states[] = {"up", "draining", "maintenance", NULL};

static const char *form_path(const char *text)
{
    return text[0] == '/' ? NULL : "give an absolute path";
}

// host:port, [address]:port
static const char *form_endpoint(const char *text)
{
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    long port = colon ? strtol(colon + 1, &end, 10) : 0;
    if (!colon || colon == text || end == colon + 1 || *end || port < 1 || port > 65535)
        return "give HOST:PORT, with a port from 1 to 65535";
    return NULL;
}

// No names: the stages would have to wait for their addresses.
static const char *form_address(const char *text)
{
    struct network network;
    char address[64];
    const char *colon = strrchr(text, ':');
    int brackets = text[0] == '[' && colon && colon[-1] == ']';
    if (form_endpoint(text) || (size_t)(colon - text) >= sizeof(address))
        return "give ADDRESS:PORT with an IP address";
    snprintf(address, sizeof(address), "%.*s", (int)(colon - text) - 2 * brackets, text + brackets);
    if (strchr(address, '/') || network_parse(address, &network) < 0 ||
        brackets != (strchr(address, ':') != NULL))
        return "give ADDRESS:PORT with an IP address";
    return NULL;
}

static const char *form_redis(const char *text)
{
    if (strncmp(text, "unix:/", 6) == 0)
        return NULL;
    return form_address(text) ? "give unix:/PATH or ADDRESS:PORT with an IP address" : NULL;
}

// A name that Redis's own configuration could hold.
static const char *form_master_name(const char *text)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    return text[strspn(text, good)] ? "use letters, digits, . - _" : NULL;
}

static const char *form_local_part(const char *text)
{
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at <= ' ' || *at == 127 || *at == '@')
            return "give local parts only, what stands before the @";
    return *text ? NULL : "give at least one character";
}

static const char *form_one_line(const char *text)
{
    for (const char *at = text; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 127)
            return "take out the control characters";
    return NULL;
}

// ZeroMQ RFC 32.
static const char *form_curve_key(const char *text)
{
    static const char z85[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                              ".-:+=^!/*?&<>()[]{}@%$#";
    return strspn(text, z85) == strlen(text) ? NULL : "give the key as `postern keygen` prints it";
}

static const char *form_base64url(const char *text)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    return strspn(text, letters) == strlen(text) ? NULL : "give base64url without padding";
}

static const char *form_tcp(const char *text)
{
    return strncmp(text, "tcp://", 6) == 0 && !form_endpoint(text + 6)
               ? NULL
               : "give tcp://HOST:PORT, with a port from 1 to 65535";
}

// A row of a table is easier to read in two lines than in eight.
// clang-format off
static const struct schema_key domain_keys[] = {
    {.name = "recipients", .type = SCHEMA_TEXTS, .max = 100000, .form = form_local_part,
     .about = "Local parts that are taken; without it any."},
    {.name = "policy", .type = SCHEMA_TEXT, .min = 1, .max = 64, .reference = "policy",
     .about = "Name of the policy that rules; without it `default`."},
    {.name = "route", .type = SCHEMA_TEXT, .min = 1, .max = 64, .reference = "route",
     .about = "Name of the route; without it the domain's MX records."},
};

static const struct schema_key route_keys[] = {
    {.name = "hops", .type = SCHEMA_HOPS, .min = 1, .max = 64,
     .about = "Next hops, tried by priority (lower first; without one, by their order)."},
    {.name = "tls", .type = SCHEMA_CHOICE, .choices = tls_policies, .fallback = TLS_MAY,
     .about = "STARTTLS towards these hops."},
    {.name = "concurrency", .type = SCHEMA_COUNT, .fallback = 20, .min = 1, .max = 1000,
     .unit = "connections",
     .about = "Connections to one destination at a time, per delivery."},
    {.name = "rate_per_minute", .type = SCHEMA_COUNT, .max = 1e6, .unit = "messages",
     .about = "Messages to one destination in a minute, per delivery; 0 for no limit."},
};

static const struct schema_key policy_keys[] = {
    {.name = "tag", .type = SCHEMA_LIMIT, .fallback = 5, .min = -SCORE, .max = SCORE,
     .unit = "score",
     .about = "From this score on mail is delivered tagged; null for never."},
    {.name = "quarantine", .type = SCHEMA_LIMIT, .fallback = 8, .min = -SCORE, .max = SCORE,
     .unit = "score",
     .about = "From this score on mail is quarantined; null for never."},
    {.name = "reject", .type = SCHEMA_LIMIT, .fallback = 15, .min = -SCORE, .max = SCORE,
     .unit = "score",
     .about = "From this score on mail is rejected; null for never."},
    {.name = "on_virus", .type = SCHEMA_CHOICE, .choices = actions,
     .fallback = POSTERN__ACTION__ACTION_REJECT,
     .about = "What becomes of a virus."},
    {.name = "on_ambiguous", .type = SCHEMA_CHOICE, .choices = actions,
     .fallback = POSTERN__ACTION__ACTION_QUARANTINE,
     .about = "What becomes of mail that programs may read in more than one way."},
    {.name = "on_limit", .type = SCHEMA_CHOICE, .choices = actions,
     .fallback = POSTERN__ACTION__ACTION_QUARANTINE,
     .about = "What becomes of mail that could not be examined whole."},
    {.name = "on_timeout", .type = SCHEMA_CHOICE, .choices = actions,
     .fallback = POSTERN__ACTION__ACTION_QUARANTINE,
     .about = "What becomes of mail that was not examined in time."},
    {.name = "on_blocked", .type = SCHEMA_CHOICE, .choices = actions,
     .fallback = POSTERN__ACTION__ACTION_REJECT,
     .about = "What becomes of mail a list blocks."},
    {.name = "tag_prefix", .type = SCHEMA_TEXT, .max = 64, .form = form_one_line,
     .about = "Put before the Subject of tagged mail; without it the Subject stays."},
};

static const struct schema_key list_keys[] = {
    {.name = "kind", .type = SCHEMA_CHOICE, .choices = list_kinds, .fallback = LIST_BLOCK,
     .about = "What being on the list means."},
    {.name = "of", .type = SCHEMA_CHOICE, .choices = list_subjects, .fallback = LIST_SENDER,
     .about = "What the entries are compared with."},
    {.name = "entries", .type = SCHEMA_TEXTS, .max = 100000,
     .about = "Addresses and @domains; for clients networks."},
};

static const struct schema_key relay_keys[] = {
    {.name = "clients", .type = SCHEMA_NETWORKS, .max = 1000,
     .about = "Networks that may send to any domain."},
};

static const struct schema_key ingress_keys[] = {
    {.name = "xclient", .type = SCHEMA_NETWORKS, .max = 1000,
     .about = "Networks that may use XCLIENT."},
    {.name = "unlimited", .type = SCHEMA_NETWORKS, .max = 1000,
     .about = "Networks without rate, connection or greylist limits."},
    {.name = "normalise", .type = SCHEMA_NETWORKS, .max = 1000,
     .about = "Networks whose bare CR and LF are mended instead of refused."},
    {.name = "message_max", .type = SCHEMA_SIZE, .fallback = 50 * MIB, .min = 64 * KIB,
     .max = 1024 * MIB, .unit = "bytes",
     .about = "Largest message taken (SIZE)."},
    {.name = "memory_max", .type = SCHEMA_SIZE, .fallback = 512 * MIB, .min = 16 * MIB,
     .max = 1024 * 1024 * MIB, .unit = "bytes",
     .about = "Memory for messages on their way, per ingress."},
    {.name = "big_from", .type = SCHEMA_SIZE, .fallback = 1 * MIB, .min = 4 * KIB, .max = 16 * MIB,
     .unit = "bytes",
     .about = "Larger messages go to a file of their own."},
    {.name = "line_max", .type = SCHEMA_COUNT, .fallback = 2048, .min = 512, .max = 65536,
     .unit = "bytes",
     .about = "Longest command line."},
    {.name = "text_line_max", .type = SCHEMA_SIZE, .fallback = 1 * MIB, .min = 998,
     .max = 1024 * MIB, .unit = "bytes",
     .about = "Longest line of a message; RFC 5321 asks for no more than 998."},
    {.name = "recipients_max", .type = SCHEMA_COUNT, .fallback = 1000, .min = 100, .max = 10000,
     .unit = "recipients",
     .about = "Recipients of one message (RFC 5321 4.5.3.1.8)."},
    {.name = "errors_max", .type = SCHEMA_COUNT, .fallback = 20, .min = 1, .max = 1000,
     .unit = "errors",
     .about = "A session with more errors is closed."},
    {.name = "connections_max", .type = SCHEMA_COUNT, .fallback = 10000, .min = 1, .max = 100000,
     .unit = "connections",
     .about = "Open sessions, per ingress."},
    {.name = "connections_per_client", .type = SCHEMA_COUNT, .fallback = 50, .min = 1,
     .max = 100000, .unit = "connections",
     .about = "Open sessions of one client (IPv6: of its /64)."},
    {.name = "command_timeout_s", .type = SCHEMA_COUNT, .fallback = 300, .min = 1, .max = 3600,
     .unit = "seconds",
     .about = "Wait for the next command."},
    {.name = "data_timeout_s", .type = SCHEMA_COUNT, .fallback = 600, .min = 1, .max = 86400,
     .unit = "seconds",
     .about = "A message must have arrived within this time."},
    {.name = "verdict_wait_ms", .type = SCHEMA_COUNT, .fallback = 20000, .max = 300000,
     .unit = "milliseconds",
     .about = "How long the client's reply may wait for the verdict."},
    {.name = "hops_max", .type = SCHEMA_COUNT, .fallback = 50, .min = 5, .max = 200,
     .unit = "Received fields",
     .about = "More of them is a mail loop."},
    {.name = "rate_per_minute_client", .type = SCHEMA_COUNT, .max = 1e6, .unit = "messages",
     .about = "Messages of one client in a minute; 0 for no limit."},
    {.name = "reputation", .type = SCHEMA_FLAG, .fallback = 1,
     .about = "Clients that sent good mail pass the greylist; bad ones have a tenth of the rate."},
    {.name = "greylist", .type = SCHEMA_FLAG,
     .about = "Unknown senders must try twice."},
    {.name = "greylist_delay_s", .type = SCHEMA_COUNT, .fallback = 60, .min = 1, .max = 3600,
     .unit = "seconds",
     .about = "How long an unknown sender is put off."},
    {.name = "tls_certificate", .type = SCHEMA_TEXT, .min = 1, .max = 1024, .form = form_path,
     .about = "PEM chain; with tls_key STARTTLS is offered."},
    {.name = "tls_key", .type = SCHEMA_TEXT, .min = 1, .max = 1024, .form = form_path,
     .about = "PEM private key of tls_certificate."},
};

static const struct schema_key analyzer_keys[] = {
    {.name = "check_timeout_ms", .type = SCHEMA_COUNT, .fallback = 10000, .min = 10, .max = 600000,
     .unit = "milliseconds",
     .about = "Time of one check."},
    {.name = "job_timeout_ms", .type = SCHEMA_COUNT, .fallback = 60000, .min = 100, .max = 600000,
     .unit = "milliseconds",
     .about = "Time of all checks of one message."},
    {.name = "analysis_wait_max_s", .type = SCHEMA_COUNT, .fallback = 3600, .min = 1,
     .max = 7 * DAY, .unit = "seconds",
     .about = "After so long without an analyzer, counted while an ingress runs, the policy's "
              "on_timeout decides."},
    {.name = "depth_max", .type = SCHEMA_COUNT, .fallback = 50, .min = 2, .max = 200,
     .unit = "levels",
     .about = "Nesting of parts and archives."},
    {.name = "parts_max", .type = SCHEMA_COUNT, .fallback = 1000, .min = 10, .max = 100000,
     .unit = "parts",
     .about = "Parts of one message."},
    {.name = "headers_max", .type = SCHEMA_COUNT, .fallback = 1000, .min = 50, .max = 100000,
     .unit = "fields",
     .about = "Header fields of a message (552 beyond) or of one part."},
    {.name = "header_bytes_max", .type = SCHEMA_SIZE, .fallback = 256 * KIB, .min = 8 * KIB,
     .max = 16 * MIB, .unit = "bytes",
     .about = "Size of the header of a message (552 beyond) or of one part."},
    {.name = "memory_max", .type = SCHEMA_SIZE, .fallback = 4096 * MIB, .min = 1024 * MIB,
     .max = 1048576 * MIB,
     .about = "Address space of an analyzer; read when it starts."},
};

static const struct schema_key delivery_keys[] = {
    {.name = "retry_first_s", .type = SCHEMA_COUNT, .fallback = 300, .min = 1, .max = DAY,
     .unit = "seconds",
     .about = "Wait before the second try."},
    {.name = "retry_factor", .type = SCHEMA_NUMBER, .fallback = 1.5, .min = 1, .max = 10,
     .about = "Each further wait is longer by this factor."},
    {.name = "retry_most_s", .type = SCHEMA_COUNT, .fallback = 14400, .min = 1, .max = 7 * DAY,
     .unit = "seconds",
     .about = "Longest wait between two tries."},
    {.name = "expire_s", .type = SCHEMA_COUNT, .fallback = 432000, .min = 1, .max = 30 * DAY,
     .unit = "seconds",
     .about = "After so long undelivered mail is bounced."},
    {.name = "delay_notice_s", .type = SCHEMA_COUNT, .fallback = 14400, .max = 30 * DAY,
     .unit = "seconds",
     .about = "The sender is told of a delay after this; 0 for never."},
    {.name = "deliveries_most", .type = SCHEMA_COUNT, .fallback = 500, .min = 1, .max = 20000,
     .unit = "connections",
     .about = "Outgoing connections in total, per delivery."},
    {.name = "smtp_port", .type = SCHEMA_COUNT, .fallback = 25, .min = 1, .max = 65535,
     .about = "Port of mail exchangers found by MX."},
    {.name = "resolver", .type = SCHEMA_TEXT, .min = 1, .max = 256, .form = form_endpoint,
     .about = "DNS server HOST:PORT; without it the system's."},
};

static const struct schema_key redis_keys[] = {
    {.name = "address", .type = SCHEMA_TEXT, .min = 1, .max = 256, .form = form_redis,
     .about = "unix:/PATH, or an IP address with port; without it and sentinels nothing is shared."},
    {.name = "sentinels", .type = SCHEMA_TEXTS, .min = 1, .max = 16, .form = form_address,
     .about = "Its Sentinels instead of an address: IP addresses with port."},
    {.name = "master_name", .type = SCHEMA_TEXT, .min = 1, .max = 128, .form = form_master_name,
     .about = "What the Sentinels call it."},
    {.name = "user", .type = SCHEMA_TEXT, .min = 1, .max = 128, .form = form_one_line,
     .about = "ACL user; without it Redis's `default`."},
    {.name = "password_file", .type = SCHEMA_TEXT, .min = 1, .max = 1024, .form = form_path,
     .about = "File with the password on its first line; without it no AUTH."},
    {.name = "authorities", .type = SCHEMA_TEXT, .min = 1, .max = 1024, .form = form_path,
     .about = "PEM file of who may sign its certificate; with it TLS is spoken."},
    {.name = "host", .type = SCHEMA_TEXT, .min = 1, .max = 253, .form = form_one_line,
     .about = "Name in that certificate; without it the address."},
    {.name = "sentinel_user", .type = SCHEMA_TEXT, .min = 1, .max = 128, .form = form_one_line,
     .about = "ACL user at the Sentinels; without it `default`."},
    {.name = "sentinel_password_file", .type = SCHEMA_TEXT, .min = 1, .max = 1024, .form = form_path,
     .about = "File with the password for the Sentinels; without it no AUTH there."},
};

static const struct schema_key stages_keys[] = {
    {.name = "ingress", .type = SCHEMA_COUNT, .fallback = 1, .max = 64, .unit = "processes",
     .about = "Ingresses of a worker."},
    {.name = "analyzer", .type = SCHEMA_COUNT, .fallback = 1, .max = 64, .unit = "processes",
     .about = "Analyzers of a worker."},
    {.name = "delivery", .type = SCHEMA_COUNT, .fallback = 1, .max = 64, .unit = "processes",
     .about = "Deliveries of a worker."},
};

static const struct schema_key quarantine_keys[] = {
    {.name = "days", .type = SCHEMA_COUNT, .fallback = 30, .min = 1, .max = 3650, .unit = "days",
     .about = "How long the masters keep quarantined mail; workers yesterday's and today's."},
    {.name = "disk_percent", .type = SCHEMA_COUNT, .fallback = 20, .min = 1, .max = 90,
     .unit = "percent",
     .about = "Share of a worker's file system for bodies that no master holds yet; beyond it mail "
              "to be quarantined is answered 452."},
};

static const struct schema_key node_keys[] = {
    {.name = "role", .type = SCHEMA_CHOICE, .choices = roles, .fallback = ROLE_WORKER,
     .about = "What the node is."},
    {.name = "key", .type = SCHEMA_TEXT, .min = 40, .max = 40, .form = form_curve_key,
     .about = "Its CURVE public key: who holds it is this node. Without one nobody is."},
    {.name = "previous_key", .type = SCHEMA_TEXT, .min = 40, .max = 40, .form = form_curve_key,
     .about = "The key before, valid beside it until `previous_until`."},
    {.name = "previous_until", .type = SCHEMA_COUNT, .max = 1e11, .unit = "seconds since 1970",
     .about = "When the key before ends, at most a day after the change."},
    {.name = "sign", .type = SCHEMA_TEXT, .min = 43, .max = 43, .form = form_base64url,
     .about = "A master's Ed25519 public key: it signs the revisions made there."},
    {.name = "formerly", .type = SCHEMA_TEXTS, .max = 16,
     .about = "Names it had: records made under them are its own."},
    {.name = "site", .type = SCHEMA_TEXT, .max = 63, .form = form_one_line,
     .about = "Where it stands, for the list of nodes; without it what the node says."},
    {.name = "state", .type = SCHEMA_CHOICE, .choices = node_states, .fallback = NODE_WISH_UP,
     .about = "What it is to do: take mail, or finish what it has and take no more."},
    {.name = "control", .type = SCHEMA_TEXT, .min = 1, .max = 127, .form = form_tcp,
     .about = "Where a master is reached by others: port 7701."},
    {.name = "publish", .type = SCHEMA_TEXT, .min = 1, .max = 127, .form = form_tcp,
     .about = "Its port 7702."},
    {.name = "events", .type = SCHEMA_TEXT, .min = 1, .max = 127, .form = form_tcp,
     .about = "Its port 7703."},
    {.name = "public", .type = SCHEMA_TEXT, .min = 1, .max = 127, .form = form_tcp,
     .about = "Its port 7704."},
    {.name = "enrol", .type = SCHEMA_TEXT, .min = 1, .max = 127, .form = form_tcp,
     .about = "Its port 7700."},
    {.name = "ingress", .type = SCHEMA_COUNT, .fallback = NAN, .max = 64, .unit = "processes",
     .about = "Ingresses of this worker; without it as `stages` says."},
    {.name = "analyzer", .type = SCHEMA_COUNT, .fallback = NAN, .max = 64, .unit = "processes",
     .about = "Its analyzers."},
    {.name = "delivery", .type = SCHEMA_COUNT, .fallback = NAN, .max = 64, .unit = "processes",
     .about = "Its deliveries."},
};

static const struct schema_key cluster_keys[] = {
    {.name = "id", .type = SCHEMA_TEXT, .min = 1, .max = 63, .form = form_base64url,
     .about = "Made by the first master: tokens and commands of another cluster are told by it."},
};

static const struct schema_key revoked_keys[] = {
    {.name = "node", .type = SCHEMA_TEXT, .max = 63, .form = form_one_line,
     .about = "Whose key it was."},
};

static const struct schema_key takeover_keys[] = {
    {.name = "to", .type = SCHEMA_TEXT, .min = 1, .max = 63, .form = form_one_line,
     .about = "The worker that carries out what the other one has not begun."},
    {.name = "force", .type = SCHEMA_FLAG, .fallback = 0,
     .about = "Also while the other one cannot be asked: then a second copy is possible."},
};

static const struct schema_key secret_keys[] = {
    {.name = "value", .type = SCHEMA_TEXT, .min = 1, .max = 16384,
     .about = "What it is; shown and exported as a fingerprint, never logged."},
};
// clang-format on

const struct schema_kind schema_kinds[] = {
    {"domain", 1, "A domain whose mail is taken.", KEYS(domain_keys)},
    {"route", 1, "Where mail goes.", KEYS(route_keys)},
    {"policy", 1, "What findings lead to.", KEYS(policy_keys)},
    {"list", 1, "Senders, recipients or clients, allowed or blocked.", KEYS(list_keys)},
    {"relay", 0, "Who may send outward.", KEYS(relay_keys)},
    {"ingress", 0, "Receiving mail.", KEYS(ingress_keys)},
    {"analyzer", 0, "Examining mail.", KEYS(analyzer_keys)},
    {"delivery", 0, "Delivering mail.", KEYS(delivery_keys)},
    {"redis", 0, "State that workers share.", KEYS(redis_keys)},
    {"stages", 0, "How many processes a worker runs.", KEYS(stages_keys)},
    {"quarantine", 0, "Keeping quarantined mail.", KEYS(quarantine_keys)},
    {"cluster", 0, "The cluster itself.", KEYS(cluster_keys)},
    {"node", 1, "One node.", KEYS(node_keys)},
    {"revoked", 1, "A key that is never let in again, by its 32 bytes in hexadecimal.",
     KEYS(revoked_keys)},
    {"takeover", 1, "Who carries out the orders about what a worker quarantined.",
     KEYS(takeover_keys)},
    {"secret", 1, "A password or key that other documents name.", KEYS(secret_keys)},
};
const size_t schema_kind_count = ARRAY_LENGTH(schema_kinds);

const struct schema_kind *schema_kind_of(const char *document)
{
    size_t length = strcspn(document, "/");
    int named = document[length] == '/';
    for (size_t i = 0; i < schema_kind_count; i++) {
        const struct schema_kind *kind = &schema_kinds[i];
        if (strlen(kind->name) == length && memcmp(kind->name, document, length) == 0)
            return kind->named == named ? kind : NULL;
    }
    return NULL;
}

const struct schema_key *schema_key_of(const struct schema_kind *kind, const char *name)
{
    for (size_t i = 0; i < kind->key_count; i++)
        if (strcmp(kind->keys[i].name, name) == 0)
            return &kind->keys[i];
    return NULL;
}

int schema_is_membership(const char *document)
{
    return strncmp(document, "node/", 5) == 0 || strncmp(document, "revoked/", 8) == 0 ||
           strncmp(document, "takeover/", 9) == 0 ||
           strcmp(document, "cluster") == 0;
}
