// SPDX-License-Identifier: Apache-2.0
#pragma once

// Revisions between nodes: what one holds and another lacks, in messages of a bounded size, and
// whether whoever takes them may trust their signatures.
#include "core/config/config.h"

enum { TRANSFER_MESSAGE = 512 * 1024, TRANSFER_ANSWER = 8 * 1024 * 1024 };

// What somebody who holds `have` lacks, in clock order: as much as goes into one answer, one at
// least. The caller frees the list; the revisions are the set's.
const struct revision **config_missing(const struct config *self, const struct names *have,
                                       size_t *ret_count);

// Tells them in messages. The last carries `holds`. Ends when `send` returns less than 0.
typedef int transfer_send_fn(void *context, const Postern__ConfigRevisions *message);
void transfer_send(const struct revision *const *list, size_t count, const struct names *holds,
                   transfer_send_fn *send, void *context);

// Bytes of revisions that arrived.
struct batch {
    struct span *items; // each allocated
    size_t count;
};
void batch_free(struct batch *self);

// The receiving side of one connection: puts pieces together.
struct transfer {
    char *bytes;
    size_t size, total;
};
void transfer_reset(struct transfer *self);
// Adds what is complete to the batch. A piece out of turn is dropped; it is asked for again.
void transfer_take(struct transfer *self, const Postern__ConfigRevisions *message,
                   struct batch *batch);

// The Ed25519 keys of masters: of those we talk to (CURVE has proven them), and what documents
// node/<name> of trusted revisions name. Keys of former masters stay good for what they signed.
struct signers {
    uint8_t (*keys)[SIGN_PUBLIC];
    size_t count;
};
void signers_free(struct signers *self);
void signers_add(struct signers *self, const uint8_t key[SIGN_PUBLIC]);
void signers_learn(struct signers *self, const struct revision *revision);
int signers_trust(const struct signers *self, const struct revision *revision);

struct taken {
    struct revision **revisions; // new and trusted, the caller's
    size_t count;
    unsigned malformed, untrusted;
};
// Reads a batch against the set: what is held already is left out.
void batch_read(const struct batch *self, const struct config *config, struct signers *signers,
                struct taken *ret);
