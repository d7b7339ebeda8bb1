// SPDX-License-Identifier: Apache-2.0
#include "master/api_internal.h"
#include "master/config.h"
#include "master/intake.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void get_config(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    json_t *tree = config_tree(self->cluster);
    if (tree)
        request_answer_json(request, 200, tree);
    else
        request_refuse(request, 500, "the configuration cannot be read; see the master's log");
}

void get_document(struct api *self, struct request *request, const char *rest)
{
    json_t *tree = config_tree(self->cluster);
    json_t *body = json_object_get(json_object_get(tree, "documents"), rest);
    if (body)
        request_answer_json(request, 200, json_incref(body));
    else
        request_refuse(request, 404, "there is no document %.300s", rest);
    json_decref(tree);
}

void get_history(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    int64_t limit;
    if (argument_number(request, "limit", 100, &limit) == 0)
        request_answer_json(request, 200, config_history(self->cluster, (unsigned)limit));
}

// Without `to` up to what is in force, without `from` the last change.
void get_difference(struct api *self, struct request *request, const char *rest)
{
    (void)rest;
    json_t *tree = config_tree(self->cluster);
    const char *text = json_string_value(json_object_get(tree, "revision"));
    int64_t newest = text ? strtoll(text, NULL, 10) : 0, from, to;
    json_decref(tree);
    if (argument_number(request, "to", newest, &to) < 0 ||
        argument_number(request, "from", to > 0 ? to - 1 : 0, &from) < 0)
        return;
    json_t *list = config_difference(self->cluster, from, to);
    if (list)
        request_answer_json(request, 200, list);
    else
        request_refuse(request, 404, "there is no revision %" PRId64 "; the newest is %" PRId64,
                       from > newest ? from : to, newest);
}

// An edit on its way through the writer.
struct edit_job {
    struct writer_job job;
    struct call *call;
    int64_t rollback; // to this revision; -1: the call's documents are applied
    enum config_result result;
    json_t *tree;
    char error[512];
};

static void run_edit(struct writer_job *job, struct writer_databases *databases)
{
    struct edit_job *self = (struct edit_job *)job;
    const json_t *arguments = self->call->arguments;
    const char *base = call_text(self->call, "base");
    struct config_edit edit = {
        .changes = json_incref(json_object_get(arguments, "documents")),
        .replace = json_is_true(json_object_get(arguments, "replace")),
        .base = *base ? strtoll(base, NULL, 10) : -1,
        .author = call_text(self->call, "author"),
        .comment = call_text(self->call, "comment"),
    };
    if (self->rollback >= 0)
        edit.changes = config_changes_to(databases->cluster, self->rollback);
    if (edit.changes) {
        self->result =
            config_apply(databases->cluster, &edit, &self->tree, self->error, sizeof(self->error));
    } else {
        self->result = CONFIG_REFUSED;
        snprintf(self->error, sizeof(self->error), "there is no revision %" PRId64, self->rollback);
    }
    json_decref(edit.changes);
}

static void edit_done(struct writer_job *job)
{
    static const unsigned statuses[] = {200, 422, 409, 500}; // by enum config_result
    struct edit_job *self = (struct edit_job *)job;
    if (self->result == CONFIG_DONE) {
        json_t *answer = json_pack("{s:O}", "revision", json_object_get(self->tree, "revision"));
        intake_configure(self->call->api->master, self->tree);
        call_answer(self->call, 200, answer);
    } else {
        call_refuse(self->call, statuses[self->result], self->error);
    }
    free(self);
}

static void start_edit(struct call *call)
{
    struct edit_job *job = allocate(sizeof(*job));
    const char *revision = call_text(call, "rollback");
    job->job = (struct writer_job){run_edit, edit_done};
    job->call = call;
    job->rollback = *revision ? strtoll(revision, NULL, 10) : -1;
    if (writer_put(call->api->master->writer, &job->job) == 0)
        return;
    call_refuse(call, 503, "the master is busy; try again");
    free(job);
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
        json_object_set_new(arguments, "base", json_string(base));
    api_call(self, request, start_edit, arguments);
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
        api_call(self, request, start_edit, body);
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
    char *end = NULL;
    if (!body)
        return;
    if (!revision || strtoll(revision, &end, 10) < 0 || end == revision || *end) {
        request_refuse(request, 400, "revision: give a revision's number as a text");
    } else {
        char comment[64];
        snprintf(comment, sizeof(comment), "rolled back to %.20s", revision);
        api_call(self, request, start_edit,
                 json_pack("{s:s, s:s}", "rollback", revision, "comment", comment));
    }
    json_decref(body);
}
