// SPDX-License-Identifier: Apache-2.0
#include "master/member_changes.h"
#include "core/base/clock.h"
#include "core/base/z85.h"
#include "core/bus/keys.h"
#include "mail/nodes.h"
#include "mail/schema.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { DOCUMENT_SIZE = 80 };

static void document_of(const char *name, char ret[DOCUMENT_SIZE])
{
    snprintf(ret, DOCUMENT_SIZE, "node/%.63s", name);
}

static const json_t *body_of(const json_t *documents, const char *name)
{
    char document[DOCUMENT_SIZE];
    document_of(name, document);
    return json_object_get(documents, document);
}

// The member's document as it will be, to be changed further; NULL: there is no such member.
static json_t *copy_of(struct change *self, const json_t *documents)
{
    const json_t *body = body_of(documents, change_text(self, "name"));
    if (schema_text(body, "key"))
        return json_copy((json_t *)body);
    return change_refuse(self, 404, "there is no node of that name; see `postern node list`");
}

static int has_been(const struct settings_node *node, const char *name)
{
    for (size_t i = 0; i < node->former_count; i++)
        if (strcmp(node->former[i], name) == 0)
            return 1;
    return 0;
}

static const char *clash(const struct settings_node *node, const char *name, const char *key)
{
    if (strcmp(node->name, name) == 0)
        return "the name is taken; see `postern node list`";
    if (has_been(node, name))
        return "a node had that name, its mails are found by it; see `postern node list`";
    if (strcmp(node->key, key) == 0 || (node->previous_key && strcmp(node->previous_key, key) == 0))
        return "the key is taken; see `postern node list`";
    return NULL;
}

// A reason to refuse; NULL: the name and the key are free.
static const char *objection_to(const json_t *documents, const char *name, const char *key)
{
    size_t count;
    const char *objection =
        nodes_revoked(documents, key) ? "the key was revoked; make another" : NULL;
    struct settings_node *nodes = nodes_read(documents, 1, &count);
    for (size_t i = 0; i < count && !objection; i++)
        objection = clash(&nodes[i], name, key);
    nodes_free(nodes, count);
    if (!objection && count >= MEMBERS_MOST)
        objection = "the cluster is full";
    return objection;
}

// What is wrong with a name or a key by itself.
static json_t *refuse_form(struct change *self, const char *name, const char *key, const char *role)
{
    uint8_t bytes[CURVE_KEY_BYTES];
    size_t length = strlen(name);
    if (length == 0 || length > SCHEMA_NODE_NAME_MOST ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") != length)
        return change_refuse(self, 422, "name: give 1 to 63 of a-z, 0-9, - _ .");
    if (z85_decode(key, bytes) < 0)
        return change_refuse(self, 422, "key: give the 40 characters that `postern keygen` prints");
    if (curve_key_published(key))
        return change_refuse(
            self, 422, "key: this one is printed in a manual; make one with `postern keygen`");
    if (role_of(role) < 0)
        return change_refuse(self, 422, "role: give worker, master or monitor");
    return NULL;
}

json_t *member_add(struct change *self, const json_t *documents)
{
    const char *name = change_text(self, "name"), *key = change_text(self, "key"),
               *role = change_text(self, "role");
    char document[DOCUMENT_SIZE];
    if (!*role)
        role = "worker";
    refuse_form(self, name, key, role);
    if (self->status)
        return NULL;
    const char *objection = objection_to(documents, name, key);
    if (objection)
        return change_refuse(self, 409, "%s", objection);
    // Its site may have been written down before it came.
    const json_t *body = body_of(documents, name);
    json_t *after = body ? json_copy((json_t *)body) : json_object();
    json_object_set_new(after, "role", json_string(role));
    json_object_set_new(after, "key", json_string(key));
    document_of(name, document);
    snprintf(self->comment, sizeof(self->comment), "node %s joins", name);
    return json_pack("{s:o}", document, after);
}

// -- by token

// What may be a name: the rest becomes '-'.
static void make_name(const char *wish, char ret[SCHEMA_NODE_NAME_MOST + 1])
{
    size_t size = 0;
    for (; *wish && size < SCHEMA_NODE_NAME_MOST - 4; wish++) {
        char letter = (char)tolower((unsigned char)*wish);
        int good = strchr("abcdefghijklmnopqrstuvwxyz0123456789-_", letter) != NULL;
        ret[size++] = good ? letter : '-';
    }
    ret[size] = 0;
    if (size == 0)
        snprintf(ret, SCHEMA_NODE_NAME_MOST + 1, "node");
}

static int is_free(const struct settings_node *nodes, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(nodes[i].name, name) == 0 || has_been(&nodes[i], name))
            return 0;
    return 1;
}

static json_t *join_as(struct change *self, const json_t *documents,
                       const struct settings_node *nodes, size_t count)
{
    char wish[SCHEMA_NODE_NAME_MOST + 1], name[SCHEMA_NODE_NAME_MOST + 8], document[DOCUMENT_SIZE];
    make_name(change_text(self, "name"), wish);
    snprintf(name, sizeof(name), "%s", wish);
    for (unsigned number = 2; !is_free(nodes, count, name); number++)
        snprintf(name, sizeof(name), "%s-%u", wish, number);
    const json_t *body = body_of(documents, name);
    json_t *after = body ? json_copy((json_t *)body) : json_object();
    json_object_update(after, json_object_get(self->arguments, "says"));
    json_object_set(after, "role", json_object_get(self->arguments, "role"));
    json_object_set(after, "key", json_object_get(self->arguments, "key"));
    json_object_set_new(self->arguments, "given", json_string(name));
    document_of(name, document);
    snprintf(self->comment, sizeof(self->comment), "node %.63s joins by token", name);
    return json_pack("{s:o}", document, after);
}

static unsigned masters_among(const struct settings_node *nodes, size_t count)
{
    unsigned masters = 0;
    for (size_t i = 0; i < count; i++)
        masters += nodes[i].role == ROLE_MASTER && !nodes[i].is_revoked;
    return masters;
}

json_t *member_join(struct change *self, const json_t *documents)
{
    size_t count;
    json_t *changes = NULL;
    const char *key = change_text(self, "key");
    int is_master = strcmp(change_text(self, "role"), role_name(ROLE_MASTER)) == 0;
    struct settings_node *nodes = nodes_read(documents, 1, &count);
    size_t own = 0;
    while (own < count && strcmp(nodes[own].key, key) != 0)
        own++;
    if (nodes_revoked(documents, key)) {
        change_refuse(self, 409, "this node's key was revoked; remove its keys and join again");
    } else if (own < count) {
        json_object_set_new(self->arguments, "given", json_string(nodes[own].name));
        changes = json_object();
    } else if (count >= MEMBERS_MOST) {
        change_refuse(self, 409, "the cluster is full");
    } else if (is_master && masters_among(nodes, count) >= MASTERS_MOST) {
        change_refuse(self, 409, "the cluster has two masters; remove one first");
    } else {
        changes = join_as(self, documents, nodes, count);
    }
    nodes_free(nodes, count);
    return changes;
}

// -- out again

// Adds revoked/<key> for a key of the member.
static void revoke(json_t *changes, const char *name, const char *key)
{
    char document[sizeof("revoked/") + CURVE_KEY_HEX] = "revoked/";
    if (key && z85_to_hex(key, document + strlen(document)) == 0)
        json_object_set_new(changes, document, json_pack("{s:s}", "node", name));
}

static json_t *revocations(const char *name, const json_t *body)
{
    json_t *changes = json_object();
    revoke(changes, name, schema_text(body, "key"));
    revoke(changes, name, schema_text(body, "previous_key"));
    return changes;
}

json_t *member_remove(struct change *self, const json_t *documents)
{
    const char *name = change_text(self, "name");
    char document[DOCUMENT_SIZE];
    if (strcmp(name, self->master->conf->name) == 0)
        return change_refuse(self, 409, "this is the master that you ask; ask the other one");
    json_t *body = copy_of(self, documents);
    if (!body)
        return NULL;
    json_t *changes = revocations(name, body);
    document_of(name, document);
    json_object_set_new(changes, document, json_null());
    snprintf(self->comment, sizeof(self->comment), "node %s is removed", name);
    json_decref(body);
    return changes;
}

json_t *member_revoke(struct change *self, const json_t *documents)
{
    const char *name = change_text(self, "name");
    if (strcmp(name, self->master->conf->name) == 0)
        return change_refuse(self, 409, "this is the master that you ask; ask the other one");
    json_t *body = copy_of(self, documents);
    if (!body)
        return NULL;
    json_t *changes = revocations(name, body);
    snprintf(self->comment, sizeof(self->comment), "node %s is revoked", name);
    json_decref(body);
    return changes;
}

// -- what it is to do, how it is called

static json_t *wish(struct change *self, const json_t *documents, const char *state)
{
    const char *name = change_text(self, "name");
    char document[DOCUMENT_SIZE];
    json_t *body = copy_of(self, documents);
    if (!body)
        return NULL;
    if ((int)schema_number(schema_kind_of("node/x"), body, "role") != ROLE_WORKER) {
        json_decref(body);
        return change_refuse(self, 422, "only workers take mail; this is none");
    }
    json_object_set_new(body, "state", json_string(state));
    document_of(name, document);
    snprintf(self->comment, sizeof(self->comment), "node %s: %s", name, state);
    return json_pack("{s:o}", document, body);
}

json_t *member_drain(struct change *self, const json_t *documents)
{
    return wish(self, documents, "draining");
}

json_t *member_undrain(struct change *self, const json_t *documents)
{
    return wish(self, documents, "up");
}

static json_t *rename_to(struct change *self, json_t *body, const char *name, const char *to)
{
    char before[DOCUMENT_SIZE], after[DOCUMENT_SIZE];
    json_t *former = json_object_get(body, "formerly");
    json_t *list = former ? json_copy(former) : json_array();
    if (json_array_size(list) >= MEMBER_FORMER_MOST) {
        json_decref(list);
        return change_refuse(self, 409, "it has had too many names");
    }
    json_array_append_new(list, json_string(name));
    json_object_set_new(body, "formerly", list);
    document_of(name, before);
    document_of(to, after);
    snprintf(self->comment, sizeof(self->comment), "node %.50s is called %.50s", name, to);
    return json_pack("{s:n, s:O}", before, after, body);
}

json_t *member_rename(struct change *self, const json_t *documents)
{
    const char *name = change_text(self, "name"), *to = change_text(self, "to");
    json_t *body = copy_of(self, documents);
    if (!body)
        return NULL;
    int is_worker = (int)schema_number(schema_kind_of("node/x"), body, "role") == ROLE_WORKER;
    refuse_form(self, to, schema_text(body, "key"), "worker");
    json_t *changes = NULL;
    if (!is_worker)
        change_refuse(self, 422,
                      "only a worker can be renamed: a master's name is in its node.conf");
    else if (!self->status && (body_of(documents, to) || objection_to(documents, to, "")))
        change_refuse(self, 409, "a node has or had that name; see `postern node list`");
    if (!self->status)
        changes = rename_to(self, body, name, to);
    json_decref(body);
    return changes;
}

json_t *member_rekey(struct change *self, const json_t *documents)
{
    enum { BOTH_GOOD_S = 24 * 3600 };
    const char *name = change_text(self, "name"), *key = change_text(self, "key");
    char document[DOCUMENT_SIZE];
    json_t *body = copy_of(self, documents);
    if (!body)
        return NULL;
    const char *objection = objection_to(documents, "", key);
    refuse_form(self, name, key, "worker");
    if (objection && !self->status)
        change_refuse(self, 409, "%s", objection);
    if (self->status) {
        json_decref(body);
        return NULL;
    }
    json_object_set(body, "previous_key", json_object_get(body, "key"));
    json_object_set_new(body, "previous_until", json_integer(clock_wall_ms() / 1000 + BOTH_GOOD_S));
    json_object_set_new(body, "key", json_string(key));
    document_of(name, document);
    snprintf(self->comment, sizeof(self->comment), "node %s has a new key", name);
    return json_pack("{s:o}", document, body);
}
