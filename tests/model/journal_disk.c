// SPDX-License-Identifier: Apache-2.0
#include "tests/model/journal_disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 40, OPEN_MOST = 4096, SECTOR = 512, PAGE = 4096 };

// Bytes that are not on the disk yet. Without data: the file grows to `offset`.
struct write {
    size_t offset, size;
    unsigned char *data;
};

struct contents {
    unsigned char *bytes;
    size_t size;
};

struct file {
    struct file *next;
    char name[NAME];
    struct contents cache, durable;
    struct write *writes;
    size_t write_count;
    int linked;         // as a process sees it
    int durable_linked; // as the disk has it
};

// A change of the folder that is not synced yet.
struct change {
    struct file *file;
    int linked;
    unsigned by; // which process
};

struct disk {
    uint64_t random;
    struct file *files;
    struct change *changes;
    size_t change_count;
    struct process *process; // the living one
    unsigned die_after;
    enum disk_fault fault;
    struct disk_lies lies;
    unsigned failures, kept, births;
    int64_t now_us;
};

struct process {
    struct disk *disk;
    int dead;
    struct file *open[OPEN_MOST];
    int open_count;
};

uint64_t disk_draw(struct disk *self, uint64_t below)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return below ? (self->random * 0x2545F4914F6CDD1DULL >> 33) % below : 0;
}

// -- contents

static void grow(struct contents *self, size_t size)
{
    if (size <= self->size)
        return;
    self->bytes = reallocate(self->bytes, size);
    memset(self->bytes + self->size, 0, size - self->size);
    self->size = size;
}

static void put(struct contents *self, const struct write *write)
{
    grow(self, write->offset + write->size);
    if (write->size)
        memcpy(self->bytes + write->offset, write->data, write->size);
}

static void copy_contents(struct contents *to, const struct contents *from)
{
    free(to->bytes);
    *to = (struct contents){NULL, 0};
    grow(to, from->size);
    if (from->size)
        memcpy(to->bytes, from->bytes, from->size);
}

static void forget_writes(struct file *file)
{
    for (size_t i = 0; i < file->write_count; i++)
        free(file->writes[i].data);
    free(file->writes);
    file->writes = NULL;
    file->write_count = 0;
}

static void add_write(struct file *file, const void *data, size_t size, size_t offset)
{
    size_t count = file->write_count + 1;
    // Doubled: a segment is filled and written by many.
    if ((count & (count - 1)) == 0)
        file->writes = reallocate(file->writes, 2 * count * sizeof(*file->writes));
    struct write *write = &file->writes[file->write_count++];
    *write = (struct write){offset, size, NULL};
    if (size)
        write->data = memcpy(allocate(size), data, size);
    put(&file->cache, write);
}

// Puts those sectors of a write on the disk that the coin chooses: `chance` of 8.
static void put_sectors(struct disk *self, struct file *file, const struct write *write,
                        size_t grain, unsigned chance)
{
    if (!write->size && disk_draw(self, 8) < chance)
        put(&file->durable, write);
    for (size_t at = 0; at < write->size;) {
        size_t end = (write->offset + at) / grain * grain + grain - write->offset;
        if (end > write->size)
            end = write->size;
        struct write part = {write->offset + at, end - at, write->data + at};
        if (disk_draw(self, 8) < chance)
            put(&file->durable, &part);
        at = end;
    }
}

// What a power cut leaves of a file's writes: nothing, all up to one that is torn, or any sectors.
static void cut_writes(struct disk *self, struct file *file)
{
    size_t grain = disk_draw(self, 2) ? SECTOR : PAGE;
    size_t whole = disk_draw(self, file->write_count + 1);
    switch (disk_draw(self, 4)) {
    case 0:
        break;
    case 1:
        for (size_t i = 0; i < whole; i++)
            put(&file->durable, &file->writes[i]);
        if (whole < file->write_count)
            put_sectors(self, file, &file->writes[whole], grain, 4);
        break;
    default:
        for (size_t i = 0, chance = 1 + disk_draw(self, 7); i < file->write_count; i++)
            put_sectors(self, file, &file->writes[i], grain, (unsigned)chance);
        break;
    }
    forget_writes(file);
    copy_contents(&file->cache, &file->durable);
}

// -- the folder

static struct file *linked(const struct disk *self, const char *name)
{
    for (struct file *file = self->files; file; file = file->next)
        if (file->linked && strcmp(file->name, name) == 0)
            return file;
    return NULL;
}

static void change(struct disk *self, struct file *file, int is_linked)
{
    file->linked = is_linked;
    self->changes = reallocate(self->changes, (self->change_count + 1) * sizeof(*self->changes));
    self->changes[self->change_count++] = (struct change){file, is_linked, self->births};
}

// The changes of one name reach the disk in order, those of different names in any.
static void cut_changes(struct disk *self)
{
    for (size_t i = 0; i < self->change_count; i++) {
        const char *name = self->changes[i].file->name;
        int first = 1;
        for (size_t j = 0; j < i && first; j++)
            first = strcmp(self->changes[j].file->name, name) != 0;
        for (size_t j = i; first && j < self->change_count && disk_draw(self, 2); j++)
            if (strcmp(self->changes[j].file->name, name) == 0)
                self->changes[j].file->durable_linked = self->changes[j].linked;
    }
    self->change_count = 0;
}

static void free_file(struct file *file)
{
    forget_writes(file);
    free(file->cache.bytes);
    free(file->durable.bytes);
    free(file);
}

// -- the process's view

// Counts an operation. 0: it may go on; -1: the process has died.
static int operation(struct process *self)
{
    struct disk *disk = self->disk;
    disk->now_us += 10;
    if (!self->dead && disk->die_after && --disk->die_after == 0)
        disk_kill(disk);
    if (!self->dead)
        return 0;
    errno = EIO;
    return -1;
}

// Is this the operation that fails? Once, but for a full disk.
static int fails(struct process *self, enum disk_fault fault, int error)
{
    struct disk *disk = self->disk;
    if (disk->fault != fault)
        return 0;
    if (fault != DISK_FULL)
        disk->fault = DISK_SOUND;
    disk->failures++;
    errno = error;
    return 1;
}

static int sim_open(void *context, const char *name, int create)
{
    struct process *self = context;
    if (operation(self) < 0)
        return -1;
    struct file *file = linked(self->disk, name);
    if (create ? file != NULL : file == NULL) {
        errno = create ? EEXIST : ENOENT;
        return -1;
    }
    if (create) {
        if (fails(self, DISK_FULL, ENOSPC))
            return -1;
        file = allocate(sizeof(*file));
        snprintf(file->name, sizeof(file->name), "%s", name);
        file->next = self->disk->files;
        self->disk->files = file;
        change(self->disk, file, 1);
    }
    if (self->open_count == OPEN_MOST)
        abort();
    self->open[self->open_count] = file;
    return self->open_count++;
}

static void sim_close(void *context, int fd)
{
    (void)context, (void)fd;
}

static int64_t sim_size(void *context, int fd)
{
    struct process *self = context;
    return operation(self) < 0 ? -1 : (int64_t)self->open[fd]->cache.size;
}

static ssize_t sim_pread(void *context, int fd, void *ret, size_t size, uint64_t offset)
{
    struct process *self = context;
    if (operation(self) < 0 || fails(self, DISK_NO_READ, EIO))
        return -1;
    const struct contents *cache = &self->open[fd]->cache;
    if (offset >= cache->size)
        return 0;
    size_t got = size < cache->size - offset ? size : cache->size - (size_t)offset;
    memcpy(ret, cache->bytes + offset, got);
    return (ssize_t)got;
}

static ssize_t sim_pwrite(void *context, int fd, const void *data, size_t size, uint64_t offset)
{
    struct process *self = context;
    int alive = !self->dead;
    size_t done = size;
    int failed = operation(self) < 0;
    if (failed) // killed in the midst of it
        done = alive ? (size_t)disk_draw(self->disk, size + 1) : 0;
    else if ((failed = fails(self, DISK_NO_WRITE, EIO)) || fails(self, DISK_SHORT, EINTR))
        done = 1 + (size_t)disk_draw(self->disk, size);
    if (done)
        add_write(self->open[fd], data, done, (size_t)offset);
    return failed ? -1 : (ssize_t)done;
}

static int sim_preallocate(void *context, int fd, uint64_t size)
{
    struct process *self = context;
    if (operation(self) < 0 || fails(self, DISK_FULL, ENOSPC))
        return -1;
    add_write(self->open[fd], NULL, 0, (size_t)size);
    return 0;
}

static int sim_fdatasync(void *context, int fd)
{
    struct process *self = context;
    struct disk *disk = self->disk;
    struct file *file = self->open[fd];
    disk->now_us += disk_draw(disk, 2) ? 5000 : 100;
    if (operation(self) < 0)
        return -1;
    if (fails(self, DISK_NO_SYNC, EIO)) {
        // Any part of it reached the disk, and nothing will bring the rest there.
        for (size_t i = 0; i < file->write_count; i++)
            put_sectors(disk, file, &file->writes[i], PAGE, 4);
        forget_writes(file);
        if (disk_draw(disk, 2)) // the page cache has let go of it
            copy_contents(&file->cache, &file->durable);
        return disk->lies.failed_sync_again ? 0 : -1;
    }
    if (disk->lies.sync_is_nothing)
        return 0;
    for (size_t i = 0; i < file->write_count; i++)
        put(&file->durable, &file->writes[i]);
    forget_writes(file);
    return 0;
}

static int sim_write_back(void *context, int fd, uint64_t offset, uint64_t size, int wait)
{
    (void)fd, (void)offset, (void)size, (void)wait; // may have happened to any sector at a cut
    return operation(context);
}

static int sim_unlink(void *context, const char *name)
{
    struct process *self = context;
    if (operation(self) < 0)
        return -1;
    struct file *file = linked(self->disk, name);
    if (!file) {
        errno = ENOENT;
        return -1;
    }
    if (fails(self, DISK_NO_UNLINK, EIO))
        return -1;
    change(self->disk, file, 0);
    return 0;
}

static int sim_sync_folder(void *context)
{
    struct process *self = context;
    struct disk *disk = self->disk;
    if (operation(self) < 0 || fails(self, DISK_NO_FOLDER, EIO))
        return -1;
    size_t left = 0;
    for (size_t i = 0; i < disk->change_count; i++) {
        struct change *synced = &disk->changes[i];
        int forgets = synced->linked ? disk->lies.no_folder_for_new : disk->lies.no_folder_for_gone;
        if (forgets ||
            (!synced->linked && disk->lies.no_folder_for_dead && synced->by != disk->births))
            disk->changes[left++] = *synced;
        else
            synced->file->durable_linked = synced->linked;
    }
    disk->change_count = left;
    return 0;
}

static int sim_list(void *context, journal_name_fn *fn, void *fn_context)
{
    struct process *self = context;
    if (operation(self) < 0)
        return -1;
    disk_each(self->disk, fn, fn_context);
    return 0;
}

static int sim_keep(void *context, const char *name, const void *data, size_t size, char *ret_path,
                    size_t path_size)
{
    struct process *self = context;
    (void)data, (void)size;
    if (operation(self) < 0)
        return -1;
    snprintf(ret_path, path_size, "%s", name);
    self->disk->kept++;
    return 0;
}

static unsigned sim_free_percent(void *context)
{
    (void)context;
    return 50;
}

static int64_t sim_now_us(void *context)
{
    return ((struct process *)context)->disk->now_us;
}

static void sim_destroy(void *context)
{
    struct process *self = context;
    if (self->disk->process == self)
        self->disk->process = NULL;
    free(self);
}

void disk_open(struct disk *self, struct journal_io *ret)
{
    struct process *process = allocate(sizeof(*process));
    process->disk = self;
    self->process = process;
    self->births++;
    *ret = (struct journal_io){
        .context = process,
        .open = sim_open,
        .close = sim_close,
        .size = sim_size,
        .pread = sim_pread,
        .pwrite = sim_pwrite,
        .preallocate = sim_preallocate,
        .fdatasync = sim_fdatasync,
        .write_back = sim_write_back,
        .unlink = sim_unlink,
        .sync_folder = sim_sync_folder,
        .list = sim_list,
        .keep = sim_keep,
        .free_percent = sim_free_percent,
        .now_us = sim_now_us,
        .destroy = sim_destroy,
    };
}

// -- life and faults

struct disk *disk_new(uint64_t seed)
{
    struct disk *self = allocate(sizeof(*self));
    self->random = seed * 0x9E3779B97F4A7C15ULL + 1;
    return self;
}

void disk_destroy(struct disk **disk)
{
    struct disk *self = *disk;
    if (!self)
        return;
    for (struct file *file = self->files, *next; file; file = next) {
        next = file->next;
        free_file(file);
    }
    free(self->changes);
    free(self);
    *disk = NULL;
}

void disk_kill_after(struct disk *self, unsigned after)
{
    self->die_after = after;
}

void disk_kill(struct disk *self)
{
    self->die_after = 0;
    if (self->process)
        self->process->dead = 1;
}

int disk_killed(const struct disk *self)
{
    return self->process && self->process->dead;
}

void disk_power_cut(struct disk *self)
{
    disk_kill(self);
    cut_changes(self);
    for (struct file **at = &self->files, *file; (file = *at);) {
        file->linked = file->durable_linked;
        if (file->linked) {
            cut_writes(self, file);
            at = &file->next;
        } else {
            *at = file->next;
            free_file(file);
        }
    }
}

void disk_break(struct disk *self, enum disk_fault fault)
{
    self->fault = fault;
}

void disk_heal(struct disk *self)
{
    self->fault = DISK_SOUND;
}

unsigned disk_failures(const struct disk *self)
{
    return self->failures;
}

void disk_lie(struct disk *self, const struct disk_lies *lies)
{
    self->lies = *lies;
}

// -- for tests

const unsigned char *disk_file(const struct disk *self, const char *name, size_t *ret_size)
{
    struct file *file = linked(self, name);
    if (!file)
        return NULL;
    *ret_size = file->cache.size;
    return file->cache.bytes;
}

void disk_truncate(struct disk *self, const char *name, size_t size)
{
    struct file *file = linked(self, name);
    if (file && size < file->cache.size)
        file->cache.size = size;
}

void disk_flip(struct disk *self, const char *name, size_t offset, unsigned bit)
{
    struct file *file = linked(self, name);
    if (file && offset < file->cache.size)
        file->cache.bytes[offset] ^= (unsigned char)(1 << bit);
    if (file && offset < file->durable.size)
        file->durable.bytes[offset] ^= (unsigned char)(1 << bit);
}

void disk_each(const struct disk *self, journal_name_fn *fn, void *context)
{
    for (struct file *file = self->files; file; file = file->next)
        if (file->linked)
            fn(context, file->name);
}

unsigned disk_kept(const struct disk *self)
{
    return self->kept;
}

struct disk *disk_copy(const struct disk *self)
{
    struct disk *copy = disk_new(1);
    for (const struct file *file = self->files; file; file = file->next) {
        if (!file->linked)
            continue;
        struct file *twin = allocate(sizeof(*twin));
        memcpy(twin->name, file->name, sizeof(twin->name));
        twin->linked = twin->durable_linked = 1;
        copy_contents(&twin->cache, &file->cache);
        copy_contents(&twin->durable, &file->cache);
        twin->next = copy->files;
        copy->files = twin;
    }
    return copy;
}
