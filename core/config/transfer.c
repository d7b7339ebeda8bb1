// SPDX-License-Identifier: Apache-2.0
#include "core/config/transfer.h"

#include <stdlib.h>
#include <string.h>

enum { PIECES = 64 };

const struct revision **config_missing(const struct config *self, const struct names *have,
                                       size_t *ret_count)
{
    size_t count = 0, bytes = 0;
    const struct revision **list = allocate((config_count(self) + 1) * sizeof(*list));
    for (size_t i = 0; i < config_count(self); i++) {
        const struct revision *revision = config_at(self, i)->revision;
        if (names_hold(have, &revision->origin, revision->number))
            continue;
        if (count > 0 && bytes + revision->packed_size > TRANSFER_ANSWER)
            break;
        bytes += revision->packed_size;
        list[count++] = revision;
    }
    *ret_count = count;
    return list;
}

// -- sending

static int send_pieces(const struct revision *revision, transfer_send_fn *send, void *context)
{
    for (size_t at = 0; at < revision->packed_size; at += TRANSFER_MESSAGE) {
        Postern__ConfigRevisions message = POSTERN__CONFIG_REVISIONS__INIT;
        size_t left = revision->packed_size - at;
        message.piece.data = revision->packed + at;
        message.piece.len = left < TRANSFER_MESSAGE ? left : TRANSFER_MESSAGE;
        message.offset = at;
        message.total = revision->packed_size;
        if (send(context, &message) < 0)
            return -1;
    }
    return 0;
}

// As many as go into one message. The place after them.
static size_t send_run(const struct revision *const *list, size_t at, size_t count,
                       transfer_send_fn *send, void *context, int *ret_sent)
{
    ProtobufCBinaryData revisions[PIECES];
    Postern__ConfigRevisions message = POSTERN__CONFIG_REVISIONS__INIT;
    size_t bytes = 0;
    message.revisions = revisions;
    while (at < count && message.n_revisions < PIECES) {
        const struct revision *revision = list[at];
        if (bytes + revision->packed_size > TRANSFER_MESSAGE)
            break;
        bytes += revision->packed_size;
        revisions[message.n_revisions++] =
            (ProtobufCBinaryData){revision->packed_size, revision->packed};
        at++;
    }
    *ret_sent = send(context, &message) == 0;
    return at;
}

void transfer_send(const struct revision *const *list, size_t count, const struct names *holds,
                   transfer_send_fn *send, void *context)
{
    int sent = 1;
    for (size_t at = 0; sent && at < count;) {
        if (list[at]->packed_size > TRANSFER_MESSAGE)
            sent = send_pieces(list[at++], send, context) == 0;
        else
            at = send_run(list, at, count, send, context, &sent);
    }
    if (!sent)
        return;
    Postern__ConfigRevisions last = POSTERN__CONFIG_REVISIONS__INIT;
    last.n_holds = holds->count;
    last.holds = names_pack(holds);
    send(context, &last);
    names_packed_free(&last.holds, last.n_holds);
}

// -- receiving

void batch_free(struct batch *self)
{
    for (size_t i = 0; i < self->count; i++)
        free((char *)(uintptr_t)self->items[i].data);
    free(self->items);
    *self = (struct batch){0};
}

static void batch_add(struct batch *self, void *bytes, size_t size)
{
    self->items = reallocate(self->items, (self->count + 1) * sizeof(*self->items));
    self->items[self->count++] = (struct span){bytes, size};
}

void transfer_reset(struct transfer *self)
{
    free(self->bytes);
    *self = (struct transfer){0};
}

static void take_piece(struct transfer *self, const Postern__ConfigRevisions *message,
                       struct batch *batch)
{
    if (message->offset == 0) {
        transfer_reset(self);
        if (message->total > REVISION_MOST)
            return;
        self->bytes = allocate(message->total + 1);
        self->total = message->total;
    }
    if (!self->bytes || message->offset != self->size || message->total != self->total ||
        message->piece.len > self->total - self->size) {
        transfer_reset(self);
        return;
    }
    memcpy(self->bytes + self->size, message->piece.data, message->piece.len);
    self->size += message->piece.len;
    if (self->size < self->total)
        return;
    batch_add(batch, self->bytes, self->size);
    *self = (struct transfer){0};
}

void transfer_take(struct transfer *self, const Postern__ConfigRevisions *message,
                   struct batch *batch)
{
    if (message->piece.len > 0)
        take_piece(self, message, batch);
    for (size_t i = 0; i < message->n_revisions; i++)
        batch_add(batch, duplicate_bytes(message->revisions[i].data, message->revisions[i].len),
                  message->revisions[i].len);
}

// -- whom to trust

void signers_free(struct signers *self)
{
    free(self->keys);
    *self = (struct signers){0};
}

void signers_add(struct signers *self, const uint8_t key[SIGN_PUBLIC])
{
    for (size_t i = 0; i < self->count; i++)
        if (memcmp(self->keys[i], key, SIGN_PUBLIC) == 0)
            return;
    self->keys = reallocate(self->keys, (self->count + 1) * sizeof(*self->keys));
    memcpy(self->keys[self->count++], key, SIGN_PUBLIC);
}

void signers_learn(struct signers *self, const struct revision *revision)
{
    uint8_t key[SIGN_PUBLIC];
    for (size_t i = 0; i < revision->change_count; i++) {
        const struct revision_change *change = &revision->changes[i];
        const char *role = json_string_value(json_object_get(change->body, "role"));
        const char *sign = json_string_value(json_object_get(change->body, "sign"));
        if (strncmp(change->document, "node/", 5) == 0 && role && strcmp(role, "master") == 0 &&
            sign && sign_public_parse(sign, key) == 0)
            signers_add(self, key);
    }
}

int signers_trust(const struct signers *self, const struct revision *revision)
{
    for (size_t i = 0; i < self->count; i++)
        if (revision_signed_by(revision, self->keys[i]))
            return 1;
    return 0;
}

static struct revision *read_new(const struct span *item, const struct config *config,
                                 struct taken *taken)
{
    const char *reason;
    struct revision *revision = revision_read(item->data, item->size, &reason);
    if (!revision)
        taken->malformed++;
    else if (names_hold(config_names(config), &revision->origin, revision->number))
        revision_destroy(&revision);
    return revision;
}

// A revision may name the key by which another is signed: they are gone over until none is new.
void batch_read(const struct batch *self, const struct config *config, struct signers *signers,
                struct taken *ret)
{
    size_t read = 0;
    struct revision **list = allocate((self->count + 1) * sizeof(*list));
    *ret = (struct taken){.revisions = allocate((self->count + 1) * sizeof(*list))};
    for (size_t i = 0; i < self->count; i++)
        if ((list[read] = read_new(&self->items[i], config, ret)))
            read++;
    for (size_t keys = SIZE_MAX; keys != signers->count;) {
        keys = signers->count;
        for (size_t i = 0; i < read; i++) {
            if (!list[i] || !signers_trust(signers, list[i]))
                continue;
            signers_learn(signers, list[i]);
            ret->revisions[ret->count++] = list[i];
            list[i] = NULL;
        }
    }
    for (size_t i = 0; i < read; i++) {
        ret->untrusted += list[i] != NULL;
        revision_destroy(&list[i]);
    }
    free(list);
}
