// SPDX-License-Identifier: Apache-2.0
#include "master/intake.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/metrics.h"
#include "core/base/unpack.h"
#include "master/bodies.h"
#include "master/commands.h"
#include "master/door.h"
#include "master/membership.h"
#include "master/orders.h"
#include "master/peer.h"
#include "master/replicate.h"
#include "proto/control.pb-c.h"
#include "proto/stream.pb-c.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STATUS_MOST = 256 * 1024, FORK_AGAIN_MS = 2000 };

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)text};
}

// What a peer calls itself, for people: printable, cut at the size.
static void copy_bytes(char *ret, size_t size, const ProtobufCBinaryData *data)
{
    log_escape(data->data, data->len, ret, size);
}

// A sentence for people: what is not plain text becomes '?'.
static void copy_sentence(char *ret, size_t size, const ProtobufCBinaryData *data)
{
    size_t length = data->len < size - 1 ? data->len : size - 1;
    for (size_t i = 0; i < length; i++)
        ret[i] = data->data[i] >= ' ' && data->data[i] < 127 ? (char)data->data[i] : '?';
    ret[length] = 0;
}

static void send(struct master *master, const struct member *member, enum control_type type,
                 const ProtobufCMessage *message)
{
    if (control_send(master->control, member->route, type, message) < 0)
        log_debug("control.send", "node=%s type=%d lost=yes", member->name, (int)type);
}

static void send_ack(struct master *master, const struct member *member)
{
    Postern__Ack ack = POSTERN__ACK__INIT;
    ack.incarnation = master->incarnation;
    ack.epoch = member->tracker.epoch;
    ack.upto = member->tracker.committed;
    ack.mark = member->tracker.committed_mark;
    ack.life = master->life;
    send(master, member, CONTROL_ACK, &ack.base);
}

static const char *tree_hash(const struct master *master)
{
    const char *hash = json_string_value(json_object_get(master->tree, "tree"));
    return hash ? hash : "";
}

static void send_hello(struct master *master, const struct member *member)
{
    Postern__MasterHello hello = POSTERN__MASTER_HELLO__INIT;
    char sign[SIGN_TEXT_SIZE];
    hello.master = bytes_of(master->conf->name);
    hello.incarnation = master->incarnation;
    hello.epoch = member->tracker.epoch;
    hello.watermark = member->tracker.committed;
    hello.mark = member->tracker.committed_mark;
    hello.life = master->life;
    hello.revision = bytes_of(master->revision);
    hello.tree = bytes_of(tree_hash(master));
    hello.n_holds = replicate_holds(master->replicate)->count;
    hello.holds = names_pack(replicate_holds(master->replicate));
    sign_public_format(master->sign.public_key, sign);
    hello.sign = bytes_of(sign);
    send(master, member, CONTROL_MASTER_HELLO, &hello.base);
    names_packed_free(&hello.holds, hello.n_holds);
}

static void ask_replay(struct master *master, struct member *member)
{
    Postern__ReplayRequest request = POSTERN__REPLAY_REQUEST__INIT;
    if (member->role != ROLE_WORKER || member->heard_ms == 0 || writer_busy(master->writer) ||
        !tracker_wants(&member->tracker, loop_now_ms(master->loop), &request.from, &request.to))
        return;
    request.epoch = member->tracker.epoch;
    request.credit = TRACKER_CREDIT;
    metric_add(metric("replays_asked_total", ""), 1);
    send(master, member, CONTROL_REPLAY, &request.base);
}

void intake_tick(struct master *master)
{
    for (size_t i = 0; i < master->members.count; i++)
        ask_replay(master, master->members.list[i]);
}

void intake_measure(struct master *master)
{
    unsigned up = 0;
    for (size_t i = 0; i < master->members.count; i++) {
        struct member *member = master->members.list[i];
        const struct tracker *tracker = &member->tracker;
        char label[80];
        member->lag_ms = lag_look(&member->lag, tracker->epoch, tracker->last, tracker->committed,
                                  loop_now_ms(master->loop));
        snprintf(label, sizeof(label), "node=\"%s\"", member->name);
        metric_set(metric("lag_ms", label), member->lag_ms);
        metric_set(metric("lag_events", label), (int64_t)tracker_lag(&member->tracker));
        up += strcmp(member_state(member, loop_now_ms(master->loop)), "up") == 0;
    }
    metric_set(metric("nodes", ""), (int64_t)master->members.count);
    metric_set(metric("nodes_up", ""), up);
    metric_set(metric("orders_open", ""), (int64_t)orders_open(master->orders));
}

// Hands a frame that follows on to the writer. -1: it has no room; a replay will bring it again.
static int write_frame(struct master *master, struct member *member, Postern__Publication *frame,
                       uint64_t skip)
{
    struct tracker *tracker = &member->tracker;
    struct writer_events *events = allocate(sizeof(*events));
    uint64_t count = frame->n_events, last = frame->first + count - 1;
    uint64_t mark = frame->mark;
    int replayed = frame->replayed;
    memcpy(events->node, member->record, sizeof(events->node));
    events->epoch = tracker->epoch;
    events->previous = tracker->next - 1;
    events->begins = events->previous == member->base;
    events->first = frame->first;
    events->skip = (size_t)skip;
    events->publication = frame;
    if (writer_put_events(master->writer, events) < 0) {
        free(events);
        return -1;
    }
    // From here on the frame is the writer's thread's, which may be through with it already.
    tracker_took(tracker, last, count - skip, replayed, mark);
    return 0;
}

// Its disk was put back and it used its numbers anew before it met us: our hello tells it. Said
// once in a while, for one that does not listen.
static void on_fork(struct master *master, struct member *member)
{
    int64_t now_ms = loop_now_ms(master->loop);
    if (member->forked_ms && now_ms - member->forked_ms < FORK_AGAIN_MS)
        return;
    member->forked_ms = now_ms;
    metric_add(metric("stream_forks_refused_total", ""), 1);
    log_error("stream.forked", "alarm=stream-fork node=%s watermark=%llu", member->name,
              (unsigned long long)member->tracker.committed);
    if (tracker_forked(&member->tracker) == 0)
        send_hello(master, member);
}

// Takes the frame, or keeps it for later; ends it otherwise.
static void offer(struct master *master, struct member *member, Postern__Publication *frame)
{
    struct tracker *tracker = &member->tracker;
    const struct tracker_marks marks = {frame->record_first, frame->mark, frame->before};
    uint64_t skip = 0;
    int used = 0;
    switch (tracker_offer(tracker, frame->epoch, frame->first, frame->n_events, &marks, &skip)) {
    case TRACKER_TAKE:
        used = write_frame(master, member, frame, skip) == 0;
        break;
    case TRACKER_HOLD:
        used = tracker_hold(tracker, frame->first, frame->n_events, frame) == 0;
        break;
    case TRACKER_FORK:
        on_fork(master, member);
        break;
    case TRACKER_DROP:
        break;
    }
    if (!used)
        postern__publication__free_unpacked(frame, NULL);
}

static void on_publication(struct master *master, struct member *member, const uint8_t *data,
                           size_t size, int replayed)
{
    Postern__Publication *frame = postern__publication__unpack(&unpack_allocator, size, data);
    if (!frame)
        return;
    frame->replayed = replayed; // how it came, whatever it says
    if (replayed)
        tracker_replay_came(&member->tracker, loop_now_ms(master->loop));
    offer(master, member, frame);
    while ((frame = tracker_unhold(&member->tracker)))
        offer(master, member, frame);
    ask_replay(master, member);
}

static void forget_held(struct member *member)
{
    for (void *item; (item = tracker_unhold_any(&member->tracker));)
        postern__publication__free_unpacked(item, NULL);
}

// The stream goes on at `first`: a new epoch, or what lay before was cut.
static void begin(struct member *member, uint64_t epoch, uint64_t first)
{
    if (member->tracker.epoch == epoch)
        log_error("stream.cut", "node=%s from=%llu to=%llu", member->name,
                  (unsigned long long)member->tracker.next, (unsigned long long)first - 1);
    forget_held(member);
    tracker_begin(&member->tracker, epoch, first);
    member->base = member->tracker.committed;
}

static void on_position(struct master *master, struct member *member, uint64_t epoch,
                        uint64_t first_kept, uint64_t last)
{
    if (epoch != member->tracker.epoch)
        return;
    member->first_kept = first_kept;
    if (first_kept > member->tracker.next)
        begin(member, epoch, first_kept);
    tracker_heard(&member->tracker, last);
    ask_replay(master, member);
}

static void on_heartbeat(struct master *master, struct member *member, const uint8_t *data,
                         size_t size)
{
    Postern__Heartbeat *beat = postern__heartbeat__unpack(&unpack_allocator, size, data);
    if (!beat)
        return;
    member->heard_ms = loop_now_ms(master->loop);
    copy_bytes(member->revision, sizeof(member->revision), &beat->revision);
    copy_bytes(member->version, sizeof(member->version), &beat->version);
    member->clock_ahead_ms = beat->clock_ms ? beat->clock_ms - clock_wall_ms() : 0;
    copy_bytes(member->tree, sizeof(member->tree), &beat->tree);
    if (beat->status.len > 0 && beat->status.len <= STATUS_MOST) {
        json_t *status = json_loadb((const char *)beat->status.data, beat->status.len,
                                    JSON_REJECT_DUPLICATES, NULL);
        json_decref(member->status);
        member->status = status;
    }
    on_position(master, member, beat->epoch, beat->first_kept, beat->last);
    postern__heartbeat__free_unpacked(beat, NULL);
}

struct renewal {
    struct writer_job job;
    struct master *master;
    uint64_t incarnation; // 0: it could not be written
};

static void renew(struct writer_job *job, struct writer_databases *databases)
{
    struct renewal *renewal = (struct renewal *)job;
    if (store_new_incarnation(databases->store) == 0)
        renewal->incarnation = store_incarnation(databases->store);
}

static void renewed(struct writer_job *job)
{
    struct renewal *renewal = (struct renewal *)job;
    struct master *master = renewal->master;
    if (renewal->incarnation) {
        master->incarnation = renewal->incarnation;
        log_error("master.rolled-back", "incarnation=%016llx acknowledgements=void",
                  (unsigned long long)master->incarnation);
        for (size_t i = 0; i < master->members.count; i++)
            send_hello(master, master->members.list[i]);
    }
    free(renewal);
}

// The node remembers an acknowledgement that our store does not hold: the store was put back to an
// older state, and what was acknowledged since must come again.
static void on_rolled_back(struct master *master)
{
    struct renewal *renewal = allocate(sizeof(*renewal));
    renewal->job = (struct writer_job){renew, renewed};
    renewal->master = master;
    if (writer_put(master->writer, &renewal->job) < 0)
        free(renewal);
}

static void on_hello(struct master *master, struct member *member, const uint8_t *data, size_t size)
{
    Postern__NodeHello *hello = postern__node_hello__unpack(&unpack_allocator, size, data);
    if (!hello)
        return;
    struct tracker *tracker = &member->tracker;
    member->heard_ms = loop_now_ms(master->loop);
    copy_bytes(member->site, sizeof(member->site), &hello->site);
    copy_bytes(member->version, sizeof(member->version), &hello->version);
    copy_bytes(member->revision, sizeof(member->revision), &hello->revision);
    copy_bytes(member->tree, sizeof(member->tree), &hello->tree);
    replicate_node_holds(master->replicate, member, hello->holds, hello->n_holds);
    int lost = hello->acknowledged_incarnation == master->incarnation &&
               tracker_lost(tracker, hello->epoch, hello->acknowledged_epoch, hello->acknowledged);
    if (lost)
        on_rolled_back(master);
    if (hello->epoch == tracker->epoch && hello->last < tracker->committed)
        log_error("stream.node-behind", "node=%s last=%llu watermark=%llu", member->name,
                  (unsigned long long)hello->last, (unsigned long long)tracker->committed);
    if (tracker_is_behind(tracker, hello->epoch, hello->last))
        forget_held(member);
    if (tracker_hello(tracker, hello->epoch, hello->last) < 0) {
        postern__node_hello__free_unpacked(hello, NULL);
        return;
    }
    // What we hold of the epoch before, too: the node compares. The incarnation whose old
    // acknowledgements may still be under way is not said again.
    if (!lost)
        send_hello(master, member);
    if (hello->epoch != tracker->epoch)
        begin(member, hello->epoch, hello->first_kept ? hello->first_kept : 1);
    else
        send_ack(master, member);
    on_position(master, member, hello->epoch, hello->first_kept, hello->last);
    orders_node_is_back(master->orders, member);
    bodies_node_is_back(master->bodies, member);
    log_info("node.hello", "node=%s last=%llu watermark=%llu", member->name,
             (unsigned long long)hello->last, (unsigned long long)tracker->committed);
    postern__node_hello__free_unpacked(hello, NULL);
}

static void on_config_request(struct master *master, const struct member *member,
                              const uint8_t *data, size_t size)
{
    Postern__ConfigRequest *request =
        postern__config_request__unpack(&unpack_allocator, size, data);
    if (!request)
        return;
    replicate_asked(master->replicate, member->route, CONTROL_CONFIG, request);
    postern__config_request__free_unpacked(request, NULL);
}

static void on_config_returned(struct master *master, const uint8_t *data, size_t size)
{
    Postern__ConfigRevisions *message =
        postern__config_revisions__unpack(&unpack_allocator, size, data);
    if (!message)
        return;
    replicate_returned(master->replicate, message);
    postern__config_revisions__free_unpacked(message, NULL);
}

static void on_config_report(struct master *master, struct member *member, const uint8_t *data,
                             size_t size)
{
    Postern__ConfigReport *report = postern__config_report__unpack(&unpack_allocator, size, data);
    if (!report)
        return;
    if (report->refused) {
        copy_bytes(member->refused, sizeof(member->refused), &report->revision);
        copy_sentence(member->reason, sizeof(member->reason), &report->reason);
        log_error("config.refused", "node=%s revision=%s", member->name, member->refused);
    } else {
        copy_bytes(member->revision, sizeof(member->revision), &report->revision);
        copy_bytes(member->tree, sizeof(member->tree), &report->tree);
        member->refused[0] = member->reason[0] = 0;
    }
    replicate_node_holds(master->replicate, member, report->holds, report->n_holds);
    postern__config_report__free_unpacked(report, NULL);
}

// Whose message it is, if it may send such a one; NULL: refused.
static struct member *sender_of(struct master *master, const char *key, enum control_type type)
{
    struct member *member = members_by_key(&master->members, key);
    if (member && role_may_send(member->role, ROLE_MASTER, type)) {
        memcpy(member->route, strcmp(member->key, key) == 0 ? member->key : member->previous_key,
               sizeof(member->route));
        return member;
    }
    metric_add(metric("messages_refused_total", ""), 1);
    log_warning("control.refused", "type=%d member=%s", (int)type, member ? member->name : "none");
    return NULL;
}

static void on_worker(struct master *master, struct member *member, enum control_type type,
                      const uint8_t *data, size_t size)
{
    if (type == CONTROL_NODE_HELLO)
        on_hello(master, member, data, size);
    else if (type == CONTROL_REPLAYED)
        on_publication(master, member, data, size, 1);
    else if (type == CONTROL_CONFIG_REQUEST)
        on_config_request(master, member, data, size);
    else if (type == CONTROL_CONFIG_REPORT)
        on_config_report(master, member, data, size);
    else if (type == CONTROL_CONFIG_RETURNED)
        on_config_returned(master, data, size);
    else if (type == CONTROL_REPLY)
        commands_reply(master->commands, member, data, size);
    else if (type == CONTROL_BODY)
        commands_body(master->commands, member, data, size);
    else if (type == CONTROL_BODIES_QUESTION)
        bodies_question(master->bodies, member, data, size);
}

void intake_control(void *context, const char *key, enum control_type type, const uint8_t *data,
                    size_t size)
{
    struct master *master = context;
    struct member *member = sender_of(master, key, type);
    if (member && type == CONTROL_JOIN_KNOCK)
        door_knocked(master, member);
    else if (member && member->role == ROLE_WORKER)
        on_worker(master, member, type, data, size);
    else if (member)
        peer_asked(master->peer, member, type, data, size);
}

void intake_event(void *context, const char *key, enum control_type type, const uint8_t *data,
                  size_t size)
{
    struct master *master = context;
    struct member *member = sender_of(master, key, type);
    if (member && type == CONTROL_PUBLICATION)
        on_publication(master, member, data, size, 0);
    else if (member && type == CONTROL_HEARTBEAT)
        on_heartbeat(master, member, data, size);
}

void intake_committed(void *context, const char *node, uint64_t epoch, uint64_t sequence,
                      uint64_t mark)
{
    struct master *master = context;
    struct member *member = members_by_name(&master->members, node);
    if (!member)
        return;
    if (sequence == 0) {
        tracker_failed(&member->tracker);
        return;
    }
    tracker_committed(&member->tracker, epoch, sequence, mark);
    if (tracker_pays_hello(&member->tracker))
        send_hello(master, member);
    if (epoch == member->tracker.epoch)
        send_ack(master, member);
}

void intake_begin_anew(struct master *master)
{
    for (size_t i = 0; i < master->members.count; i++) {
        struct member *member = master->members.list[i];
        forget_held(member);
        tracker_begin(&member->tracker, member->tracker.epoch, 1);
        member->base = 0;
        send_hello(master, member);
    }
}

void intake_announce(struct master *master)
{
    Postern__ConfigReport report = POSTERN__CONFIG_REPORT__INIT;
    report.revision = bytes_of(master->revision);
    report.tree = bytes_of(tree_hash(master));
    report.n_holds = replicate_holds(master->replicate)->count;
    report.holds = names_pack(replicate_holds(master->replicate));
    stream_send(master->config, "config", CONTROL_ANNOUNCE, &report.base);
    names_packed_free(&report.holds, report.n_holds);
}

void intake_configure(struct master *master, json_t *tree)
{
    json_decref(master->tree);
    master->tree = tree;
    snprintf(master->revision, sizeof(master->revision), "%s",
             json_string_value(json_object_get(tree, "revision")));
    replicate_follow(master->replicate, tree);
    membership_follow(master, json_object_get(tree, "documents"));
    intake_announce(master);
}
