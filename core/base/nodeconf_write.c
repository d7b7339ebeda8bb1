// SPDX-License-Identifier: Apache-2.0
#include "core/base/buffer.h"
#include "core/base/file.h"
#include "core/base/nodeconf.h"
#include <stdio.h>
#include <string.h>

static void add(struct buffer *out, const char *indent, const char *key, const char *value)
{
    if (*value)
        buffer_printf(out, "%s%s = \"%s\"\n", indent, key, value);
}

static void add_own(struct buffer *out, const struct nodeconf *self)
{
    const struct {
        const char *key, *value;
    } keys[] = {
        {"name", self->name},
        {"site", self->site},
        {"role", self->role},
        {"state", self->state},
        {"run", self->run},
        {"keys", self->keys},
        {"hostname", self->hostname},
        {"smtps", self->smtps},
        {"https", self->https},
        {"metrics", self->metrics},
        {"log-level", self->log_level},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++)
        add(out, "", keys[i].key, keys[i].value);
    for (unsigned i = 0; i < self->smtp_count; i++)
        add(out, "", "smtp", self->smtp[i]);
}

static void add_masters(struct buffer *out, const struct nodeconf *self)
{
    for (unsigned i = 0; i < self->master_count; i++) {
        const struct master_address *master = &self->masters[i];
        buffer_add_text(out, "master\n");
        add(out, "    ", "name", master->name);
        add(out, "    ", "control", master->control);
        add(out, "    ", "publish", master->publish);
        add(out, "    ", "events", master->events);
        add(out, "    ", "key", master->key);
        add(out, "    ", "pinned", master->pinned);
    }
}

static void add_bound(struct buffer *out, const struct nodeconf *self)
{
    buffer_add_text(out, "bind\n");
    add(out, "    ", "control", self->bind_control);
    add(out, "    ", "publish", self->bind_publish);
    add(out, "    ", "events", self->bind_events);
    add(out, "    ", "public", self->bind_public);
    add(out, "    ", "enrol", self->bind_enrol);
}

int nodeconf_write(const struct nodeconf *self, const char *path)
{
    struct buffer out;
    char folder[256];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    buffer_init(&out);
    add_own(&out, self);
    add_masters(&out, self);
    if (strcmp(self->role, "master") == 0)
        add_bound(&out, self);
    int rc = *folder && file_make_folders(folder, 0755) < 0
                 ? -1
                 : file_write_atomic(path, buffer_bytes(&out), buffer_size(&out), 0644);
    buffer_free(&out);
    return rc;
}

void nodeconf_reach(const struct nodeconf *self, const char *bound, char ret[128])
{
    static const char *const all[] = {"tcp://*:", "tcp://0.0.0.0:", "tcp://[::]:"};
    for (size_t i = 0; i < ARRAY_LENGTH(all); i++) {
        size_t size = strlen(all[i]);
        if (strncmp(bound, all[i], size) != 0)
            continue;
        snprintf(ret, 128, "tcp://%.100s:%.6s", self->hostname, bound + size);
        return;
    }
    snprintf(ret, 128, "%s", bound);
}
