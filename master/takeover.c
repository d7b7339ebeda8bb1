// SPDX-License-Identifier: Apache-2.0
#include "master/takeover.h"
#include "core/base/loop.h"
#include "mail/schema.h"
#include "master/orders.h"
#include "master/peer.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DOCUMENT_SIZE = 96 };

struct takeover takeover_of(const struct master *master, const char *node)
{
    char document[DOCUMENT_SIZE];
    snprintf(document, sizeof(document), "takeover/%.63s", node);
    const json_t *body = json_object_get(json_object_get(master->tree, "documents"), document);
    return (struct takeover){.to = schema_text(body, "to"),
                             .force = json_is_true(json_object_get(body, "force"))};
}

int takeover_is_up(const struct master *master, const struct member *member)
{
    return member && strcmp(member_state(member, loop_now_ms(master->loop)), "up") == 0;
}

void takeover_advice(const struct master *master, const char *node, char *ret, size_t size)
{
    const struct member *owner = members_by_name(&master->members, node);
    struct takeover takeover = takeover_of(master, node);
    const char *trouble = owner ? "is away" : "is no member any more";
    *ret = 0;
    if (takeover_is_up(master, owner) || (takeover.to && takeover.force))
        return;
    snprintf(ret, size, "%s %s; if it does not come back: postern quarantine takeover %s --force",
             node, trouble, node);
}

// -- a person's word

static int refuse(unsigned *ret_status, unsigned status, char *ret, size_t size, const char *format,
                  ...) PRINTF(5, 6);
static int refuse(unsigned *ret_status, unsigned status, char *ret, size_t size, const char *format,
                  ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(ret, size, format, list);
    va_end(list);
    *ret_status = status;
    return -1;
}

// The first by name that is up.
static const struct member *choose(const struct master *master, const char *node)
{
    const struct member *chosen = NULL;
    for (size_t i = 0; i < master->members.count; i++) {
        const struct member *member = master->members.list[i];
        if (member->role == ROLE_WORKER && strcmp(member->name, node) != 0 &&
            takeover_is_up(master, member) && (!chosen || strcmp(member->name, chosen->name) < 0))
            chosen = member;
    }
    return chosen;
}

int takeover_check(const struct master *master, json_t *arguments, unsigned *ret_status,
                   char *ret_error, size_t error_size)
{
    const char *node = schema_text(arguments, "node"), *to = schema_text(arguments, "to");
    int force = json_is_true(json_object_get(arguments, "force"));
    const struct member *owner = node ? members_by_name(&master->members, node) : NULL;
    if (!node || (!owner && orders_open_of(master->orders, node) == 0))
        return refuse(ret_status, 404, ret_error, error_size,
                      "no node of that name, and no order about its mail");
    const struct member *taker =
        to && *to ? members_by_name(&master->members, to) : choose(master, node);
    if (!taker || taker == owner || taker->role != ROLE_WORKER)
        return refuse(ret_status, 422, ret_error, error_size, "to: give another worker");
    int peer_away = peer_known(master->peer) && !peer_connected(master->peer);
    int owner_away = !takeover_is_up(master, owner);
    if (!force && (owner_away || peer_away))
        return refuse(ret_status, 409, ret_error, error_size,
                      "%s cannot be reached: what it did is not known, so that a second copy of a "
                      "mail is possible; with force it is done nonetheless",
                      owner_away ? node : "the other master");
    json_object_set_new(arguments, "to", json_string(taker->name));
    json_object_set_new(arguments, "force", json_boolean(force && owner_away));
    return 0;
}

json_t *takeover_make(struct change *self, const json_t *documents)
{
    char document[DOCUMENT_SIZE];
    (void)documents;
    snprintf(document, sizeof(document), "takeover/%.63s", change_text(self, "node"));
    snprintf(self->comment, sizeof(self->comment), "%.50s takes over from %.50s",
             change_text(self, "to"), change_text(self, "node"));
    return json_pack("{s:{s:s, s:O}}", document, "to", change_text(self, "to"), "force",
                     json_object_get(self->arguments, "force"));
}
