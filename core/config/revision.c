// SPDX-License-Identifier: Apache-2.0
#include "core/config/revision.h"
#include "core/base/table.h"
#include "core/base/unpack.h"

#include <stdlib.h>
#include <string.h>

#define CLOCK_MS_MOST (1ull << 53) // what JSON can say

struct revision *revision_new(const struct revision_origin *origin, uint64_t number,
                              struct config_clock clock, const char *author, const char *comment)
{
    struct revision *self = allocate(sizeof(*self));
    self->origin = *origin;
    self->number = number;
    self->clock = clock;
    self->author = duplicate(author);
    self->comment = duplicate(comment);
    return self;
}

static void free_change(struct revision_change *change)
{
    for (size_t i = 0; i < change->entry_count; i++)
        free(change->entries[i]);
    free(change->entries);
    free(change->document);
    names_free(&change->seen);
    json_decref(change->body);
}

void revision_destroy(struct revision **self_p)
{
    struct revision *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < self->change_count; i++)
        free_change(&self->changes[i]);
    free(self->changes);
    free(self->author);
    free(self->comment);
    free(self->packed);
    free(self);
    *self_p = NULL;
}

struct revision_change *revision_add_change(struct revision *self, const char *document,
                                            enum change_kind kind)
{
    if (self->change_count == self->change_capacity) {
        self->change_capacity = self->change_capacity ? 2 * self->change_capacity : 1;
        self->changes = reallocate(self->changes, self->change_capacity * sizeof(*self->changes));
    }
    struct revision_change *change = &self->changes[self->change_count++];
    *change = (struct revision_change){.document = duplicate(document), .kind = kind};
    return change;
}

// A power of two is where the room ends.
void change_add_entry(struct revision_change *self, const char *entry)
{
    size_t count = self->entry_count;
    if ((count & (count - 1)) == 0)
        self->entries = reallocate(self->entries, (count ? 2 * count : 1) * sizeof(char *));
    self->entries[self->entry_count++] = duplicate(entry);
}

void revision_name(const struct revision *self, char ret_text[REVISION_NAME_SIZE])
{
    name_format(&self->origin, self->number, ret_text);
}

// -- to bytes

static ProtobufCBinaryData bytes_of(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static Postern__ConfigChange *pack_change(const struct revision_change *change)
{
    Postern__ConfigChange *message = allocate(sizeof(*message));
    postern__config_change__init(message);
    message->document = bytes_of(change->document);
    message->kind = (Postern__ConfigChangeKind)change->kind;
    message->n_seen = change->seen.count;
    message->seen = names_pack(&change->seen);
    if (change->body) {
        char *text = json_dumps(change->body, JSON_COMPACT | JSON_SORT_KEYS);
        message->body = bytes_of(text);
    }
    message->n_entries = change->entry_count;
    message->entries = allocate((change->entry_count + 1) * sizeof(*message->entries));
    for (size_t i = 0; i < change->entry_count; i++)
        message->entries[i] = bytes_of(change->entries[i]);
    return message;
}

static void free_packed_change(Postern__ConfigChange *message)
{
    names_packed_free(&message->seen, message->n_seen);
    free(message->body.data);
    free(message->entries);
    free(message);
}

static void pack_revision(const struct revision *self, struct buffer *ret)
{
    Postern__ConfigRevision message = POSTERN__CONFIG_REVISION__INIT;
    message.master = bytes_of(self->origin.master);
    message.start = self->origin.start;
    message.number = self->number;
    message.clock_ms = self->clock.ms;
    message.clock_count = self->clock.count;
    message.author = bytes_of(self->author);
    message.comment = bytes_of(self->comment);
    message.tree = (ProtobufCBinaryData){TREE_HASH, (uint8_t *)(uintptr_t)self->tree};
    message.n_changes = self->change_count;
    message.changes = allocate((self->change_count + 1) * sizeof(*message.changes));
    for (size_t i = 0; i < self->change_count; i++)
        message.changes[i] = pack_change(&self->changes[i]);
    size_t size = postern__config_revision__get_packed_size(&message);
    buffer_added(ret,
                 postern__config_revision__pack(&message, (uint8_t *)buffer_reserve(ret, size)));
    for (size_t i = 0; i < self->change_count; i++)
        free_packed_change(message.changes[i]);
    free(message.changes);
}

int revision_sign(struct revision *self, const struct sign_keys *keys)
{
    uint8_t signature[SIGNATURE_SIZE];
    struct buffer payload;
    Postern__ConfigSigned message = POSTERN__CONFIG_SIGNED__INIT;
    buffer_init(&payload);
    pack_revision(self, &payload);
    message.revision.data = (uint8_t *)(uintptr_t)buffer_bytes(&payload);
    message.revision.len = buffer_size(&payload);
    sign_bytes(keys, message.revision.data, message.revision.len, signature);
    message.signature = (ProtobufCBinaryData){SIGNATURE_SIZE, signature};
    size_t size = postern__config_signed__get_packed_size(&message);
    int rc = size <= REVISION_MOST ? 0 : -1;
    if (rc == 0) {
        free(self->packed);
        self->packed = allocate(size);
        self->packed_size = postern__config_signed__pack(&message, self->packed);
    }
    buffer_free(&payload);
    return rc;
}

int revision_signed_by(const struct revision *self, const uint8_t public_key[SIGN_PUBLIC])
{
    Postern__ConfigSigned *message =
        postern__config_signed__unpack(&unpack_allocator, self->packed_size, self->packed);
    int holds = message && message->signature.len == SIGNATURE_SIZE &&
                signature_holds(public_key, message->revision.data, message->revision.len,
                                message->signature.data);
    postern__config_signed__free_unpacked(message, NULL);
    return holds;
}

// -- from bytes

static char *text_of(const ProtobufCBinaryData *data)
{
    return duplicate_bytes(data->data, data->len);
}

// One line, as people and file names can bear it.
static int is_plain(const ProtobufCBinaryData *data, size_t most)
{
    if (data->len == 0 || data->len > most)
        return 0;
    for (size_t i = 0; i < data->len; i++)
        if (data->data[i] < ' ' || data->data[i] == 127)
            return 0;
    return 1;
}

static int is_text(const ProtobufCBinaryData *data)
{
    return data->len <= REVISION_TEXT_MOST &&
           !memchr(data->data ? data->data : (uint8_t *)"", 0, data->len);
}

static const char *read_entries(const Postern__ConfigChange *message,
                                struct revision_change *change)
{
    if (message->n_entries == 0 || message->body.len > 0 ||
        strncmp(change->document, "list/", 5) != 0)
        return "a change of entries has none, or is not of a list";
    for (size_t i = 0; i < message->n_entries; i++) {
        if (!is_plain(&message->entries[i], DOCUMENT_NAME_MOST))
            return "an entry is too long, empty or not one line";
        char *entry = text_of(&message->entries[i]);
        change_add_entry(change, entry);
        free(entry);
    }
    return NULL;
}

static const char *read_change(const Postern__ConfigChange *message, struct revision *self)
{
    if (!is_plain(&message->document, DOCUMENT_NAME_MOST) || (int)message->kind > CHANGE_REMOVE ||
        (int)message->kind < 0)
        return "a change has no document, or does what is unknown here";
    char *name = text_of(&message->document);
    struct revision_change *change =
        revision_add_change(self, name, (enum change_kind)message->kind);
    free(name);
    if (names_unpack(message->seen, message->n_seen, &change->seen) < 0)
        return "what a change had seen is malformed";
    if (names_hold(&change->seen, &self->origin, self->number))
        return "a change has seen itself";
    if (change->kind == CHANGE_ADD || change->kind == CHANGE_REMOVE)
        return read_entries(message, change);
    if (message->n_entries > 0 || (change->kind == CHANGE_DELETE && message->body.len > 0))
        return "a change carries what does not belong to it";
    if (change->kind == CHANGE_SET)
        change->body = json_loadb((const char *)message->body.data, message->body.len,
                                  JSON_REJECT_DUPLICATES, NULL);
    if (change->kind == CHANGE_SET && !json_is_object(change->body))
        return "a document is no JSON object";
    return NULL;
}

// One revision makes one version of a document, and one of an entry.
static const char *find_twice(const struct revision *self)
{
    struct table *table = table_new();
    const char *reason = NULL;
    struct buffer key;
    buffer_init(&key);
    for (size_t i = 0; i < self->change_count && !reason; i++) {
        const struct revision_change *change = &self->changes[i];
        int whole = change->kind == CHANGE_SET || change->kind == CHANGE_DELETE;
        for (size_t k = 0; k < (whole ? 1 : change->entry_count) && !reason; k++) {
            buffer_clear(&key);
            buffer_printf(&key, "%s\n%s", change->document, whole ? "" : change->entries[k]);
            if (table_put(table, buffer_bytes(&key), buffer_size(&key), (void *)change))
                reason = "it changes something twice";
        }
    }
    buffer_free(&key);
    table_destroy(&table);
    return reason;
}

static const char *fill(struct revision *self, const Postern__ConfigRevision *message)
{
    if (!is_plain(&message->master, sizeof(self->origin.master) - 1) || message->number == 0)
        return "it has no name";
    if (message->clock_ms >= CLOCK_MS_MOST || message->tree.len != TREE_HASH)
        return "it has no clock or no tree";
    if (!is_text(&message->author) || !is_text(&message->comment))
        return "its author or comment is too long";
    memcpy(self->origin.master, message->master.data, message->master.len);
    self->origin.start = message->start;
    self->number = message->number;
    self->clock = (struct config_clock){message->clock_ms, message->clock_count};
    self->author = text_of(&message->author);
    self->comment = text_of(&message->comment);
    memcpy(self->tree, message->tree.data, TREE_HASH);
    for (size_t i = 0; i < message->n_changes; i++) {
        const char *reason = read_change(message->changes[i], self);
        if (reason)
            return reason;
    }
    return find_twice(self);
}

struct revision *revision_read(const void *packed, size_t size, const char **ret_reason)
{
    Postern__ConfigSigned *outer =
        size <= REVISION_MOST ? postern__config_signed__unpack(&unpack_allocator, size, packed)
                              : NULL;
    Postern__ConfigRevision *message =
        outer ? postern__config_revision__unpack(&unpack_allocator, outer->revision.len,
                                                 outer->revision.data)
              : NULL;
    struct revision *self = allocate(sizeof(*self));
    const char *reason = message ? fill(self, message) : "it is too long, or no revision at all";
    postern__config_revision__free_unpacked(message, NULL);
    postern__config_signed__free_unpacked(outer, NULL);
    if (reason) {
        *ret_reason = reason;
        revision_destroy(&self);
        return NULL;
    }
    self->packed = duplicate_bytes(packed, size);
    self->packed_size = size;
    return self;
}
