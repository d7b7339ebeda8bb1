// SPDX-License-Identifier: Apache-2.0
#include "master/store/blobs.h"
#include "core/base/buffer.h"
#include "core/base/file.h"
#include "core/base/random.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

enum { PATH_SIZE = 320, FOLDER_MODE = 0750, FILE_MODE = 0640, LEVEL = 3 };

static const char making_mark[] = ".making-";

void blob_name(const uint8_t sha256[SHA256_SIZE], char ret_text[SHA256_TEXT])
{
    for (int i = 0; i < SHA256_SIZE; i++)
        snprintf(ret_text + 2 * (size_t)i, 3, "%02x", sha256[i]);
}

static void folder_of(const char *folder, const uint8_t *sha256, char ret[PATH_SIZE])
{
    snprintf(ret, PATH_SIZE, "%s/bodies/%02x", folder, sha256[0]);
}

static void path_of(const char *folder, const uint8_t *sha256, char ret[PATH_SIZE])
{
    char name[SHA256_TEXT];
    blob_name(sha256, name);
    snprintf(ret, PATH_SIZE, "%s/bodies/%02x/%s.zst", folder, sha256[0], name);
}

int blob_exists(const char *folder, const uint8_t sha256[SHA256_SIZE])
{
    char path[PATH_SIZE];
    path_of(folder, sha256, path);
    return access(path, F_OK) == 0;
}

// -- in

struct blob_writer {
    char folder[PATH_SIZE / 2], making[PATH_SIZE];
    int fd;
    EVP_MD_CTX *hash;
    ZSTD_CCtx *zstd;
    size_t room;
    char *out;
};

struct blob_writer *blob_writer_new(const char *folder)
{
    struct blob_writer *self = allocate(sizeof(*self));
    char bodies[PATH_SIZE];
    snprintf(self->folder, sizeof(self->folder), "%s", folder);
    snprintf(bodies, sizeof(bodies), "%s/bodies", folder);
    snprintf(self->making, sizeof(self->making), "%s/bodies/%s%016llx", self->folder, making_mark,
             (unsigned long long)random_u64());
    self->fd = -1;
    self->hash = EVP_MD_CTX_new();
    self->zstd = ZSTD_createCCtx();
    self->room = ZSTD_CStreamOutSize();
    self->out = allocate(self->room);
    if (!self->hash || !self->zstd || EVP_DigestInit_ex(self->hash, EVP_sha256(), NULL) != 1 ||
        ZSTD_isError(ZSTD_CCtx_setParameter(self->zstd, ZSTD_c_compressionLevel, LEVEL)))
        errno = ENOMEM;
    else if (file_make_folders(bodies, FOLDER_MODE) == 0)
        self->fd = open(self->making, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (self->fd >= 0)
        return self;
    int error = errno;
    blob_writer_destroy(&self);
    errno = error;
    return NULL;
}

void blob_writer_destroy(struct blob_writer **self_p)
{
    struct blob_writer *self = *self_p;
    if (!self)
        return;
    if (self->fd >= 0) {
        close(self->fd);
        unlink(self->making);
    }
    EVP_MD_CTX_free(self->hash);
    ZSTD_freeCCtx(self->zstd);
    free(self->out);
    free(self);
    *self_p = NULL;
}

static int compress_all(struct blob_writer *self, const void *data, size_t size,
                        ZSTD_EndDirective how)
{
    ZSTD_inBuffer in = {data, size, 0};
    for (;;) {
        ZSTD_outBuffer out = {self->out, self->room, 0};
        size_t left = ZSTD_compressStream2(self->zstd, &out, &in, how);
        if (ZSTD_isError(left)) {
            errno = EIO;
            return -1;
        }
        if (out.pos > 0 && file_write_whole(self->fd, self->out, out.pos) < 0)
            return -1;
        if (how == ZSTD_e_end ? left == 0 : in.pos == in.size)
            return 0;
    }
}

int blob_writer_add(struct blob_writer *self, const void *data, size_t size)
{
    if (EVP_DigestUpdate(self->hash, data, size) != 1) {
        errno = ENOMEM;
        return -1;
    }
    return compress_all(self, data, size, ZSTD_e_continue);
}

static int digest_agrees(EVP_MD_CTX *hash, const uint8_t *sha256)
{
    uint8_t found[SHA256_SIZE];
    return EVP_DigestFinal_ex(hash, found, NULL) == 1 && memcmp(found, sha256, SHA256_SIZE) == 0;
}

static int settle(struct blob_writer *self, const uint8_t *sha256)
{
    char folder[PATH_SIZE], path[PATH_SIZE];
    folder_of(self->folder, sha256, folder);
    path_of(self->folder, sha256, path);
    if (compress_all(self, NULL, 0, ZSTD_e_end) < 0 || fsync(self->fd) < 0 ||
        file_make_folders(folder, FOLDER_MODE) < 0 || rename(self->making, path) < 0)
        return -1;
    return file_sync_folder(folder); // without this a power cut takes the name
}

int blob_writer_finish(struct blob_writer **self_p, const uint8_t sha256[SHA256_SIZE])
{
    struct blob_writer *self = *self_p;
    int rc = -1;
    if (digest_agrees(self->hash, sha256))
        rc = settle(self, sha256);
    else
        errno = EBADMSG;
    int error = errno;
    blob_writer_destroy(self_p); // the name that it made has gone with the rename
    errno = error;
    return rc;
}

// -- out

struct blob_reader {
    int fd;
    uint8_t sha256[SHA256_SIZE];
    uint64_t at;
    EVP_MD_CTX *hash;
    ZSTD_DCtx *zstd;
    char *data; // compressed, of which [taken, filled) waits
    size_t room, taken, filled;
    int frame_ended;
};

struct blob_reader *blob_reader_new(const char *folder, const uint8_t sha256[SHA256_SIZE])
{
    char path[PATH_SIZE];
    path_of(folder, sha256, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return NULL;
    struct blob_reader *self = allocate(sizeof(*self));
    self->fd = fd;
    memcpy(self->sha256, sha256, SHA256_SIZE);
    self->hash = EVP_MD_CTX_new();
    self->zstd = ZSTD_createDCtx();
    self->room = ZSTD_DStreamInSize();
    self->data = allocate(self->room);
    if (self->hash && self->zstd && EVP_DigestInit_ex(self->hash, EVP_sha256(), NULL) == 1)
        return self;
    blob_reader_destroy(&self);
    errno = ENOMEM;
    return NULL;
}

void blob_reader_destroy(struct blob_reader **self_p)
{
    struct blob_reader *self = *self_p;
    if (!self)
        return;
    close(self->fd);
    EVP_MD_CTX_free(self->hash);
    ZSTD_freeDCtx(self->zstd);
    free(self->data);
    free(self);
    *self_p = NULL;
}

// 1: bytes wait, 0: the file has ended, -1.
static int fill(struct blob_reader *self)
{
    if (self->taken < self->filled)
        return 1;
    ssize_t got = read(self->fd, self->data, self->room);
    self->taken = 0;
    self->filled = got > 0 ? (size_t)got : 0;
    return got < 0 ? -1 : got > 0;
}

// Decompresses into `room`; how much came, or -1.
static ssize_t inflate_some(struct blob_reader *self, char *room, size_t size)
{
    ZSTD_outBuffer out = {room, size, 0};
    while (out.pos == 0) {
        int more = fill(self);
        if (more < 0)
            return -1;
        if (more == 0) {
            errno = EBADMSG;
            return self->frame_ended ? 0 : -1;
        }
        ZSTD_inBuffer in = {self->data, self->filled, self->taken};
        size_t left = ZSTD_decompressStream(self->zstd, &out, &in);
        self->taken = in.pos;
        self->frame_ended = left == 0;
        if (ZSTD_isError(left)) {
            errno = EBADMSG;
            return -1;
        }
    }
    return (ssize_t)out.pos;
}

int blob_reader_next(struct blob_reader *self, size_t most, struct buffer *out)
{
    while (most > 0) {
        size_t room = most < 65536 ? most : 65536;
        char *at = buffer_reserve(out, room);
        ssize_t got = inflate_some(self, at, room);
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        if (EVP_DigestUpdate(self->hash, at, (size_t)got) != 1) {
            errno = ENOMEM;
            return -1;
        }
        buffer_added(out, (size_t)got);
        self->at += (uint64_t)got;
        most -= (size_t)got;
    }
    if (most == 0)
        return 1;
    if (digest_agrees(self->hash, self->sha256))
        return 0;
    errno = EBADMSG;
    return -1;
}

uint64_t blob_reader_at(const struct blob_reader *self)
{
    return self->at;
}

// -- names

int blob_set_aside(const char *folder, const uint8_t sha256[SHA256_SIZE])
{
    char path[PATH_SIZE], corrupt[PATH_SIZE], to[PATH_SIZE], name[SHA256_TEXT];
    blob_name(sha256, name);
    path_of(folder, sha256, path);
    snprintf(corrupt, sizeof(corrupt), "%s/bodies/corrupt", folder);
    snprintf(to, sizeof(to), "%s/bodies/corrupt/%s.zst", folder, name);
    if (file_make_folders(corrupt, FOLDER_MODE) < 0 || rename(path, to) < 0)
        return -1;
    return file_sync_folder(corrupt);
}

int blob_remove(const char *folder, const uint8_t sha256[SHA256_SIZE])
{
    char path[PATH_SIZE];
    path_of(folder, sha256, path);
    return unlink(path) < 0 && errno != ENOENT ? -1 : 0;
}

void blob_sweep(const char *folder)
{
    char bodies[PATH_SIZE];
    snprintf(bodies, sizeof(bodies), "%s/bodies", folder);
    DIR *open_folder = opendir(bodies);
    if (!open_folder)
        return;
    for (struct dirent *entry; (entry = readdir(open_folder));)
        if (strncmp(entry->d_name, making_mark, sizeof(making_mark) - 1) == 0)
            unlinkat(dirfd(open_folder), entry->d_name, 0);
    closedir(open_folder);
}
