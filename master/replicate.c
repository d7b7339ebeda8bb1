// SPDX-License-Identifier: Apache-2.0
#include "master/replicate.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "master/config.h"
#include "master/enrol.h"
#include "master/intake.h"
#include "master/peer.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 2000, ASK_AGAIN_MS = 1000 };

struct waiting {
    struct waiting *next;
    struct revision_origin origin;
    uint64_t number;
    int64_t until_ms;
    replicated_fn *fn;
    void *context;
};

struct replicate {
    struct master *master;
    struct names holds, peer;
    struct transfer from_peer, from_nodes;
    uint8_t sign[SIGN_PUBLIC]; // the peer's
    int has_sign, peer_heard;
    int64_t asked_ms; // the peer, monotonic; 0: it is not being asked
    struct waiting *waiting;
};

struct replicate *replicate_new(struct master *master)
{
    struct replicate *self = allocate(sizeof(*self));
    self->master = master;
    return self;
}

void replicate_destroy(struct replicate **self_p)
{
    struct replicate *self = *self_p;
    if (!self)
        return;
    for (struct waiting *waiting; (waiting = self->waiting);) {
        self->waiting = waiting->next;
        waiting->fn(waiting->context, REPLICATED_NOT);
        free(waiting);
    }
    names_free(&self->holds);
    names_free(&self->peer);
    transfer_reset(&self->from_peer);
    transfer_reset(&self->from_nodes);
    free(self);
    *self_p = NULL;
}

const struct names *replicate_holds(const struct replicate *self)
{
    return &self->holds;
}

// -- who has what

static void ask_peer(struct replicate *self)
{
    Postern__ConfigRequest request = POSTERN__CONFIG_REQUEST__INIT;
    request.n_holds = self->holds.count;
    request.holds = names_pack(&self->holds);
    if (peer_ask(self->master->peer, CONTROL_PEER_CONFIG, &request.base) == 0)
        self->asked_ms = loop_now_ms(self->master->loop);
    names_packed_free(&request.holds, request.n_holds);
}

// Ends those whose revision the peer holds by now, or whose time is over.
static void end_waiting(struct replicate *self)
{
    int64_t now_ms = loop_now_ms(self->master->loop);
    for (struct waiting **at = &self->waiting; *at;) {
        struct waiting *waiting = *at;
        int both = names_hold(&self->peer, &waiting->origin, waiting->number);
        if (!both && now_ms < waiting->until_ms) {
            at = &waiting->next;
            continue;
        }
        *at = waiting->next;
        waiting->fn(waiting->context, both ? REPLICATED_BOTH : REPLICATED_NOT);
        free(waiting);
    }
}

void replicate_tick(struct replicate *self)
{
    int64_t now_ms = loop_now_ms(self->master->loop);
    end_waiting(self);
    if (self->peer_heard && peer_connected(self->master->peer) &&
        now_ms - self->asked_ms >= ASK_AGAIN_MS && !names_hold_all(&self->holds, &self->peer))
        ask_peer(self);
}

void replicate_follow(struct replicate *self, const json_t *tree)
{
    names_free(&self->holds);
    names_from_json(json_object_get(tree, "holds"), &self->holds);
    if (self->master->peer)
        peer_hello(self->master->peer);
}

void replicate_wait(struct replicate *self, const char *revision, replicated_fn *fn, void *context)
{
    struct waiting *waiting = allocate(sizeof(*waiting));
    if (!peer_known(self->master->peer) ||
        name_parse(revision, &waiting->origin, &waiting->number) < 0) {
        free(waiting);
        fn(context, REPLICATED_ALONE);
        return;
    }
    int connected = peer_connected(self->master->peer);
    waiting->until_ms = loop_now_ms(self->master->loop) + (connected ? WAIT_MS : 0);
    waiting->fn = fn;
    waiting->context = context;
    waiting->next = self->waiting;
    self->waiting = waiting;
    end_waiting(self);
}

int replicate_peer_has(const struct replicate *self, const char *revision)
{
    struct revision_origin origin;
    uint64_t number;
    return name_parse(revision, &origin, &number) == 0 && names_hold(&self->peer, &origin, number);
}

unsigned replicate_lacking(const struct replicate *self)
{
    unsigned lacking = 0;
    for (size_t i = 0; peer_known(self->master->peer) && i < self->holds.count; i++)
        for (size_t k = 0; k < self->holds.origins[i].count; k++)
            for (uint64_t n = self->holds.origins[i].ranges[k].from;
                 n <= self->holds.origins[i].ranges[k].to; n++)
                lacking += !names_hold(&self->peer, &self->holds.origins[i].origin, n);
    return lacking;
}

// -- giving: found on the writer's thread, sent on the loop

struct giving {
    struct writer_job job;
    struct replicate *replicate;
    char key[41];
    enum control_type type;
    struct names have, holds;
    const struct revision **list; // of the configuration, which lasts
    size_t count;
};

static void find_missing(struct writer_job *job, struct writer_databases *databases)
{
    struct giving *self = (struct giving *)job;
    const struct config *config = config_set(databases->configuration);
    self->list = config_missing(config, &self->have, &self->count);
    names_unite(&self->holds, config_names(config));
}

static int send_to(void *context, const Postern__ConfigRevisions *message)
{
    struct giving *self = context;
    if (control_send(self->replicate->master->control, self->key, self->type, &message->base) == 0)
        return 0;
    log_debug("config.send", "type=%d unsent=%d", (int)self->type, errno);
    return -1;
}

static void give(struct writer_job *job)
{
    struct giving *self = (struct giving *)job;
    transfer_send(self->list, self->count, &self->holds, send_to, self);
    free(self->list);
    names_free(&self->have);
    names_free(&self->holds);
    free(self);
}

void replicate_asked(struct replicate *self, const char *key, enum control_type type,
                     const Postern__ConfigRequest *request)
{
    struct giving *giving = allocate(sizeof(*giving));
    giving->job = (struct writer_job){find_missing, give};
    giving->replicate = self;
    giving->type = type;
    snprintf(giving->key, sizeof(giving->key), "%s", key);
    if (names_unpack(request->holds, request->n_holds, &giving->have) == 0 &&
        writer_put(self->master->writer, &giving->job) == 0)
        return; // else it asks again
    names_free(&giving->have);
    free(giving);
}

// -- taking

struct taking {
    struct writer_job job;
    struct replicate *replicate;
    struct batch batch;
    uint8_t sign[SIGN_PUBLIC];
    int has_sign;
    json_t *tree;
};

static void take(struct writer_job *job, struct writer_databases *databases)
{
    struct taking *self = (struct taking *)job;
    if (self->has_sign)
        config_trust(databases->configuration, self->sign);
    self->tree = config_take(databases->configuration, &self->batch);
}

static void taken(struct writer_job *job)
{
    struct taking *self = (struct taking *)job;
    struct replicate *replicate = self->replicate;
    if (self->tree)
        intake_configure(replicate->master, self->tree);
    batch_free(&self->batch);
    free(self);
}

// Takes the batch.
static void start_taking(struct replicate *self, struct batch *batch)
{
    struct taking *taking = allocate(sizeof(*taking));
    taking->job = (struct writer_job){take, taken};
    taking->replicate = self;
    taking->batch = *batch;
    taking->has_sign = self->has_sign;
    memcpy(taking->sign, self->sign, SIGN_PUBLIC);
    if (batch->count > 0 && writer_put(self->master->writer, &taking->job) == 0)
        return; // else it comes again
    batch_free(&taking->batch);
    free(taking);
}

void replicate_node_holds(struct replicate *self, const struct member *member,
                          Postern__ConfigNames *const *holds, size_t count)
{
    struct names names;
    if (names_unpack(holds, count, &names) < 0)
        return;
    if (!names_hold_all(&self->holds, &names)) {
        Postern__ConfigRequest request = POSTERN__CONFIG_REQUEST__INIT;
        request.n_holds = self->holds.count;
        request.holds = names_pack(&self->holds);
        if (control_send(self->master->control, member->route, CONTROL_CONFIG_WANTED,
                         &request.base) < 0)
            log_debug("config.wanted", "node=%s unsent=%d", member->name, errno);
        names_packed_free(&request.holds, request.n_holds);
    }
    names_free(&names);
}

void replicate_returned(struct replicate *self, const Postern__ConfigRevisions *message)
{
    struct batch batch = {0};
    transfer_take(&self->from_nodes, message, &batch);
    start_taking(self, &batch);
}

void replicate_peer_holds(struct replicate *self, Postern__ConfigNames *const *holds, size_t count,
                          const ProtobufCBinaryData *sign)
{
    struct names names;
    char text[SIGN_TEXT_SIZE];
    if (names_unpack(holds, count, &names) < 0)
        return;
    if (sign->len == sizeof(text) - 1) {
        memcpy(text, sign->data, sign->len);
        text[sign->len] = 0;
        self->has_sign |= sign_public_parse(text, self->sign) == 0;
    }
    names_free(&self->peer);
    self->peer = names;
    self->peer_heard = 1;
    end_waiting(self);
    if (!names_hold_all(&self->holds, &self->peer))
        ask_peer(self);
    else
        enrol_ready(self->master);
}

void replicate_peer_gave(struct replicate *self, const Postern__ConfigRevisions *message)
{
    struct batch batch = {0};
    transfer_take(&self->from_peer, message, &batch);
    start_taking(self, &batch);
}
