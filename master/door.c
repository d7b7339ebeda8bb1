// SPDX-License-Identifier: Apache-2.0
#include "master/door.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "core/base/unpack.h"
#include "core/bus/control.h"
#include "mail/nodes.h"
#include "master/member_changes.h"
#include "master/throttle.h"
#include "master/tokens.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct door {
    struct master *master;
    struct control *control; // NULL: closed
    struct tokens tokens;
    struct throttle throttle;
    int failed; // to open, and it was told
};

static int64_t now_s(void)
{
    return clock_wall_ms() / 1000;
}

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static struct span span_of_bytes(const ProtobufCBinaryData *data)
{
    return (struct span){(const char *)data->data, data->len};
}

// -- answers

static void send_answer(struct control *control, const char *key, const Postern__JoinAnswer *answer)
{
    if (control && control_send(control, key, CONTROL_JOIN_ANSWER, &answer->base) < 0)
        log_debug("door.answer", "unsent=%d", errno); // it asks again
}

static void refuse(struct door *self, const char *key, const char *why, int later)
{
    Postern__JoinAnswer answer = POSTERN__JOIN_ANSWER__INIT;
    answer.refused = bytes_of(why);
    answer.later = later;
    metric_add(metric("joins_refused_total", ""), 1);
    send_answer(self->control, key, &answer);
}

static int is_reachable_master(const struct settings_node *node)
{
    return node->role == ROLE_MASTER && node->control && node->publish && node->events;
}

// Tells a member its name and its masters.
static void tell_member(struct master *master, struct control *control, const char *key,
                        const char *route)
{
    Postern__JoinAnswer answer = POSTERN__JOIN_ANSWER__INIT;
    Postern__JoinMaster masters[TOKEN_DOORS_MOST], *list[TOKEN_DOORS_MOST];
    size_t count;
    struct settings_node *nodes = nodes_read(json_object_get(master->tree, "documents"), 0, &count);
    for (size_t i = 0; i < count; i++) {
        const struct settings_node *node = &nodes[i];
        if (strcmp(node->key, key) == 0)
            answer.name = bytes_of(node->name);
        else if (is_reachable_master(node) && answer.n_masters < TOKEN_DOORS_MOST) {
            Postern__JoinMaster *entry = &masters[answer.n_masters];
            postern__join_master__init(entry);
            entry->name = bytes_of(node->name);
            entry->key = bytes_of(node->key);
            entry->control = bytes_of(node->control);
            entry->publish = bytes_of(node->publish);
            entry->events = bytes_of(node->events);
            list[answer.n_masters++] = entry;
        }
    }
    answer.masters = list;
    json_t *warnings = members_warnings(&master->members);
    const char *warning = json_string_value(json_array_get(warnings, 0));
    answer.warning = bytes_of(warning ? warning : "");
    if (answer.name.len)
        send_answer(control, route, &answer);
    json_decref(warnings);
    nodes_free(nodes, count);
}

void door_knocked(struct master *master, const struct member *member)
{
    tell_member(master, master->control, member->key, member->route);
}

// -- proofs

static void joined(struct change *change)
{
    struct door *self = change->context;
    const char *key = change_text(change, "key");
    if (change->status == 200) {
        log_info("door.joined", "node=%s", change_text(change, "given"));
        tell_member(self->master, self->control, key, key);
        return;
    }
    log_warning("door.refused", "reason=\"%s\"", change->error);
    tokens_unbind(&self->tokens, key);
    refuse(self, key, change->error, change->status >= 500);
}

static void add_text(json_t *object, const char *name, const ProtobufCBinaryData *data, size_t most)
{
    if (data->len > 0 && data->len <= most && !memchr(data->data, 0, data->len))
        json_object_set_new(object, name, json_stringn((const char *)data->data, data->len));
}

// What the joiner says of itself, of which a worker's addresses are of no interest.
static json_t *arguments_of(const Postern__JoinProof *proof, const struct token *token,
                            const char *key)
{
    json_t *arguments =
        json_pack("{s:s, s:s, s:{}}", "key", key, "role", role_name(token->role), "says");
    json_t *says = json_object_get(arguments, "says");
    add_text(arguments, "name", &proof->name, 63);
    if (token->name[0])
        json_object_set_new(arguments, "name", json_string(token->name));
    if (token->role != ROLE_MASTER)
        return arguments;
    add_text(says, "control", &proof->control, 127);
    add_text(says, "publish", &proof->publish, 127);
    add_text(says, "events", &proof->events, 127);
    add_text(says, "public", &proof->public_, 127);
    add_text(says, "enrol", &proof->enrol, 127);
    add_text(says, "sign", &proof->sign, 43);
    return arguments;
}

static void on_proof(struct door *self, const char *key, const Postern__JoinProof *proof)
{
    const struct token *token = NULL;
    switch (tokens_prove(&self->tokens, span_of_bytes(&proof->id), span_of_bytes(&proof->secret),
                         key, now_s(), &token)) {
    case TOKEN_GOOD:
        // Spending it and entering the member list are the one revision that this makes.
        change_start(
            change_new(self->master, arguments_of(proof, token, key), member_join, joined, self));
        return;
    case TOKEN_SPENT:
        refuse(self, key, "the token was used by another node; make another", 0);
        return;
    case TOKEN_WRONG:
    case TOKEN_UNKNOWN:
        log_warning("door.wrong", "address=%s", control_address(self->control));
        refuse(self, key, "the token is wrong, used up or expired; make another", 0);
        return;
    }
}

static void receive(void *context, const char *key, enum control_type type, const uint8_t *data,
                    size_t size)
{
    struct door *self = context;
    if (type != CONTROL_JOIN_PROOF) {
        metric_add(metric("messages_refused_total", ""), 1);
        return;
    }
    if (!throttle_may(&self->throttle, control_address(self->control),
                      loop_now_ms(self->master->loop))) {
        metric_add(metric("joins_throttled_total", ""), 1);
        return; // it asks again
    }
    Postern__JoinProof *proof = postern__join_proof__unpack(&unpack_allocator, size, data);
    if (proof)
        on_proof(self, key, proof);
    postern__join_proof__free_unpacked(proof, NULL);
}

// -- the port

static void open_port(struct door *self)
{
    const char *endpoint = self->master->conf->bind_enrol;
    self->control =
        control_serve_joins(self->master->loop, endpoint, &self->master->keys, receive, self);
    if (self->control)
        log_info("door.open", "endpoint=%s", endpoint);
    else if (!self->failed)
        log_error("door.closed", "endpoint=%s error=\"%s\"", endpoint, strerror(errno));
    self->failed = !self->control;
}

void door_tick(struct door *self)
{
    int alive = tokens_alive(&self->tokens, now_s());
    if (alive && !self->control)
        open_port(self);
    if (alive || !self->control)
        return;
    control_destroy(&self->control);
    log_info("door.closed", "endpoint=%s", self->master->conf->bind_enrol);
}

struct door *door_new(struct master *master)
{
    struct door *self = allocate(sizeof(*self));
    self->master = master;
    return self;
}

void door_destroy(struct door **self)
{
    if (!*self)
        return;
    control_destroy(&(*self)->control);
    free(*self);
    *self = NULL;
}

// -- tokens

// This master first, then the other: a token can be shown at either, and is spent here.
static void add_doors(const struct master *master, const struct settings_node *nodes, size_t count,
                      Postern__JoinToken *token, Postern__JoinDoor doors[TOKEN_DOORS_MOST])
{
    for (int others = 0; others < 2; others++)
        for (size_t i = 0; i < count && token->n_doors < TOKEN_DOORS_MOST; i++) {
            const struct settings_node *node = &nodes[i];
            int other = strcmp(node->key, master->keys.public_key) != 0;
            if (other != others || node->role != ROLE_MASTER || !node->enrol || !node->control)
                continue;
            Postern__JoinDoor *door = &doors[token->n_doors];
            postern__join_door__init(door);
            door->enrol = bytes_of(node->enrol);
            door->control = bytes_of(node->control);
            door->key = bytes_of(node->key);
            token->doors[token->n_doors++] = door;
        }
}

static char *encode(const struct master *master, const struct token *made, uint8_t *secret)
{
    Postern__JoinToken token = POSTERN__JOIN_TOKEN__INIT;
    Postern__JoinDoor doors[TOKEN_DOORS_MOST], *list[TOKEN_DOORS_MOST];
    const json_t *documents = json_object_get(master->tree, "documents");
    const char *cluster =
        json_string_value(json_object_get(json_object_get(documents, "cluster"), "id"));
    size_t count;
    struct settings_node *nodes = nodes_read(documents, 0, &count);
    token.doors = list;
    add_doors(master, nodes, count, &token, doors);
    token.cluster = bytes_of(cluster ? cluster : "");
    token.id = (ProtobufCBinaryData){TOKEN_ID_BYTES, (uint8_t *)made->id};
    token.secret = (ProtobufCBinaryData){TOKEN_SECRET_BYTES, secret};
    token.role = bytes_of(role_name(made->role));
    token.expires_s = (uint64_t)made->expires_s;
    char *text = token.n_doors && cluster ? token_encode(&token) : NULL;
    nodes_free(nodes, count);
    return text;
}

char *door_token(struct door *self, enum role role, const char *name, int64_t lifetime_s,
                 char *ret_error, size_t error_size)
{
    uint8_t secret[TOKEN_SECRET_BYTES];
    const struct token *made =
        tokens_make(&self->tokens, role, name, now_s(), now_s() + lifetime_s, secret);
    if (!made) {
        snprintf(ret_error, error_size, "%d tokens are alive; wait until some expire", TOKENS_MOST);
        return NULL;
    }
    char *text = encode(self->master, made, secret);
    OPENSSL_cleanse(secret, sizeof(secret));
    if (!text)
        snprintf(ret_error, error_size, "the master has not entered itself yet; try again");
    if (!self->control)
        open_port(self);
    return text;
}
