// SPDX-License-Identifier: Apache-2.0
#include "master/change.h"
#include "master/intake.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct change *change_new(struct master *master, json_t *arguments, change_make_fn *make,
                          change_done_fn *done, void *context)
{
    struct change *self = allocate(sizeof(*self));
    self->master = master;
    self->arguments = arguments;
    self->make = make;
    self->done = done;
    self->context = context;
    self->author = "postern";
    return self;
}

json_t *change_refuse(struct change *self, unsigned status, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    vsnprintf(self->error, sizeof(self->error), format, list);
    va_end(list);
    self->status = status;
    return NULL;
}

const char *change_text(const struct change *self, const char *key)
{
    const char *text = json_string_value(json_object_get(self->arguments, key));
    return text ? text : "";
}

static void apply(struct change *self, struct writer_databases *databases, json_t *changes)
{
    static const unsigned statuses[] = {200, 422, 409, 500}; // by enum config_result
    const struct config_edit edit = {
        .changes = changes, .author = self->author, .comment = self->comment};
    self->status = statuses[config_apply(databases->configuration, &edit, &self->tree, self->error,
                                         sizeof(self->error))];
}

static void run(struct writer_job *job, struct writer_databases *databases)
{
    struct change *self = (struct change *)job;
    const struct config *config = config_set(databases->configuration);
    json_t *changes = self->make(self, config_documents(config));
    if (changes)
        apply(self, databases, changes);
    json_decref(changes);
}

static void finish(struct writer_job *job)
{
    struct change *self = (struct change *)job;
    if (self->tree)
        intake_configure(self->master, self->tree);
    self->done(self);
    json_decref(self->arguments);
    free(self);
}

void change_start(struct change *self)
{
    self->job = (struct writer_job){run, finish};
    if (writer_put(self->master->writer, &self->job) == 0)
        return;
    change_refuse(self, 503, "the master is busy; try again");
    finish(&self->job);
}
