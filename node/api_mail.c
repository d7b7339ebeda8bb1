// SPDX-License-Identifier: Apache-2.0
#include "node/api_mail.h"

#include "core/base/clock.h"
#include "mail/address.h"
#include "mail/spooled.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT_MOST = 320 };

int api_mail_read(struct api_mail *self, const char *state)
{
    char path[256];
    struct stat status;
    snprintf(path, sizeof(path), "%s/quarantine/%s/%s", state, self->day, self->id);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno;
    void *bytes = MAP_FAILED;
    if (fstat(fd, &status) == 0 && status.st_size > 0)
        bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    close(fd);
    if (bytes == MAP_FAILED)
        return EIO;
    self->bytes = bytes;
    self->size = (size_t)status.st_size;
    return 0;
}

struct span api_mail_bytes(const struct api_mail *self)
{
    const unsigned char *bytes = self->bytes;
    size_t head = 4;
    if (self->size >= head)
        head += bytes[0] | bytes[1] << 8 | bytes[2] << 16 | (size_t)bytes[3] << 24;
    return head <= self->size ? (struct span){(const char *)bytes + head, self->size - head}
                              : (struct span){(const char *)bytes, self->size};
}

void api_mail_free(struct api_mail *self)
{
    if (self->bytes)
        munmap(self->bytes, self->size);
    self->bytes = NULL;
}

// What a peer chose, as text: what is not UTF-8 is shown by question marks.
static json_t *text_of(const ProtobufCBinaryData *data)
{
    size_t size = data->len < TEXT_MOST ? data->len : TEXT_MOST;
    char *copy = duplicate_bytes(data->data ? (const char *)data->data : "", size);
    int valid = utf8_valid(copy, size);
    for (size_t i = 0; i < size; i++)
        if (copy[i] == 0 || (!valid && copy[i] & 0x80))
            copy[i] = '?';
    json_t *text = json_stringn(copy, size);
    free(copy);
    return text ? text : json_string("");
}

static void add_envelope(json_t *row, const Postern__Envelope *envelope)
{
    char received[40];
    clock_format_rfc3339(envelope->received_ms, received);
    json_object_set_new(row, "sender", text_of(&envelope->reverse_path));
    json_object_set_new(row, "message_id", text_of(&envelope->message_id));
    json_object_set_new(row, "subject", text_of(&envelope->subject));
    json_object_set_new(row, "received_at", json_string(received));
    json_object_set_new(row, "size", json_integer((json_int_t)envelope->size));
}

static void add_recipients(json_t *row)
{
    json_t *list = json_array(), *state;
    size_t i;
    json_array_foreach(json_object_get(row, "states"), i, state) json_array_append_new(
        list, json_pack("{s:O, s:s, s:s}", "address", json_object_get(state, "address"),
                        "disposition", "quarantined", "reply", ""));
    json_object_set_new(row, "recipients", list);
}

int api_mail_describe(json_t *row, const char *state)
{
    struct api_mail mail = {0};
    struct spooled spooled;
    snprintf(mail.id, sizeof(mail.id), "%s", json_string_value(json_object_get(row, "id")));
    snprintf(mail.day, sizeof(mail.day), "%s", json_string_value(json_object_get(row, "day")));
    add_recipients(row);
    if (api_mail_read(&mail, state) != 0)
        return -1;
    int sound = spooled_open(&spooled, mail.bytes, mail.size, NULL) == 0;
    if (sound) {
        add_envelope(row, spooled.envelope);
        spooled_close(&spooled);
    }
    api_mail_free(&mail);
    return sound ? 0 : -1;
}

json_t *api_mail_merge(const json_t *rows)
{
    json_t *merged = json_array(), *row, *last = NULL;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        const char *id = json_string_value(json_object_get(row, "id"));
        const char *before = json_string_value(json_object_get(last, "id"));
        if (id && before && strcmp(id, before) == 0) {
            json_array_extend(json_object_get(last, "states"), json_object_get(row, "states"));
            json_array_extend(json_object_get(last, "orders"), json_object_get(row, "orders"));
        } else if (id) {
            json_array_append(merged, row);
            last = row;
        }
    }
    return merged;
}
