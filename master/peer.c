// SPDX-License-Identifier: Apache-2.0
#include "master/peer.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "core/base/unpack.h"
#include "master/bodies.h"
#include "master/compare.h"
#include "master/orders.h"
#include "master/replicate.h"
#include "proto/control.pb-c.h"
#include "proto/peer.pb-c.h"
#include "proto/quarantine.pb-c.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { HELLO_MS = 2000, SILENT_MS = 6000 };

struct peer {
    struct master *master;
    const struct master_address *address; // NULL: there is none
    struct master_address kept;
    struct control *control;
    int64_t said_ms, heard_ms; // monotonic, 0: never
    int connected;             // as it was told last
    uint64_t incarnation, lag;
    int64_t ahead_ms; // its clock before ours
    char version[32], revision[REVISION_NAME_SIZE];
};

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static struct member *member_of(const struct master *master, const ProtobufCBinaryData *name)
{
    char text[sizeof(((struct member *)0)->name)];
    if (name->len >= sizeof(text))
        return NULL;
    memcpy(text, name->data, name->len);
    text[name->len] = 0;
    return members_by_name(&master->members, text);
}

// -- hello, both ways

struct hello {
    Postern__PeerHello message;
    Postern__PeerPosition position[MEMBERS_MOST], *list[MEMBERS_MOST];
    char sign[SIGN_TEXT_SIZE];
};

static void fill_hello(struct hello *self, const struct master *master)
{
    postern__peer_hello__init(&self->message);
    self->message.name = bytes_of(master->conf->name);
    self->message.incarnation = master->incarnation;
    self->message.site = bytes_of(master->conf->site);
    self->message.version = bytes_of(POSTERN_VERSION);
    self->message.revision = bytes_of(master->revision);
    self->message.clock_ms = clock_wall_ms();
    for (size_t i = 0; i < master->members.count; i++) {
        const struct member *member = master->members.list[i];
        Postern__PeerPosition *position = &self->position[self->message.n_positions];
        if (!member->tracker.epoch)
            continue;
        postern__peer_position__init(position);
        position->node = bytes_of(member->record);
        position->epoch = member->tracker.epoch;
        position->watermark = member->tracker.committed;
        self->list[self->message.n_positions++] = position;
    }
    self->message.positions = self->list;
    self->message.n_holds = replicate_holds(master->replicate)->count;
    self->message.holds = names_pack(replicate_holds(master->replicate));
    self->message.tree = bytes_of(json_string_value(json_object_get(master->tree, "tree")));
    sign_public_format(master->sign.public_key, self->sign);
    self->message.sign = bytes_of(self->sign);
}

static void free_hello(struct hello *self)
{
    names_packed_free(&self->message.holds, self->message.n_holds);
    free(self);
}

static void say_hello(void *context)
{
    struct peer *self = context;
    if (!self->control)
        return;
    struct hello *hello = allocate(sizeof(*hello));
    fill_hello(hello, self->master);
    self->said_ms = loop_now_ms(self->master->loop);
    if (peer_ask(self, CONTROL_PEER_HELLO, &hello->message.base) < 0)
        log_debug("peer.hello", "peer=%s unsent=%d", self->address->name, errno);
    free_hello(hello);
}

// Only whom we connect to ourselves is the other master; what any of them tells is the same.
static void take_holds(struct peer *self, const Postern__PeerHello *hello)
{
    if (self->control)
        replicate_peer_holds(self->master->replicate, hello->holds, hello->n_holds, &hello->sign);
}

static void note_member(const struct master *master, const char *key,
                        const Postern__PeerHello *hello)
{
    struct member *member = members_by_key(&master->members, key);
    if (!member)
        return;
    log_escape(hello->site.data, hello->site.len, member->site, sizeof(member->site));
    log_escape(hello->version.data, hello->version.len, member->version, sizeof(member->version));
    log_escape(hello->revision.data, hello->revision.len, member->revision,
               sizeof(member->revision));
    log_escape(hello->tree.data, hello->tree.len, member->tree, sizeof(member->tree));
}

static void on_hello_asked(struct peer *self, const char *key, enum control_type type,
                           const ProtobufCMessage *message)
{
    (void)type;
    struct hello *hello = allocate(sizeof(*hello));
    fill_hello(hello, self->master);
    if (control_send(self->master->control, key, CONTROL_PEER_HELLO, &hello->message.base) < 0)
        log_debug("peer.hello", "unanswered=%d", errno);
    free_hello(hello);
    note_member(self->master, key, (const Postern__PeerHello *)message);
    take_holds(self, (const Postern__PeerHello *)message);
}

static uint64_t lag_behind(const struct master *master, const Postern__PeerPosition *position)
{
    const struct member *member = member_of(master, &position->node);
    uint64_t ours =
        member && member->tracker.epoch == position->epoch ? member->tracker.committed : 0;
    return position->watermark > ours ? position->watermark - ours : 0;
}

static void on_hello(struct peer *self, enum control_type type, ProtobufCMessage *message)
{
    (void)type;
    const Postern__PeerHello *hello = (const Postern__PeerHello *)message;
    if (self->incarnation != hello->incarnation)
        log_info("peer.incarnation", "peer=%s incarnation=%016llx", self->address->name,
                 (unsigned long long)hello->incarnation);
    if (self->incarnation != hello->incarnation)
        orders_peer_is_back(self->master->orders);
    self->incarnation = hello->incarnation;
    self->ahead_ms = hello->clock_ms - clock_wall_ms();
    log_escape(hello->version.data, hello->version.len, self->version, sizeof(self->version));
    log_escape(hello->revision.data, hello->revision.len, self->revision, sizeof(self->revision));
    self->lag = 0;
    for (size_t i = 0; i < hello->n_positions; i++)
        self->lag += lag_behind(self->master, hello->positions[i]);
    take_holds(self, hello);
    protobuf_c_message_free_unpacked(message, NULL);
}

// -- comparisons

static void on_asked(struct peer *self, const char *key, enum control_type type,
                     const ProtobufCMessage *message)
{
    compare_asked(self->master, key, type, (const Postern__PeerAsk *)message);
}

static void on_answer(struct peer *self, enum control_type type, ProtobufCMessage *message)
{
    compare_answered(self->master, type, (Postern__PeerAnswer *)message);
}

// -- configuration

static void on_config_asked(struct peer *self, const char *key, enum control_type type,
                            const ProtobufCMessage *message)
{
    replicate_asked(self->master->replicate, key, type, (const Postern__ConfigRequest *)message);
}

static void on_config(struct peer *self, enum control_type type, ProtobufCMessage *message)
{
    (void)type;
    replicate_peer_gave(self->master->replicate, (const Postern__ConfigRevisions *)message);
    protobuf_c_message_free_unpacked(message, NULL);
}

// -- orders and bodies of quarantined mail

static void on_orders_given(struct peer *self, const char *key, enum control_type type,
                            const ProtobufCMessage *message)
{
    (void)type;
    orders_given(self->master->orders, key, (const Postern__OrdersGiven *)message);
}

static void on_orders_kept(struct peer *self, enum control_type type, ProtobufCMessage *message)
{
    (void)type;
    orders_kept(self->master->orders, (const Postern__OrdersKept *)message);
    protobuf_c_message_free_unpacked(message, NULL);
}

static void on_body_asked(struct peer *self, const char *key, enum control_type type,
                          const ProtobufCMessage *message)
{
    (void)type;
    bodies_asked(self->master->bodies, key, (const Postern__BodyRequest *)message);
}

static void on_body(struct peer *self, enum control_type type, ProtobufCMessage *message)
{
    (void)type;
    bodies_answered(self->master->bodies, (const Postern__BodyChunk *)message);
    protobuf_c_message_free_unpacked(message, NULL);
}

// -- what the peer asks and answers; who may say it, core/bus/roles knows

static const struct question {
    enum control_type type;
    const ProtobufCMessageDescriptor *descriptor;
    void (*call)(struct peer *self, const char *key, enum control_type type,
                 const ProtobufCMessage *message);
} questions[] = {
    {CONTROL_PEER_HELLO, &postern__peer_hello__descriptor, on_hello_asked},
    {CONTROL_PEER_SUMMARY, &postern__peer_ask__descriptor, on_asked},
    {CONTROL_PEER_RANGES, &postern__peer_ask__descriptor, on_asked},
    {CONTROL_PEER_ROWS, &postern__peer_ask__descriptor, on_asked},
    {CONTROL_PEER_EVENTS, &postern__peer_ask__descriptor, on_asked},
    {CONTROL_PEER_CONFIG, &postern__config_request__descriptor, on_config_asked},
    {CONTROL_PEER_ORDERS, &postern__orders_given__descriptor, on_orders_given},
    {CONTROL_PEER_BODY, &postern__body_request__descriptor, on_body_asked},
};

static const struct reply {
    enum control_type type;
    const ProtobufCMessageDescriptor *descriptor;
    // Takes the message over.
    void (*call)(struct peer *self, enum control_type type, ProtobufCMessage *message);
} replies[] = {
    {CONTROL_PEER_HELLO, &postern__peer_hello__descriptor, on_hello},
    {CONTROL_PEER_SUMMARY, &postern__peer_answer__descriptor, on_answer},
    {CONTROL_PEER_RANGES, &postern__peer_answer__descriptor, on_answer},
    {CONTROL_PEER_ROWS, &postern__peer_answer__descriptor, on_answer},
    {CONTROL_PEER_EVENTS, &postern__peer_answer__descriptor, on_answer},
    {CONTROL_PEER_CONFIG, &postern__config_revisions__descriptor, on_config},
    {CONTROL_PEER_ORDERS, &postern__orders_kept__descriptor, on_orders_kept},
    {CONTROL_PEER_BODY, &postern__body_chunk__descriptor, on_body},
};

static ProtobufCMessage *unpack(const ProtobufCMessageDescriptor *descriptor, const uint8_t *data,
                                size_t size)
{
    ProtobufCMessage *message =
        protobuf_c_message_unpack(descriptor, &unpack_allocator, size, data);
    if (!message)
        log_warning("peer.malformed", "message=%s size=%zu", descriptor->short_name, size);
    return message;
}

void peer_asked(struct peer *self, struct member *member, enum control_type type,
                const uint8_t *data, size_t size)
{
    size_t i = 0;
    while (i < ARRAY_LENGTH(questions) && questions[i].type != type)
        i++;
    if (i == ARRAY_LENGTH(questions))
        return; // of a newer version
    member->heard_ms = loop_now_ms(self->master->loop);
    ProtobufCMessage *message = unpack(questions[i].descriptor, data, size);
    if (message)
        questions[i].call(self, member->route, type, message);
    protobuf_c_message_free_unpacked(message, NULL);
}

static void receive(void *context, const char *key, enum control_type type, const uint8_t *data,
                    size_t size)
{
    (void)key; // the peer's, which CURVE has proven
    struct peer *self = context;
    size_t i = 0;
    while (i < ARRAY_LENGTH(replies) && replies[i].type != type)
        i++;
    if (i == ARRAY_LENGTH(replies) || !role_may_send(ROLE_MASTER, ROLE_MASTER, type)) {
        log_warning("peer.unexpected", "type=%d", (int)type);
        return;
    }
    self->heard_ms = loop_now_ms(self->master->loop);
    ProtobufCMessage *message = unpack(replies[i].descriptor, data, size);
    if (message)
        replies[i].call(self, type, message);
}

void peer_hello(struct peer *self)
{
    say_hello(self);
}

// -- life

struct peer *peer_new(struct master *master)
{
    struct peer *self = allocate(sizeof(*self));
    self->master = master;
    return self;
}

void peer_follow(struct peer *self, const struct master_address *address)
{
    if (address && self->address && memcmp(address, &self->kept, sizeof(*address)) == 0)
        return;
    control_destroy(&self->control);
    self->address = NULL;
    self->heard_ms = 0;
    self->lag = 0;
    if (!address)
        return;
    self->kept = *address;
    self->address = &self->kept;
    self->control = control_connect(self->master->loop, address->control, &self->master->keys,
                                    address->key, receive, self);
    if (!self->control) {
        log_error("peer.connect", "peer=%s error=\"%s\"", address->name, strerror(errno));
        self->address = NULL;
        return;
    }
    control_on_session(self->control, say_hello, self);
}

void peer_destroy(struct peer **self)
{
    if (!*self)
        return;
    control_destroy(&(*self)->control);
    free(*self);
    *self = NULL;
}

// An alarm when it goes, and its end: told once each.
static void watch_connection(struct peer *self)
{
    int connected = peer_connected(self);
    metric_set(metric("peer_connected", ""), connected);
    metric_set(metric("peer_lag_events", ""), (int64_t)self->lag);
    if (connected == self->connected)
        return;
    self->connected = connected;
    if (connected)
        orders_peer_is_back(self->master->orders);
    if (connected)
        log_info("peer.connected", "peer=%s version=%s", self->address->name, self->version);
    else
        log_error("peer.lost", "alarm=peer-lost peer=%s", self->address->name);
}

void peer_tick(struct peer *self)
{
    if (!self->address)
        return;
    if (loop_now_ms(self->master->loop) - self->said_ms >= HELLO_MS)
        say_hello(self);
    watch_connection(self);
}

int peer_ask(struct peer *self, enum control_type type, const ProtobufCMessage *message)
{
    if (!self->control) {
        errno = EAGAIN;
        return -1;
    }
    return control_send(self->control, NULL, type, message);
}

int peer_known(const struct peer *self)
{
    return self->address != NULL;
}

const char *peer_name(const struct peer *self)
{
    return self->address ? self->address->name : "";
}

int peer_connected(const struct peer *self)
{
    return self->heard_ms && loop_now_ms(self->master->loop) - self->heard_ms < SILENT_MS;
}

int64_t peer_clock_ahead_ms(const struct peer *self)
{
    return self->ahead_ms;
}

uint64_t peer_lag(const struct peer *self)
{
    return self->lag;
}

json_t *peer_status(const struct peer *self)
{
    if (!self->address)
        return json_null();
    int64_t heard_ms = self->heard_ms ? loop_now_ms(self->master->loop) - self->heard_ms : -1;
    return json_pack("{s:s, s:b, s:s, s:s, s:I, s:I, s:I}", "name", self->address->name,
                     "connected", peer_connected(self), "version", self->version, "revision",
                     self->revision, "lag_events", (json_int_t)self->lag, "heard_ms_ago",
                     (json_int_t)heard_ms, "clock_ahead_ms", (json_int_t)self->ahead_ms);
}
