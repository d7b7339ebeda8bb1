// SPDX-License-Identifier: Apache-2.0
#include "master/api_internal.h"
#include "master/config.h"
#include "master/intake.h"
#include "master/peer.h"
#include "master/replicate.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ERROR_SIZE = 512 };

// A request on its way through the writer, whose the configuration is.
struct job {
    struct writer_job job;
    struct call *call;
    // On the writer's thread: the answer, or an error with its status.
    void (*work)(struct job *self, struct configuration *configuration);
    unsigned status;
    json_t *answer;
    json_t *tree;     // the new one, after an edit
    json_t *warnings; // about it
    char error[ERROR_SIZE];
};

static void run(struct writer_job *job, struct writer_databases *databases)
{
    struct job *self = (struct job *)job;
    self->status = 200;
    self->work(self, databases->configuration);
}

static void start(struct call *call, void (*work)(struct job *, struct configuration *),
                  writer_done_fn *done)
{
    struct job *job = allocate(sizeof(*job));
    job->job = (struct writer_job){run, done};
    job->call = call;
    job->work = work;
    if (writer_put(call->api->master->writer, &job->job) == 0)
        return;
    call_refuse(call, 503, "the master is busy; try again");
    free(job);
}

static void PRINTF(3, 4) refuse(struct job *self, unsigned status, const char *format, ...)
{
    va_list list;
    self->status = status;
    va_start(list, format);
    vsnprintf(self->error, sizeof(self->error), format, list);
    va_end(list);
}

static void answer(struct writer_job *job)
{
    struct job *self = (struct job *)job;
    if (self->status == 200)
        call_answer(self->call, 200, self->answer);
    else
        call_refuse(self->call, self->status, self->error);
    free(self);
}

// -- reading

static void read_config(struct job *self, struct configuration *configuration)
{
    json_t *tree = config_tree(configuration);
    json_object_set_new(tree, "documents", config_shown(json_object_get(tree, "documents")));
    json_object_set_new(tree, "versions", config_versions(configuration));
    self->answer = tree;
}

static void read_document(struct job *self, struct configuration *configuration)
{
    const char *name = call_text(self->call, "document");
    json_t *shown = config_shown(config_documents(config_set(configuration)));
    self->answer = json_incref(json_object_get(shown, name));
    if (!self->answer)
        refuse(self, 404, "there is no document %.300s", name);
    json_decref(shown);
}

static void read_history(struct job *self, struct configuration *configuration)
{
    json_t *limit = json_object_get(self->call->arguments, "limit");
    self->answer = config_history(configuration, (unsigned)json_integer_value(limit));
}

static const char *optional(const struct call *call, const char *key)
{
    const char *text = call_text(call, key);
    return *text ? text : NULL;
}

static void read_difference(struct job *self, struct configuration *configuration)
{
    json_t *rows =
        config_difference(configuration, optional(self->call, "from"), optional(self->call, "to"));
    if (rows)
        self->answer = config_shown_rows(rows);
    else
        refuse(self, 404, "there is no such revision; see `postern config history`");
    json_decref(rows);
}

static void read_conflicts(struct job *self, struct configuration *configuration)
{
    json_t *rows = config_conflicts(config_set(configuration));
    self->answer = config_shown_rows(rows);
    json_decref(rows);
}

static void start_config(struct call *call)
{
    start(call, read_config, answer);
}

static void start_document(struct call *call)
{
    start(call, read_document, answer);
}

// What the other master holds, the loop knows.
static void answer_history(struct writer_job *job)
{
    struct job *self = (struct job *)job;
    const struct master *master = self->call->api->master;
    json_t *row;
    size_t i;
    json_array_foreach(self->answer, i, row)
    {
        const char *name = json_string_value(json_object_get(row, "revision"));
        if (peer_known(master->peer) && !replicate_peer_has(master->replicate, name))
            json_object_set_new(row, "unreplicated", json_true());
    }
    answer(job);
}

static void start_history(struct call *call)
{
    start(call, read_history, answer_history);
}

static void start_difference(struct call *call)
{
    start(call, read_difference, answer);
}

static void start_conflicts(struct call *call)
{
    start(call, read_conflicts, answer);
}

void get_config(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    api_call(self, request, start_config, json_object());
}

void get_document(struct api *self, struct request *request, const char *rest)
{
    json_t *arguments = json_pack("{s:s}", "document", rest);
    if (arguments)
        api_call(self, request, start_document, arguments);
    else
        request_refuse(request, 400, "this is no name of a document");
}

void get_history(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    int64_t limit;
    if (argument_number(request, "limit", 100, &limit) == 0)
        api_call(self, request, start_history, json_pack("{s:I}", "limit", (json_int_t)limit));
}

// Without `to` up to what is in force, without `from` the last change.
void get_difference(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    json_t *arguments = json_pack("{s:s*, s:s*}", "from", request_argument(request, "from"), "to",
                                  request_argument(request, "to"));
    if (arguments)
        api_call(self, request, start_difference, arguments);
    else
        request_refuse(request, 400, "this is no name of a revision");
}

void get_conflicts(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    api_call(self, request, start_conflicts, json_object());
}

// -- edits

static void apply(struct job *self, struct configuration *configuration, const json_t *changes,
                  int settles)
{
    static const unsigned statuses[] = {200, 422, 409, 500}; // by enum config_result
    const json_t *arguments = self->call->arguments;
    const struct config_edit edit = {
        .changes = changes,
        .replace = json_is_true(json_object_get(arguments, "replace")),
        .settles = settles,
        .bases = json_object_get(arguments, "bases"),
        .author = call_text(self->call, "author"),
        .comment = call_text(self->call, "comment"),
    };
    json_t *before = json_copy(config_documents(config_set(configuration)));
    enum config_result result =
        config_apply(configuration, &edit, &self->tree, self->error, sizeof(self->error));
    self->status = statuses[result];
    if (result == CONFIG_DONE)
        self->warnings = config_warnings(before, json_object_get(self->tree, "documents"));
    json_decref(before);
    if (result != CONFIG_STALE)
        return;
    self->answer =
        json_pack("{s:s, s:o}", "error", self->error, "stale", config_shown_rows(self->tree));
    json_decref(self->tree);
    self->tree = NULL;
}

static void work_apply(struct job *self, struct configuration *configuration)
{
    apply(self, configuration, json_object_get(self->call->arguments, "documents"), 0);
}

static void work_rollback(struct job *self, struct configuration *configuration)
{
    const char *revision = call_text(self->call, "rollback");
    json_t *changes = config_changes_to(configuration, revision);
    if (changes)
        apply(self, configuration, changes, 0);
    else
        refuse(self, 422, "there is no revision %.100s; see `postern config history`", revision);
    json_decref(changes);
}

// The row of a document's conflict; NULL: it has none.
static json_t *conflict_of(struct configuration *configuration, const char *document)
{
    json_t *rows = config_conflicts(config_set(configuration)), *row, *found = NULL;
    size_t i;
    json_array_foreach(rows, i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "document")), document) == 0)
            found = json_incref(row);
    }
    json_decref(rows);
    return found;
}

// The body of the version; NULL: the conflict has no such version.
static const json_t *version_of(const json_t *row, const char *version)
{
    const json_t *in_force = json_object_get(row, "in_force");
    json_t *other;
    size_t i;
    if (strcmp(version, "current") == 0 ||
        (json_is_object(in_force) &&
         strcmp(json_string_value(json_object_get(in_force, "version")), version) == 0))
        return json_is_object(in_force) ? json_object_get(in_force, "body") : json_null();
    json_array_foreach(json_object_get(row, "others"), i, other)
    {
        if (strcmp(json_string_value(json_object_get(other, "version")), version) == 0)
            return json_object_get(other, "body");
    }
    return NULL;
}

// A list keeps its entries in force: what conflicts is its other keys.
static json_t *settled_body(const struct config *config, const char *document, const json_t *body)
{
    const json_t *entries =
        json_object_get(json_object_get(config_documents(config), document), "entries");
    json_t *copy = json_is_object(body) ? json_copy((json_t *)body) : json_null();
    if (json_is_object(copy) && strncmp(document, "list/", 5) == 0 && entries)
        json_object_set(copy, "entries", (json_t *)entries);
    return copy;
}

static void work_resolve(struct job *self, struct configuration *configuration)
{
    const char *document = call_text(self->call, "document");
    const char *version = call_text(self->call, "version");
    json_t *row = conflict_of(configuration, document);
    const json_t *body = row ? version_of(row, version) : NULL;
    if (!row) {
        refuse(self, 404, "%.300s has no conflict; see `postern config conflicts`", document);
    } else if (!body) {
        refuse(self, 422,
               "version: %.100s is none of this conflict; give one that `postern config "
               "conflicts` shows, or current",
               version);
    } else {
        json_t *changes =
            json_pack("{s:o}", document, settled_body(config_set(configuration), document, body));
        apply(self, configuration, changes, 1);
        json_decref(changes);
    }
    json_decref(row);
}

struct saved {
    struct call *call;
    json_t *answer;
};

static void answer_saved(void *context, enum replicated replicated)
{
    struct saved *self = context;
    if (replicated != REPLICATED_ALONE)
        json_object_set_new(self->answer, "replicated",
                            json_boolean(replicated == REPLICATED_BOTH));
    call_answer(self->call, 200, self->answer);
    free(self);
}

static void edit_done(struct writer_job *job)
{
    struct job *self = (struct job *)job;
    struct master *master = self->call->api->master;
    if (self->tree) {
        struct saved *saved = allocate(sizeof(*saved));
        json_t *made = json_incref(json_object_get(self->tree, "made"));
        json_t *revision = json_object_get(self->tree, "revision");
        saved->call = self->call;
        saved->answer = json_pack("{s:O}", "revision", made ? made : revision);
        if (json_array_size(self->warnings) > 0)
            json_object_set(saved->answer, "warnings", self->warnings);
        json_decref(self->warnings);
        intake_configure(master, self->tree);
        replicate_wait(master->replicate, made ? json_string_value(made) : "", answer_saved, saved);
        json_decref(made);
    } else if (self->answer) {
        call_answer(self->call, self->status, self->answer);
    } else {
        call_refuse(self->call, self->status, self->error);
    }
    free(self);
}

static void start_apply(struct call *call)
{
    start(call, work_apply, edit_done);
}

static void start_rollback(struct call *call)
{
    start(call, work_rollback, edit_done);
}

static void start_resolve(struct call *call)
{
    start(call, work_resolve, edit_done);
}

static void edit_document(struct api *self, struct request *request, const char *name, json_t *body)
{
    json_t *arguments = json_pack("{s:{s:o}}", "documents", name, body);
    const char *base = request_argument(request, "base");
    if (!arguments) {
        request_refuse(request, 400, "this is no name of a document");
        return;
    }
    if (base)
        json_object_set_new(arguments, "bases",
                            json_pack("{s:o}", name, *base ? json_string(base) : json_null()));
    api_call(self, request, start_apply, arguments);
}

void put_document(struct api *self, struct request *request, const char *rest)
{
    json_t *body = body_object(request, 0);
    if (body)
        edit_document(self, request, rest, body);
}

void delete_document(struct api *self, struct request *request, const char *rest)
{
    edit_document(self, request, rest, json_null());
}

void post_apply(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    json_t *body = body_object(request, 0);
    if (!body)
        return;
    if (json_is_object(json_object_get(body, "documents"))) {
        api_call(self, request, start_apply, body);
        return;
    }
    request_refuse(request, 400, "documents: they are missing; give an object {document: body}");
    json_decref(body);
}

void post_rollback(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    json_t *body = body_object(request, 0);
    const char *revision = json_string_value(json_object_get(body, "revision"));
    char comment[160];
    if (!body)
        return;
    if (revision) {
        snprintf(comment, sizeof(comment), "rolled back to %.111s", revision);
        api_call(self, request, start_rollback,
                 json_pack("{s:s, s:s}", "rollback", revision, "comment", comment));
    } else {
        request_refuse(request, 400, "revision: give a revision's name");
    }
    json_decref(body);
}

void post_resolve(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    json_t *body = body_object(request, 0);
    const char *document = json_string_value(json_object_get(body, "document"));
    const char *version = json_string_value(json_object_get(body, "version"));
    char comment[160];
    if (!body)
        return;
    if (document && version) {
        snprintf(comment, sizeof(comment), "settled: %.111s", version);
        json_object_set_new(body, "comment", json_string(comment));
        api_call(self, request, start_resolve, body);
        return;
    }
    request_refuse(request, 400, "give document and version, as GET /config/conflicts shows them");
    json_decref(body);
}
