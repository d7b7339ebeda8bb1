// SPDX-License-Identifier: Apache-2.0
#pragma once

// The real merge, edits and clock of core/config on two masters and three workers, with a simulated
// clock, disk and network. A schedule is a list of operations, each complete in itself; what it
// breaks is told with the story that led there.
#include "core/base/buffer.h"
#include "core/config/edit.h"

enum config_rule {
    COMPARE_AND_SET,
    KEEP_LOSERS,
    LOGICAL_CLOCK,
    TIE_BY_MASTER,
    DURABLE_BEFORE_ACK,
    VALIDATE_MERGE,
    BLOCK_ADD_WINS,
    ALLOW_REMOVE_WINS,
    REVOKED_GROWS,
    HOLD_INVALID,
    HOLD_SPARES_ENTRIES,
    START_IN_NAME,
    HAND_BACK,
    SETTLE_NAMES_LOSERS,
    MERGE_FUTURE,
    NO_EXPIRY,
    LIST_BY_SEEN,
    WHOLE_REVISIONS,
    ROLLBACK_SPARES_NODES,
    CONFIG_RULES,
};

extern const char *const config_rule_names[CONFIG_RULES];
extern int config_rule_off; // -1: all are in place

enum operation_kind {
    OP_READ,     // person, master, document
    OP_SUBMIT,   // person, body or delete
    OP_PAIR,     // master, domain and route at once
    OP_LIST,     // master, entry, add or remove
    OP_REVOKE,   // master, key
    OP_ENROL,    // master, key
    OP_SETTLE,   // master, which conflict
    OP_ROLLBACK, // master, to which tree of its own
    OP_PULL,     // to, from, all or a random part
    OP_TICK,     // minutes
    OP_BACKUP,
    OP_CRASH,
    OP_START,
    OP_RESTORE,
    OP_LOSE,
    OP_SKEW, // node, minutes
};

struct operation {
    enum operation_kind kind;
    int node, a, b, c;
    int peer; // the other master is reached
    unsigned token;
};

enum { MASTERS = 2, NODES = 5, PEOPLE = 3, BLOBS_MOST = 512, OPERATIONS_MOST = 256 };

// A revision as its bytes: what disks and networks carry.
struct blob {
    uint8_t *bytes;
    size_t size;
    char name[REVISION_NAME_SIZE];
    struct config_clock clock;
    unsigned group, group_size; // parts of one edit, where revisions are not whole
};

struct disk {
    unsigned blobs[BLOBS_MOST], count;
    uint64_t number;
    char (*settled)[2 * REVISION_NAME_SIZE]; // "document version", where settling is local
    unsigned settled_count;
};

struct world_node {
    struct config *config; // in memory
    struct edit_maker maker;
    struct disk disk, backup;
    unsigned unsynced[BLOBS_MOST], unsynced_count;
    unsigned parked[BLOBS_MOST], parked_count;
    int up, lost, skew;
    uint64_t starts;
    json_t *running;             // a worker's
    json_t *history[BLOBS_MOST]; // trees it has had
    unsigned history_count;
};

// An edit that was acknowledged, and what its author really had seen of each document.
struct acknowledged {
    unsigned blob;
    int master, both;
    struct names truth; // of a form's document; empty: what the revision says
    int has_truth;
    char *settled[8]; // versions that it settled
    unsigned settled_count;
    char *settled_document;
};

struct form {
    int master;
    char document[32];
    char version[REVISION_NAME_SIZE]; // empty: there was none
    struct names seen;
};

struct world {
    struct world_node nodes[NODES];
    struct blob blobs[BLOBS_MOST];
    unsigned blob_count, groups;
    struct acknowledged acked[BLOBS_MOST];
    unsigned acked_count;
    struct form forms[PEOPLE];
    int restored[NODES];
    int time; // minutes
    struct buffer story;
    char broken[64], how[512];
};

extern const char *const world_names[NODES];

// Plays the operations, heals, checks. Returns whether all held; the rest is in the world.
int world_play(struct world *self, const struct operation *operations, unsigned count);
void world_free(struct world *self);

void world_say(struct world *self, const char *format, ...) PRINTF(2, 3);
void world_break(struct world *self, const char *kind, const char *format, ...) PRINTF(3, 4);
int world_valid(void *context, const json_t *documents, const char *const *changed, size_t count,
                char *ret_error, size_t error_size);
// Conflicts as a node lists them.
json_t *world_conflicts(struct world_node *node);
void world_check_running(struct world *self);
void world_check_healed(struct world *self);

unsigned schedule_make(uint64_t seed, struct operation ret[OPERATIONS_MOST]);
// Leaves out operations while the same kind of break remains. The count left.
unsigned schedule_shrink(struct operation *operations, unsigned count, const char *kind);
