// SPDX-License-Identifier: Apache-2.0
#include "core/bus/join.h"
#include "core/base/clock.h"
#include "core/base/loop.h"
#include "core/base/unpack.h"
#include "core/bus/control.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    ASK_AGAIN_MS = 1000,
    SILENCE_MOST_MS = 20000, // nobody has said a word
    WAIT_MOST_MS = 90000,    // they say "later"
};

struct join {
    struct loop *loop;
    const Postern__JoinToken *token;
    const struct nodeconf *conf;
    struct door {
        struct join *join;
        struct control *enrol, *control;
    } doors[TOKEN_DOORS_MOST];
    struct timer *again;
    int64_t started_ms, heard_ms;
    struct join_result *result;
    char *error;
    size_t error_size;
    int ended, rc;
};

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static void end(struct join *self, int rc)
{
    self->ended = 1;
    self->rc = rc;
    loop_stop(self->loop);
}

// -- what we say

static void prove(struct door *door)
{
    const struct join *self = door->join;
    const struct nodeconf *conf = self->conf;
    const char *const bound[] = {conf->bind_control, conf->bind_publish, conf->bind_events,
                                 conf->bind_public, conf->bind_enrol};
    char reached[ARRAY_LENGTH(bound)][128];
    for (size_t i = 0; i < ARRAY_LENGTH(bound); i++)
        nodeconf_reach(conf, bound[i], reached[i]);
    Postern__JoinProof proof = POSTERN__JOIN_PROOF__INIT;
    proof.cluster = self->token->cluster;
    proof.id = self->token->id;
    proof.secret = self->token->secret;
    proof.name = bytes_of(conf->name);
    proof.site = bytes_of(conf->site);
    proof.control = bytes_of(reached[0]);
    proof.publish = bytes_of(reached[1]);
    proof.events = bytes_of(reached[2]);
    proof.public_ = bytes_of(reached[3]);
    proof.enrol = bytes_of(reached[4]);
    (void)!control_send(door->enrol, NULL, CONTROL_JOIN_PROOF, &proof.base);
}

static void knock(struct door *door)
{
    Postern__JoinKnock message = POSTERN__JOIN_KNOCK__INIT;
    message.cluster = door->join->token->cluster;
    (void)!control_send(door->control, NULL, CONTROL_JOIN_KNOCK, &message.base);
}

static void on_enrol_session(void *context)
{
    prove(context);
}

static void on_control_session(void *context)
{
    knock(context);
}

static void ask_again(void *context)
{
    struct join *self = context;
    int64_t now = loop_now_ms(self->loop), silent_ms = now - self->heard_ms;
    if (silent_ms >= SILENCE_MOST_MS || now - self->started_ms >= WAIT_MOST_MS) {
        int expired = (int64_t)self->token->expires_s <= clock_wall_ms() / 1000;
        snprintf(self->error, self->error_size, "%s",
                 expired
                     ? "the token has expired; make another"
                     : "no master answers; the token is used up, its master was started anew, or "
                       "the way to it is closed");
        end(self, -1);
        return;
    }
    for (size_t i = 0; i < self->token->n_doors; i++) {
        prove(&self->doors[i]);
        knock(&self->doors[i]);
    }
    timer_start(self->again, ASK_AGAIN_MS);
}

// -- what we hear

static int copy_text(char *ret, size_t size, const ProtobufCBinaryData *data)
{
    if (data->len == 0 || data->len >= size || memchr(data->data, 0, data->len))
        return -1;
    memcpy(ret, data->data, data->len);
    ret[data->len] = 0;
    return 0;
}

static int copy_master(struct master_address *ret, const Postern__JoinMaster *master)
{
    return copy_text(ret->name, sizeof(ret->name), &master->name) < 0 ||
                   copy_text(ret->key, sizeof(ret->key), &master->key) < 0 ||
                   copy_text(ret->control, sizeof(ret->control), &master->control) < 0 ||
                   copy_text(ret->publish, sizeof(ret->publish), &master->publish) < 0 ||
                   copy_text(ret->events, sizeof(ret->events), &master->events) < 0
               ? -1
               : 0;
}

// What a master says to people.
static void copy_words(char *ret, size_t size, const ProtobufCBinaryData *words)
{
    int length = words->len < 300 ? (int)words->len : 300;
    snprintf(ret, size, "%.*s", length, words->len ? (const char *)words->data : "");
    for (char *at = ret; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 127)
            *at = '?';
}

static void accept_answer(struct join *self, const Postern__JoinAnswer *answer)
{
    struct join_result *result = self->result;
    result->master_count = 0;
    if (copy_text(result->name, sizeof(result->name), &answer->name) < 0)
        return;
    for (size_t i = 0; i < answer->n_masters && result->master_count < MASTERS_MOST; i++)
        if (copy_master(&result->masters[result->master_count], answer->masters[i]) == 0)
            result->master_count++;
    copy_words(result->warning, sizeof(result->warning), &answer->warning);
    if (result->master_count > 0)
        end(self, 0);
}

// Only the issuer's no is final: the other master does not know what the issuer knows.
static void refuse_answer(struct door *door, const Postern__JoinAnswer *answer)
{
    struct join *self = door->join;
    if (answer->later || door != &self->doors[0])
        return;
    copy_words(self->error, self->error_size, &answer->refused);
    end(self, -1);
}

static void receive(void *context, const char *key, enum control_type type, const uint8_t *data,
                    size_t size)
{
    (void)key;
    struct door *door = context;
    Postern__JoinAnswer *answer = type == CONTROL_JOIN_ANSWER
                                      ? postern__join_answer__unpack(&unpack_allocator, size, data)
                                      : NULL;
    if (!answer || door->join->ended) {
        postern__join_answer__free_unpacked(answer, NULL);
        return;
    }
    door->join->heard_ms = loop_now_ms(door->join->loop);
    if (answer->refused.len > 0)
        refuse_answer(door, answer);
    else
        accept_answer(door->join, answer);
    postern__join_answer__free_unpacked(answer, NULL);
}

// -- life

static int open_door(struct join *self, size_t i, const struct curve_keys *keys)
{
    const Postern__JoinDoor *from = self->token->doors[i];
    struct door *door = &self->doors[i];
    char enrol[128], control[128], key[41];
    door->join = self;
    if (copy_text(enrol, sizeof(enrol), &from->enrol) < 0 ||
        copy_text(control, sizeof(control), &from->control) < 0 ||
        copy_text(key, sizeof(key), &from->key) < 0) {
        errno = EINVAL;
        return -1;
    }
    door->enrol = control_connect(self->loop, enrol, keys, key, receive, door);
    door->control = control_connect(self->loop, control, keys, key, receive, door);
    if (!door->enrol || !door->control)
        return -1;
    control_on_session(door->enrol, on_enrol_session, door);
    control_on_session(door->control, on_control_session, door);
    return 0;
}

int join_cluster(const Postern__JoinToken *token, const struct curve_keys *keys,
                 const struct nodeconf *conf, struct join_result *ret, char *ret_error,
                 size_t error_size)
{
    struct join self = {.loop = loop_new(),
                        .token = token,
                        .conf = conf,
                        .result = ret,
                        .error = ret_error,
                        .error_size = error_size,
                        .rc = -1};
    int failed = 0;
    *ret = (struct join_result){.name = ""};
    self.started_ms = self.heard_ms = clock_monotonic_ms();
    self.again = timer_new(self.loop, ask_again, &self);
    for (size_t i = 0; i < token->n_doors && !failed; i++)
        failed = open_door(&self, i, keys) < 0;
    if (failed)
        snprintf(ret_error, error_size, "the sockets to the masters cannot be opened: %s",
                 strerror(errno));
    timer_start(self.again, ASK_AGAIN_MS);
    if (!failed)
        loop_run(self.loop);
    timer_destroy(&self.again);
    for (size_t i = 0; i < TOKEN_DOORS_MOST; i++) {
        control_destroy(&self.doors[i].enrol);
        control_destroy(&self.doors[i].control);
    }
    loop_destroy(&self.loop);
    return self.rc;
}
