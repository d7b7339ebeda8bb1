// SPDX-License-Identifier: Apache-2.0
#include "analyzer/unpack.h"

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/base/table.h"
#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 64 << 10, NAME_MOST = 1024 };

enum container {
    CONTAINER_NONE,
    CONTAINER_ZIP,
    CONTAINER_PACKED, // one compressed file
    CONTAINER_PACKED_TAR,
    CONTAINER_TAR,
    CONTAINER_OTHER,
};

struct walk {
    const struct unpack_limits *limits;
    const struct unpack_handler *handler;
    struct unpack_totals *totals;
    uint64_t held;
    int stopped;
};

// One archive, read in one way.
struct pass {
    struct walk *walk;
    struct archive *archive;
    struct table *names; // of the members as the zip's directory has them; NULL: no zip
    size_t named;        // members in this pass
    unsigned depth;
    int streamed; // by the headers before the members, not by the directory
};

// -- what it is

static const struct {
    enum container kind;
    size_t offset, size;
    const char *magic;
} magics[] = {
    {CONTAINER_ZIP, 0, 4, "PK\3\4"},
    {CONTAINER_ZIP, 0, 4, "PK\5\6"},
    {CONTAINER_ZIP, 0, 8, "PK00PK\3\4"},
    {CONTAINER_PACKED, 0, 3, "\x1f\x8b\x08"},
    {CONTAINER_PACKED, 0, 2, "\x1f\x9d"},
    {CONTAINER_PACKED, 0, 3, "BZh"},
    {CONTAINER_PACKED, 0, 6, "\xfd\x37zXZ"},
    {CONTAINER_PACKED, 0, 4, "\x28\xb5\x2f\xfd"},
    {CONTAINER_OTHER, 0, 6, "7z\xbc\xaf\x27\x1c"},
    {CONTAINER_OTHER, 0, 6, "Rar!\x1a\x07"},
    {CONTAINER_OTHER, 0, 4, "MSCF"},
    {CONTAINER_OTHER, 0, 6, "070701"},
    {CONTAINER_OTHER, 0, 6, "070702"},
    {CONTAINER_OTHER, 0, 6, "070707"},
    {CONTAINER_OTHER, 0, 2, "\xc7\x71"},
    {CONTAINER_OTHER, 2, 3, "-lh"},
    {CONTAINER_OTHER, 32769, 5, "CD001"},
};

// A tar has no mark that all have, but a checksum of its first header.
static int is_tar(struct span bytes)
{
    enum { HEADER = 512, FIELD = 148, FIELD_SIZE = 8 };
    unsigned sum = FIELD_SIZE * ' ';
    if (bytes.size < HEADER || bytes.data[0] == 0)
        return 0;
    for (size_t i = 0; i < HEADER; i++)
        if (i < FIELD || i >= FIELD + FIELD_SIZE)
            sum += (unsigned char)bytes.data[i];
    char field[FIELD_SIZE + 1] = "";
    memcpy(field, bytes.data + FIELD, FIELD_SIZE);
    return strtoul(field, NULL, 8) == sum;
}

static enum container kind_of(struct span bytes)
{
    for (size_t i = 0; i < ARRAY_LENGTH(magics); i++)
        if (bytes.size >= magics[i].offset + magics[i].size &&
            memcmp(bytes.data + magics[i].offset, magics[i].magic, magics[i].size) == 0)
            return magics[i].kind;
    return is_tar(bytes) ? CONTAINER_TAR : CONTAINER_NONE;
}

int unpack_knows(struct span bytes)
{
    return kind_of(bytes) != CONTAINER_NONE;
}

// -- limits and problems

static void report(struct walk *self, enum unpack_problem problem, const char *detail)
{
    self->handler->problem(self->handler->context, problem, detail != NULL ? detail : "");
}

static void stop(struct walk *self, const char *limit)
{
    report(self, UNPACK_LIMIT, limit);
    self->stopped = 1;
}

static int over_limit(struct walk *self)
{
    const struct unpack_limits *limits = self->limits;
    const struct unpack_totals *totals = self->totals;
    if (totals->members > limits->members_most)
        stop(self, "members");
    else if (totals->output > limits->output_most)
        stop(self, "bytes");
    else if (totals->output > limits->ratio_from &&
             totals->output / limits->ratio_most > totals->input)
        stop(self, "density");
    else if (clock_monotonic_us() > limits->until_us)
        stop(self, "time");
    return self->stopped;
}

static void report_unreadable(const struct pass *self)
{
    // libarchive reads beyond its table when asked about encryption before it knows the format.
    if (archive_format(self->archive) != 0 && archive_read_has_encrypted_entries(self->archive) > 0)
        report(self->walk, UNPACK_ENCRYPTED, "");
    else if (!self->streamed) // programs that read on this way stop here, too
        report(self->walk, UNPACK_BROKEN, archive_error_string(self->archive));
}

// -- names

static int leads_out(const char *path)
{
    if (path[0] == '/' || path[0] == '\\' || (path[0] != 0 && path[1] == ':'))
        return 1;
    for (const char *at = strstr(path, ".."); at != NULL; at = strstr(at + 2, "..")) {
        char before = at > path ? at[-1] : '/', after = at[2] != 0 ? at[2] : '/';
        if ((before == '/' || before == '\\') && (after == '/' || after == '\\'))
            return 1;
    }
    return 0;
}

static const char *path_of(struct archive_entry *entry)
{
    const char *path = archive_entry_pathname(entry);
    if (path == NULL)
        path = archive_entry_pathname_utf8(entry);
    return path != NULL ? path : "";
}

static void look_at_entry(struct walk *self, struct archive_entry *entry)
{
    const char *path = path_of(entry), *link = archive_entry_symlink(entry);
    if (link == NULL)
        link = archive_entry_hardlink(entry);
    mode_t type = archive_entry_filetype(entry);
    if (leads_out(path) || type == AE_IFCHR || type == AE_IFBLK)
        report(self, UNPACK_TRAVERSAL, path);
    else if (link != NULL && leads_out(link))
        report(self, UNPACK_TRAVERSAL, link);
}

// The two ways of reading a zip make small differences of their own.
static size_t normal_name(struct archive_entry *entry, char ret_name[NAME_MOST])
{
    const char *path = path_of(entry);
    size_t size = strnlen(path, NAME_MOST);
    for (size_t i = 0; i < size; i++)
        ret_name[i] = path[i] == '\\' ? '/' : path[i];
    while (size > 0 && ret_name[size - 1] == '/')
        size--;
    return size;
}

static void compare_name(struct pass *self, struct archive_entry *entry)
{
    static char present;
    char name[NAME_MOST];
    size_t size = normal_name(entry, name);
    self->named++;
    if (self->names == NULL)
        return;
    if (!self->streamed)
        table_put(self->names, name, size, &present);
    else if (table_get(self->names, name, size) == NULL)
        report(self->walk, UNPACK_DIFFERENT, path_of(entry));
}

// -- members

static void unpack_nested(struct walk *self, struct span bytes, unsigned depth);

// Keeps the bytes of what looks like an archive.
static void gather(struct walk *self, struct buffer *nested, const char *data, size_t size)
{
    if (self->held + size > self->limits->held_most) {
        stop(self, "nested bytes");
        return;
    }
    buffer_add(nested, data, size);
    self->held += size;
}

static la_ssize_t read_member(struct pass *pass, struct buffer *nested)
{
    struct walk *self = pass->walk;
    char window[UNPACK_OVERLAP + CHUNK];
    size_t kept = 0;
    int is_archive = -1; // not known yet
    la_ssize_t size;
    while ((size = archive_read_data(pass->archive, window + kept, CHUNK)) > 0) {
        size_t held = kept + (size_t)size;
        self->totals->output += (uint64_t)size;
        if (is_archive < 0)
            is_archive = unpack_knows((struct span){window, held});
        if (self->handler->bytes(self->handler->context, (struct span){window, held}))
            self->stopped = 1;
        if (!self->stopped && is_archive)
            gather(self, nested, window + kept, (size_t)size);
        if (self->stopped || over_limit(self))
            return 0;
        kept = held < UNPACK_OVERLAP ? held : UNPACK_OVERLAP;
        memmove(window, window + held - kept, kept);
    }
    return size;
}

static void unpack_member(struct pass *pass, struct archive_entry *entry)
{
    struct walk *self = pass->walk;
    look_at_entry(self, entry);
    compare_name(pass, entry);
    if (archive_entry_is_encrypted(entry) > 0) {
        report(self, UNPACK_ENCRYPTED, path_of(entry));
        return;
    }
    struct buffer nested;
    buffer_init(&nested);
    int folder = archive_entry_filetype(entry) == AE_IFDIR;
    if (read_member(pass, &nested) < 0 && !folder)
        report_unreadable(pass);
    size_t held = buffer_size(&nested);
    if (!self->stopped && held > 0)
        unpack_nested(self, (struct span){buffer_bytes(&nested), held}, pass->depth + 1);
    self->held -= held;
    buffer_free(&nested);
}

// 0; or -1 when the archive could not be read to its end.
static int unpack_members(struct pass *pass)
{
    struct walk *self = pass->walk;
    struct archive_entry *entry;
    int rc = ARCHIVE_OK;
    while (!self->stopped &&
           (rc = archive_read_next_header(pass->archive, &entry)) >= ARCHIVE_WARN &&
           rc != ARCHIVE_EOF) {
        self->totals->members++;
        if (!over_limit(self))
            unpack_member(pass, entry);
    }
    if (self->stopped || rc == ARCHIVE_EOF)
        return 0;
    report_unreadable(pass);
    return -1;
}

// -- archives

static void support_zip(struct archive *archive, int streamed)
{
    if (streamed)
        archive_read_support_format_zip_streamable(archive);
    else
        archive_read_support_format_zip_seekable(archive);
}

static void support_packed(struct archive *archive)
{
    archive_read_support_filter_gzip(archive);
    archive_read_support_filter_bzip2(archive);
    archive_read_support_filter_xz(archive);
    archive_read_support_filter_compress(archive);
    archive_read_support_filter_zstd(archive);
}

static void support_others(struct archive *archive)
{
    archive_read_support_format_7zip(archive);
    archive_read_support_format_rar(archive);
    archive_read_support_format_rar5(archive);
    archive_read_support_format_cab(archive);
    archive_read_support_format_cpio(archive);
    archive_read_support_format_lha(archive);
    archive_read_support_format_iso9660(archive);
}

// No filter or format that would call another program, and none that would guess.
static void support(struct archive *archive, enum container container, int streamed)
{
    if (container == CONTAINER_ZIP)
        support_zip(archive, streamed);
    else if (container == CONTAINER_OTHER)
        support_others(archive);
    if (container == CONTAINER_PACKED || container == CONTAINER_PACKED_TAR)
        support_packed(archive);
    if (container == CONTAINER_PACKED) {
        archive_read_support_format_raw(archive);
        archive_read_support_format_empty(archive);
    }
    if (container == CONTAINER_TAR || container == CONTAINER_PACKED_TAR)
        archive_read_support_format_tar(archive);
}

static int unpack_pass(struct pass *pass, struct span bytes, enum container container)
{
    int rc = -1;
    if (pass->depth == 1)
        pass->walk->totals->input += bytes.size;
    pass->archive = archive_read_new();
    if (pass->archive == NULL) {
        stop(pass->walk, "memory");
        return -1;
    }
    support(pass->archive, container, pass->streamed);
    if (archive_read_open_memory(pass->archive, bytes.data, bytes.size) != ARCHIVE_OK)
        report_unreadable(pass);
    else
        rc = unpack_members(pass);
    archive_read_free(pass->archive);
    return rc;
}

// A zip's directory at its end and the headers before its members may differ, and some programs
// read by the one, some by the other.
static void unpack_zip(struct walk *self, struct span bytes, unsigned depth)
{
    struct pass directory = {.walk = self, .names = table_new(), .depth = depth};
    struct pass stream = {.walk = self, .names = directory.names, .depth = depth, .streamed = 1};
    int whole = unpack_pass(&directory, bytes, CONTAINER_ZIP) == 0;
    if (!self->stopped && unpack_pass(&stream, bytes, CONTAINER_ZIP) == 0 && whole &&
        !self->stopped && stream.named != directory.named)
        report(self, UNPACK_DIFFERENT, "");
    table_destroy(&directory.names);
}

// A compressed tar is read as a stream; anything else that is compressed is unpacked first.
static enum container look_inside(struct span bytes)
{
    char head[512];
    struct archive_entry *entry;
    la_ssize_t size = -1;
    struct archive *archive = archive_read_new();
    if (archive == NULL)
        return CONTAINER_PACKED;
    support(archive, CONTAINER_PACKED, 0);
    if (archive_read_open_memory(archive, bytes.data, bytes.size) == ARCHIVE_OK &&
        archive_read_next_header(archive, &entry) >= ARCHIVE_WARN)
        size = archive_read_data(archive, head, sizeof(head));
    archive_read_free(archive);
    int tar = size == sizeof(head) && is_tar((struct span){head, sizeof(head)});
    return tar ? CONTAINER_PACKED_TAR : CONTAINER_PACKED;
}

static void unpack_nested(struct walk *self, struct span bytes, unsigned depth)
{
    enum container container = kind_of(bytes);
    struct pass pass = {.walk = self, .depth = depth};
    if (container == CONTAINER_PACKED)
        container = look_inside(bytes);
    if (depth > self->limits->depth_most)
        stop(self, "depth");
    else if (container == CONTAINER_ZIP)
        unpack_zip(self, bytes, depth);
    else
        unpack_pass(&pass, bytes, container);
}

void unpack(struct span bytes, const struct unpack_limits *limits, struct unpack_totals *totals,
            const struct unpack_handler *handler)
{
    struct walk self = {.limits = limits, .handler = handler, .totals = totals};
    unpack_nested(&self, bytes, 1);
}
