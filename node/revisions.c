// SPDX-License-Identifier: Apache-2.0
#include "node/revisions.h"

#include "core/base/crc32c.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "mail/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_SIZE = 192 };

// Before each revision's bytes in the file.
struct record {
    uint32_t size, crc;
};

struct revisions {
    struct config *config;
    struct signers signers;
    int fd;
};

static int valid(void *context, const json_t *documents, const char *const *changed, size_t count,
                 char *ret_error, size_t error_size)
{
    (void)context;
    return schema_check_changes(documents, changed, count, ret_error, error_size);
}

static void hold(struct revisions *self, struct revision *revision)
{
    signers_learn(&self->signers, revision);
    (void)!config_add(self->config, &revision);
}

// -- the file

static void pack_record(const struct revision *revision, struct buffer *ret)
{
    struct record record = {(uint32_t)revision->packed_size,
                            crc32c(0, revision->packed, revision->packed_size)};
    buffer_add(ret, &record, sizeof(record));
    buffer_add(ret, revision->packed, revision->packed_size);
}

// 1: a revision was read; 0: the end; -1: what is there is none.
static int read_record(struct revisions *self, FILE *file)
{
    struct record record;
    const char *reason;
    size_t got = fread(&record, 1, sizeof(record), file);
    if (got == 0)
        return 0;
    if (got < sizeof(record) || record.size > REVISION_MOST)
        return -1;
    char *bytes = allocate(record.size + 1);
    struct revision *revision = NULL;
    if (fread(bytes, 1, record.size, file) == record.size &&
        crc32c(0, bytes, record.size) == record.crc)
        revision = revision_read(bytes, record.size, &reason);
    free(bytes);
    if (!revision)
        return -1;
    hold(self, revision);
    return 1;
}

static int read_all(struct revisions *self, const char *path)
{
    FILE *file = fopen(path, "re");
    int rc = 1;
    if (!file)
        return errno == ENOENT ? 0 : -1;
    while (rc == 1)
        rc = read_record(self, file);
    fclose(file);
    config_merge(self->config);
    return rc < 0 ? 1 : 0;
}

// The file as it should be, where its end was torn.
static int write_anew(const struct revisions *self, const char *path)
{
    struct buffer all;
    buffer_init(&all);
    for (size_t i = 0; i < config_count(self->config); i++)
        pack_record(config_at(self->config, i)->revision, &all);
    int rc = file_write_atomic(path, buffer_bytes(&all), buffer_size(&all), 0640);
    buffer_free(&all);
    log_warning("config.revisions", "torn=yes kept=%zu", config_count(self->config));
    return rc;
}

struct revisions *revisions_open(const char *folder)
{
    struct revisions *self = allocate(sizeof(*self));
    char path[PATH_SIZE];
    snprintf(path, sizeof(path), "%s/revisions", folder);
    self->config = config_new(valid, self);
    self->fd = -1;
    if (file_make_folders(folder, 0750) == 0) {
        int torn = read_all(self, path);
        if (torn == 0 || (torn == 1 && write_anew(self, path) == 0))
            self->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    }
    if (self->fd >= 0 && file_sync_folder(folder) == 0)
        return self;
    int kept = errno;
    revisions_close(&self);
    errno = kept;
    return NULL;
}

void revisions_close(struct revisions **self)
{
    if (!*self)
        return;
    config_destroy(&(*self)->config);
    signers_free(&(*self)->signers);
    if ((*self)->fd >= 0)
        close((*self)->fd);
    free(*self);
    *self = NULL;
}

// All of them or, as far as anybody sees, none: what a failure leaves is cut off again.
static int append(struct revisions *self, struct revision *const *list, size_t count)
{
    struct buffer all;
    off_t end = lseek(self->fd, 0, SEEK_END);
    buffer_init(&all);
    for (size_t i = 0; i < count; i++)
        pack_record(list[i], &all);
    int rc = end < 0 ? -1 : file_write_whole(self->fd, buffer_bytes(&all), buffer_size(&all));
    if (rc == 0)
        rc = fdatasync(self->fd);
    int kept = errno;
    buffer_free(&all);
    if (rc < 0 && end >= 0 && ftruncate(self->fd, end) < 0)
        log_error("config.revisions", "uncut=%d", errno);
    errno = kept;
    return rc;
}

// -- the set

void revisions_trust(struct revisions *self, const uint8_t key[SIGN_PUBLIC])
{
    signers_add(&self->signers, key);
}

int revisions_take(struct revisions *self, const struct batch *batch, unsigned *ret_refused)
{
    struct taken taken;
    batch_read(batch, self->config, &self->signers, &taken);
    *ret_refused = taken.malformed + taken.untrusted;
    int rc = taken.count > 0 ? append(self, taken.revisions, taken.count) : 0;
    for (size_t i = 0; i < taken.count; i++) {
        if (rc == 0)
            hold(self, taken.revisions[i]);
        else
            revision_destroy(&taken.revisions[i]);
    }
    int kept = errno;
    free(taken.revisions);
    config_merge(self->config);
    errno = kept;
    return rc < 0 ? -1 : (int)taken.count;
}

const struct config *revisions_set(const struct revisions *self)
{
    return self->config;
}

char *revisions_tree(struct revisions *self, size_t *ret_size, char ret_name[REVISION_NAME_SIZE],
                     char ret_hash[2 * TREE_HASH + 1])
{
    const struct revision *newest = config_newest(self->config);
    uint8_t hash[TREE_HASH];
    snprintf(ret_name, REVISION_NAME_SIZE, "0");
    if (newest)
        revision_name(newest, ret_name);
    config_hash(self->config, config_documents(self->config), hash);
    for (size_t i = 0; i < sizeof(hash); i++)
        snprintf(ret_hash + 2 * i, 3, "%02x", hash[i]);
    json_t *tree =
        json_pack("{s:s, s:O}", "revision", ret_name, "documents", config_documents(self->config));
    char *text = json_dumps(tree, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(tree);
    *ret_size = strlen(text);
    return text;
}
