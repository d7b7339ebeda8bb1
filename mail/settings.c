// SPDX-License-Identifier: Apache-2.0
#include "mail/settings.h"
#include "core/base/z85.h"
#include "mail/nodes.h"
#include "mail/schema_value.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SETTINGS_REVISION_MOST = 111 };

// One document as it is read: its kind gives the defaults, so the body may be missing.
struct view {
    const struct schema_kind *kind;
    const json_t *body;
};

static struct view view_of(const json_t *documents, const char *name)
{
    return (struct view){schema_kind_of(name), json_object_get(documents, name)};
}

static unsigned count_of(const struct view *view, const char *key)
{
    return (unsigned)schema_number(view->kind, view->body, key);
}

static uint64_t size_of(const struct view *view, const char *key)
{
    return (uint64_t)schema_number(view->kind, view->body, key);
}

static char *text_of(const struct view *view, const char *key)
{
    const char *text = schema_text(view->body, key);
    return text ? duplicate(text) : NULL;
}

static char *lower(const char *text)
{
    char *copy = duplicate(text);
    for (char *at = copy; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    return copy;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// In lower case, sorted.
static char **texts_of(const struct view *view, const char *key, size_t *ret_count)
{
    const json_t *list = json_object_get(view->body, key);
    if (!list)
        return NULL;
    size_t count = json_array_size(list);
    char **texts = allocate((count + 1) * sizeof(*texts));
    for (size_t i = 0; i < count; i++)
        texts[i] = lower(json_string_value(json_array_get(list, i)));
    qsort(texts, count, sizeof(*texts), compare_texts);
    *ret_count = count;
    return texts;
}

static struct network *networks_of(const struct view *view, const char *key, size_t *ret_count)
{
    const json_t *list = json_object_get(view->body, key);
    size_t count = json_array_size(list);
    struct network *networks = allocate((count + 1) * sizeof(*networks));
    for (size_t i = 0; i < count; i++)
        if (network_parse(json_string_value(json_array_get(list, i)), &networks[i]) < 0)
            abort(); // the schema let it pass
    *ret_count = count;
    return networks;
}

static void read_domain(struct settings_domain *ret, const char *name, const struct view *view)
{
    ret->name = duplicate(name);
    ret->recipients = texts_of(view, "recipients", &ret->recipient_count);
    ret->policy = text_of(view, "policy");
    ret->route = text_of(view, "route");
    if (!ret->policy)
        ret->policy = duplicate("default");
}

static int compare_hops(const void *a, const void *b)
{
    const struct settings_hop *left = a, *right = b;
    return (left->priority > right->priority) - (left->priority < right->priority);
}

static void read_route(struct settings_route *ret, const char *name, const struct view *view)
{
    const json_t *hops = json_object_get(view->body, "hops");
    ret->name = duplicate(name);
    ret->hop_count = json_array_size(hops);
    ret->hops = allocate((ret->hop_count + 1) * sizeof(*ret->hops));
    for (size_t i = 0; i < ret->hop_count; i++) {
        struct schema_hop hop;
        if (schema_hop(json_array_get(hops, i), (unsigned)i, &hop))
            abort(); // the schema let it pass
        ret->hops[i] = (struct settings_hop){duplicate(hop.host), hop.port, hop.priority};
    }
    qsort(ret->hops, ret->hop_count, sizeof(*ret->hops), compare_hops);
    ret->tls = (enum tls_policy)count_of(view, "tls");
    ret->concurrency = count_of(view, "concurrency");
    ret->rate_per_minute = count_of(view, "rate_per_minute");
}

static void read_policy(struct settings_policy *ret, const char *name, const struct view *view)
{
    ret->name = duplicate(name);
    ret->tag = schema_number(view->kind, view->body, "tag");
    ret->quarantine = schema_number(view->kind, view->body, "quarantine");
    ret->reject = schema_number(view->kind, view->body, "reject");
    ret->on_virus = (unsigned char)count_of(view, "on_virus");
    ret->on_ambiguous = (unsigned char)count_of(view, "on_ambiguous");
    ret->on_limit = (unsigned char)count_of(view, "on_limit");
    ret->on_timeout = (unsigned char)count_of(view, "on_timeout");
    ret->on_blocked = (unsigned char)count_of(view, "on_blocked");
    const char *prefix = schema_text(view->body, "tag_prefix");
    ret->tag_prefix = duplicate(prefix ? prefix : "");
}

static void read_list(struct settings_list *ret, const char *name, const struct view *view)
{
    ret->name = duplicate(name);
    ret->kind = (enum list_kind)count_of(view, "kind");
    ret->of = (enum list_of)count_of(view, "of");
    ret->entries = texts_of(view, "entries", &ret->entry_count);
    if (ret->of == LIST_CLIENT)
        ret->networks = networks_of(view, "entries", &ret->network_count);
}

static void read_redis(struct settings *ret, const struct view *view)
{
    ret->redis = text_of(view, "address");
    ret->redis_sentinels = texts_of(view, "sentinels", &ret->redis_sentinel_count);
    ret->redis_master_name = text_of(view, "master_name");
    ret->redis_user = text_of(view, "user");
    ret->redis_password_file = text_of(view, "password_file");
    ret->redis_authorities = text_of(view, "authorities");
    ret->redis_host = text_of(view, "host");
    ret->redis_sentinel_user = text_of(view, "sentinel_user");
    ret->redis_sentinel_password_file = text_of(view, "sentinel_password_file");
}

static void read_ingress(struct settings *ret, const struct view *view)
{
    ret->xclient = networks_of(view, "xclient", &ret->xclient_count);
    ret->unlimited = networks_of(view, "unlimited", &ret->unlimited_count);
    ret->normalise = networks_of(view, "normalise", &ret->normalise_count);
    ret->message_max = size_of(view, "message_max");
    ret->memory_max = size_of(view, "memory_max");
    ret->big_from = size_of(view, "big_from");
    ret->line_max = count_of(view, "line_max");
    ret->text_line_max = count_of(view, "text_line_max");
    ret->recipients_max = count_of(view, "recipients_max");
    ret->errors_max = count_of(view, "errors_max");
    ret->connections_max = count_of(view, "connections_max");
    ret->connections_per_client = count_of(view, "connections_per_client");
    ret->command_timeout_s = count_of(view, "command_timeout_s");
    ret->data_timeout_s = count_of(view, "data_timeout_s");
    ret->verdict_wait_ms = count_of(view, "verdict_wait_ms");
    ret->hops_max = count_of(view, "hops_max");
    ret->rate_per_minute_client = count_of(view, "rate_per_minute_client");
    ret->reputation = (int)count_of(view, "reputation");
    ret->greylist = (int)count_of(view, "greylist");
    ret->greylist_delay_s = count_of(view, "greylist_delay_s");
    ret->tls_certificate = text_of(view, "tls_certificate");
    ret->tls_key = text_of(view, "tls_key");
}

static void read_analyzer(struct settings *ret, const struct view *view)
{
    ret->check_timeout_ms = count_of(view, "check_timeout_ms");
    ret->job_timeout_ms = count_of(view, "job_timeout_ms");
    ret->analysis_wait_max_s = count_of(view, "analysis_wait_max_s");
    ret->depth_max = count_of(view, "depth_max");
    ret->parts_max = count_of(view, "parts_max");
    ret->headers_max = count_of(view, "headers_max");
    ret->header_bytes_max = size_of(view, "header_bytes_max");
    ret->analyzer_memory_max = size_of(view, "memory_max");
}

static void read_delivery(struct settings *ret, const struct view *view)
{
    ret->retry_first_s = count_of(view, "retry_first_s");
    ret->retry_factor = schema_number(view->kind, view->body, "retry_factor");
    ret->retry_most_s = count_of(view, "retry_most_s");
    ret->expire_s = count_of(view, "expire_s");
    ret->delay_notice_s = count_of(view, "delay_notice_s");
    ret->deliveries_most = count_of(view, "deliveries_most");
    ret->smtp_port = (uint16_t)count_of(view, "smtp_port");
    ret->resolver = text_of(view, "resolver");
}

static void read_single_documents(struct settings *ret, const json_t *documents)
{
    struct view relay = view_of(documents, "relay"), ingress = view_of(documents, "ingress"),
                analyzer = view_of(documents, "analyzer"),
                delivery = view_of(documents, "delivery"), redis = view_of(documents, "redis"),
                stages = view_of(documents, "stages"),
                quarantine = view_of(documents, "quarantine");
    ret->relay_clients = networks_of(&relay, "clients", &ret->relay_client_count);
    read_ingress(ret, &ingress);
    read_analyzer(ret, &analyzer);
    read_delivery(ret, &delivery);
    read_redis(ret, &redis);
    ret->ingress = count_of(&stages, "ingress");
    ret->analyzer = count_of(&stages, "analyzer");
    ret->delivery = count_of(&stages, "delivery");
    ret->quarantine_days = count_of(&quarantine, "days");
    ret->quarantine_percent = count_of(&quarantine, "disk_percent");
}

// The policy "default" is added where it is missing.
static void read_named_documents(struct settings *ret, const json_t *documents)
{
    size_t most = json_object_size(documents) + 1;
    ret->domains = allocate(most * sizeof(*ret->domains));
    ret->routes = allocate(most * sizeof(*ret->routes));
    ret->policies = allocate(most * sizeof(*ret->policies));
    ret->lists = allocate(most * sizeof(*ret->lists));
    const char *document;
    json_t *body;
    json_object_foreach((json_t *)documents, document, body)
    {
        struct view view = {schema_kind_of(document), body};
        const char *slash = strchr(document, '/'), *name = slash ? slash + 1 : "";
        if (strcmp(view.kind->name, "domain") == 0)
            read_domain(&ret->domains[ret->domain_count++], name, &view);
        else if (strcmp(view.kind->name, "route") == 0)
            read_route(&ret->routes[ret->route_count++], name, &view);
        else if (strcmp(view.kind->name, "policy") == 0)
            read_policy(&ret->policies[ret->policy_count++], name, &view);
        else if (strcmp(view.kind->name, "list") == 0)
            read_list(&ret->lists[ret->list_count++], name, &view);
    }
    if (!json_object_get(documents, "policy/default")) {
        struct view view = {schema_kind_of("policy/default"), NULL};
        read_policy(&ret->policies[ret->policy_count++], "default", &view);
    }
}

// Every named part begins with its name, so one comparison sorts and finds them all.
static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_by_name(struct settings *self)
{
    qsort(self->domains, self->domain_count, sizeof(*self->domains), compare_names);
    qsort(self->routes, self->route_count, sizeof(*self->routes), compare_names);
    qsort(self->policies, self->policy_count, sizeof(*self->policies), compare_names);
    qsort(self->lists, self->list_count, sizeof(*self->lists), compare_names);
}

// The settings that callers see, with their reference count.
struct counted {
    struct settings settings;
    unsigned references;
};

static int says_only_who_belongs(const json_t *documents)
{
    const char *document;
    json_t *body;
    json_object_foreach((json_t *)documents, document, body)
    {
        if (!schema_is_membership(document))
            return 0;
    }
    return json_object_size(documents) > 0;
}

static struct settings *build(const json_t *root)
{
    struct counted *counted = allocate(sizeof(*counted));
    struct settings *self = &counted->settings;
    const json_t *documents = json_object_get(root, "documents");
    counted->references = 1;
    self->revision = duplicate(json_string_value(json_object_get(root, "revision")));
    read_single_documents(self, documents);
    read_named_documents(self, documents);
    sort_by_name(self);
    self->nodes = nodes_read(documents, 0, &self->node_count);
    self->revoked = nodes_revoked_keys(documents, &self->revoked_count);
    self->unconfigured = strcmp(self->revision, "0") == 0 || says_only_who_belongs(documents);
    return self;
}

struct settings *settings_parse(const char *json, size_t size, char *ret_error, size_t error_size)
{
    json_t *root = schema_read(json, size, ret_error, error_size);
    if (!root)
        return NULL;
    struct settings *self = NULL;
    const char *revision = json_string_value(json_object_get(root, "revision"));
    if (!revision || strlen(revision) > SETTINGS_REVISION_MOST)
        snprintf(ret_error, error_size,
                 "revision: it is missing or too long; give a text of at most %d bytes",
                 SETTINGS_REVISION_MOST);
    else if (json_object_size(root) != 2)
        snprintf(ret_error, error_size,
                 "tree: it has \"revision\" and \"documents\" only; take out the rest");
    else if (schema_check_tree(json_object_get(root, "documents"), ret_error, error_size) == 0)
        self = build(root);
    json_decref(root);
    return self;
}

int settings_unconfigured(const struct settings *self)
{
    return self->unconfigured;
}

const struct settings_node *settings_node(const struct settings *self, const char *key)
{
    for (size_t i = 0; i < self->node_count; i++) {
        const struct settings_node *node = &self->nodes[i];
        if (strcmp(node->key, key) == 0 ||
            (node->previous_key && strcmp(node->previous_key, key) == 0))
            return node;
    }
    return NULL;
}

struct settings *settings_retain(struct settings *self)
{
    ((struct counted *)self)->references++;
    return self;
}

static int was_called(const struct settings_node *node, const char *name)
{
    for (size_t i = 0; i < node->former_count; i++)
        if (strcmp(node->former[i], name) == 0)
            return 1;
    return 0;
}

// The node that has the name comes before one that had it.
static const struct settings_node *node_called(const struct settings *self, const char *name)
{
    const struct settings_node *found = NULL;
    for (size_t i = 0; i < self->node_count; i++) {
        const struct settings_node *node = &self->nodes[i];
        if (strcmp(node->name, name) == 0)
            return node;
        if (!found && was_called(node, name))
            found = node;
    }
    return found;
}

enum node_wish settings_wish(const struct settings *self, const char *name)
{
    const struct settings_node *node = node_called(self, name);
    return node ? node->wish : NODE_WISH_UP;
}

static unsigned own_or(int own, unsigned everywhere)
{
    return own >= 0 ? (unsigned)own : everywhere;
}

struct settings_stages settings_stages(const struct settings *self, const char *name)
{
    const struct settings_node *node = node_called(self, name);
    if (!node)
        return (struct settings_stages){self->ingress, self->analyzer, self->delivery};
    return (struct settings_stages){own_or(node->ingress, self->ingress),
                                    own_or(node->analyzer, self->analyzer),
                                    own_or(node->delivery, self->delivery)};
}

int settings_revoked(const struct settings *self, const char *key)
{
    char hex[CURVE_KEY_HEX + 1];
    const char *wanted = hex;
    return z85_to_hex(key, hex) == 0 && bsearch(&wanted, self->revoked, self->revoked_count,
                                                sizeof(*self->revoked), compare_texts) != NULL;
}

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

static void free_named(struct settings *self)
{
    for (size_t i = 0; i < self->domain_count; i++) {
        struct settings_domain *domain = &self->domains[i];
        free_texts(domain->recipients, domain->recipient_count);
        free(domain->name);
        free(domain->policy);
        free(domain->route);
    }
    for (size_t i = 0; i < self->route_count; i++) {
        for (size_t k = 0; k < self->routes[i].hop_count; k++)
            free(self->routes[i].hops[k].host);
        free(self->routes[i].hops);
        free(self->routes[i].name);
    }
    for (size_t i = 0; i < self->policy_count; i++) {
        free(self->policies[i].name);
        free(self->policies[i].tag_prefix);
    }
    for (size_t i = 0; i < self->list_count; i++) {
        free_texts(self->lists[i].entries, self->lists[i].entry_count);
        free(self->lists[i].networks);
        free(self->lists[i].name);
    }
}

void settings_release(struct settings **self_p)
{
    struct settings *self = *self_p;
    *self_p = NULL;
    if (!self || --((struct counted *)self)->references > 0)
        return;
    free_named(self);
    free_texts(self->redis_sentinels, self->redis_sentinel_count);
    nodes_free(self->nodes, self->node_count);
    free_texts(self->revoked, self->revoked_count);
    void *const blocks[] = {self->revision,
                            self->domains,
                            self->routes,
                            self->policies,
                            self->lists,
                            self->relay_clients,
                            self->xclient,
                            self->unlimited,
                            self->normalise,
                            self->tls_certificate,
                            self->tls_key,
                            self->resolver,
                            self->redis,
                            self->redis_user,
                            self->redis_password_file,
                            self->redis_authorities,
                            self->redis_host,
                            self->redis_master_name,
                            self->redis_sentinel_user,
                            self->redis_sentinel_password_file};
    for (size_t i = 0; i < ARRAY_LENGTH(blocks); i++)
        free(blocks[i]);
    free(self);
}

const struct settings_domain *settings_domain(const struct settings *self, const char *domain,
                                              size_t size)
{
    char name[SCHEMA_NAME_MOST + 1];
    const char *key = name;
    if (size >= sizeof(name))
        return NULL;
    for (size_t i = 0; i < size; i++)
        name[i] = (char)tolower((unsigned char)domain[i]);
    name[size] = 0;
    return bsearch(&key, self->domains, self->domain_count, sizeof(*self->domains), compare_names);
}

const struct settings_route *settings_route(const struct settings *self, const char *name)
{
    return bsearch(&name, self->routes, self->route_count, sizeof(*self->routes), compare_names);
}

const struct settings_policy *settings_policy(const struct settings *self, const char *name)
{
    const char *fallback = "default";
    const struct settings_policy *found = NULL;
    if (name)
        found = bsearch(&name, self->policies, self->policy_count, sizeof(*found), compare_names);
    if (!found)
        found =
            bsearch(&fallback, self->policies, self->policy_count, sizeof(*found), compare_names);
    return found;
}
