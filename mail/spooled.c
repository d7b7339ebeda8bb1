// SPDX-License-Identifier: Apache-2.0
#include "mail/spooled.h"
#include "core/base/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LENGTH_SIZE = 4 };

static uint32_t little_endian(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

// The name comes from a record of ours, but a flipped bit must not lead out of the folder.
static int path_of_big(const ProtobufCBinaryData *name, const char *folder, char ret_path[PATH_MAX])
{
    if (name->len > 64 || memchr(name->data, '/', name->len) || memchr(name->data, 0, name->len))
        return -1;
    int length = snprintf(ret_path, PATH_MAX, "%s/%.*s", folder, (int)name->len, name->data);
    return length < PATH_MAX ? 0 : -1;
}

static int map_big(struct spooled *self, const char *folder)
{
    char path[PATH_MAX];
    struct stat status;
    if (path_of_big(&self->envelope->big, folder, path) < 0) {
        errno = EBADMSG;
        return -1;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    void *mapped = MAP_FAILED;
    if (fstat(fd, &status) == 0 && (uint64_t)status.st_size == self->envelope->size &&
        status.st_size > 0)
        mapped = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
    else
        errno = EBADMSG;
    int error = errno;
    close(fd);
    errno = error;
    if (mapped == MAP_FAILED)
        return -1;
    self->mapped = mapped;
    self->mapped_size = (size_t)status.st_size;
    self->message = mapped;
    self->size = self->mapped_size;
    return 0;
}

int spooled_open(struct spooled *ret, const void *payload, size_t size, const char *big_folder)
{
    struct spooled self = {0};
    uint32_t head = size >= LENGTH_SIZE ? little_endian(payload) : UINT32_MAX;
    if (size < LENGTH_SIZE || head > size - LENGTH_SIZE) {
        errno = EBADMSG;
        return -1;
    }
    const uint8_t *at = (const uint8_t *)payload + LENGTH_SIZE;
    self.envelope = postern__envelope__unpack(&unpack_allocator, head, at);
    if (!self.envelope) {
        errno = EBADMSG;
        return -1;
    }
    self.message = (const char *)at + head;
    self.size = size - LENGTH_SIZE - head;
    if (self.envelope->big.len > 0 && big_folder && map_big(&self, big_folder) < 0) {
        int error = errno;
        spooled_close(&self);
        errno = error;
        return -1;
    }
    *ret = self;
    return 0;
}

void spooled_close(struct spooled *self)
{
    if (self->mapped)
        munmap(self->mapped, self->mapped_size);
    if (self->envelope)
        postern__envelope__free_unpacked(self->envelope, NULL);
    *self = (struct spooled){0};
}

void *spooled_head(const Postern__Envelope *envelope, size_t *ret_size)
{
    size_t size = postern__envelope__get_packed_size(envelope);
    uint8_t *head = allocate(LENGTH_SIZE + size);
    for (int i = 0; i < LENGTH_SIZE; i++)
        head[i] = (uint8_t)(size >> (8 * i));
    postern__envelope__pack(envelope, head + LENGTH_SIZE);
    *ret_size = LENGTH_SIZE + size;
    return head;
}
