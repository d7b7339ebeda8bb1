// SPDX-License-Identifier: Apache-2.0
// A held mail's bytes: read on the disk thread before a try, dropped after it.
#include "core/base/log.h"
#include "delivery/pieces_file.h"
#include "delivery/quarantine.h"
#include "delivery/queued.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { UNREADABLE_PAUSE_MS = 3600 * 1000 };

struct loading {
    struct queued *mail;
    char *path; // of its file, NULL: the record holds the bytes
    struct position place;
    void *bytes;
    size_t size;
};

static int load(void *context)
{
    struct loading *loading = context;
    const struct queue *self = loading->mail->queue;
    if (loading->path) {
        loading->bytes = pieces_file_map(loading->path, &loading->size);
        return loading->bytes ? 0 : errno;
    }
    loading->bytes = self->ops->read(self->io, loading->place);
    loading->size = loading->place.length;
    return loading->bytes ? 0 : errno;
}

size_t held_head_end(const void *record, size_t size)
{
    const uint8_t *bytes = record;
    if (size < 4)
        return 0;
    size_t length =
        bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16 | (size_t)bytes[3] << 24;
    return length <= size - 4 ? length + 4 : 0;
}

static int open_bytes(struct queued *mail)
{
    size_t skip = mail->bytes_mapped ? 0 : held_head_end(mail->bytes, mail->bytes_size);
    if (!mail->bytes_mapped && skip == 0)
        return -1;
    struct span message = {(const char *)mail->bytes + skip, mail->bytes_size - skip};
    return body_make(&mail->body, (struct span){0}, NULL, 0, message);
}

static void loaded(void *context, int result)
{
    struct loading *loading = context;
    struct queued *mail = loading->mail;
    struct queue *self = mail->queue;
    mail->bytes = loading->bytes;
    mail->bytes_size = loading->size;
    mail->bytes_mapped = loading->path != NULL;
    mail->loading = 0;
    mail->writing--;
    self->working--;
    free(loading->path);
    free(loading);
    if (result == 0 && open_bytes(mail) < 0)
        result = EBADMSG;
    if (result == 0) {
        mail->trying = 1;
        queued_try(mail);
        return;
    }
    char id[ULID_TEXT];
    ulid_format(&mail->id, id);
    log_error("held-mail.unreadable", "id=%s error=%d", id, result);
    queued_unload(mail);
    queued_schedule(mail, self->ops->now_ms(self->io) + UNREADABLE_PAUSE_MS);
}

void queued_load(struct queued *mail)
{
    struct queue *self = mail->queue;
    char path[512];
    if (mail->job) {
        quarantine_job(mail); // its file could not be written before
        return;
    }
    if (mail->loading || mail->moving || mail->out > 0)
        return;
    struct loading *loading = allocate(sizeof(*loading));
    loading->mail = mail;
    loading->place = mail->keeping->base;
    if (mail->keeping->file)
        loading->path = duplicate(queued_folder(self, mail->keeping->file, path, sizeof(path)));
    mail->loading = 1;
    mail->writing++;
    self->working++;
    if (self->ops->work(self->io, load, loaded, loading) < 0)
        loaded(loading, EAGAIN);
}

void queued_unload(struct queued *mail)
{
    body_free(&mail->body);
    if (mail->bytes && mail->bytes_mapped)
        munmap(mail->bytes, mail->bytes_size);
    else
        free(mail->bytes);
    mail->bytes = NULL;
}
