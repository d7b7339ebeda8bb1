// SPDX-License-Identifier: Apache-2.0
#include "master/config.h"
#include "core/base/clock.h"
#include "mail/schema.h"
#include "mail/settings.h"
#include "master/store/database.h"
#include "master/store/render.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int64_t newest_revision(sqlite3 *db)
{
    sqlite3_stmt *row = database_prepare(db, "SELECT coalesce(max(number),0) FROM revisions");
    int64_t number = row && statement_row(row) == 1 ? sqlite3_column_int64(row, 0) : -1;
    sqlite3_finalize(row);
    return number;
}

static json_t *body_of(sqlite3_stmt *row, int column)
{
    const char *text = column_text(row, column);
    json_t *body = *text ? json_loads(text, 0, NULL) : NULL;
    return body ? body : json_null();
}

static json_t *make_tree(int64_t revision, json_t *documents)
{
    char text[24];
    snprintf(text, sizeof(text), "%lld", (long long)revision);
    return json_pack("{s:s, s:o}", "revision", text, "documents", documents);
}

json_t *config_tree(sqlite3 *db)
{
    sqlite3_stmt *row = database_prepare(db, "SELECT name,body FROM documents ORDER BY name");
    int64_t revision = newest_revision(db);
    json_t *documents = json_object();
    int rc = row && revision >= 0 ? 1 : -1;
    while (rc == 1 && (rc = statement_row(row)) == 1)
        json_object_set_new(documents, column_text(row, 0), body_of(row, 1));
    sqlite3_finalize(row);
    if (rc == 0)
        return make_tree(revision, documents);
    json_decref(documents);
    return NULL;
}

// The documents as they will be.
static json_t *changed_documents(const json_t *documents, const struct config_edit *edit)
{
    json_t *result = edit->replace ? json_object() : json_copy((json_t *)documents);
    const char *name;
    json_t *body;
    json_object_foreach((json_t *)documents, name, body)
    {
        if (schema_is_membership(name))
            json_object_set(result, name, body);
    }
    json_object_foreach(edit->changes, name, body)
    {
        if (json_is_null(body))
            json_object_del(result, name);
        else
            json_object_set(result, name, body);
    }
    return result;
}

// [{document, before, after}] of two sets of documents, by name.
static json_t *difference_of(const json_t *before, const json_t *after)
{
    json_t *all = json_copy((json_t *)before), *list = json_array();
    json_object_update_missing(all, (json_t *)after);
    const char *name;
    json_t *unused;
    json_object_foreach(all, name, unused)
    {
        json_t *old = json_object_get(before, name), *new = json_object_get(after, name);
        if (!json_equal(old, new))
            json_array_append_new(list, json_pack("{s:s, s:O?, s:O?}", "document", name, "before",
                                                  old, "after", new));
    }
    json_decref(all);
    return list;
}

static void bind_body(sqlite3_stmt *statement, int column, const json_t *body)
{
    if (body && !json_is_null(body))
        sqlite3_bind_text(statement, column, json_dumps(body, JSON_COMPACT), -1, free);
}

static int write_revision(sqlite3 *db, int64_t number, const struct config_edit *edit)
{
    sqlite3_stmt *statement = database_prepare(db, "INSERT INTO revisions VALUES(?1,?2,?3,?4)");
    if (!statement)
        return -1;
    sqlite3_bind_int64(statement, 1, number);
    sqlite3_bind_int64(statement, 2, clock_wall_ms());
    sqlite3_bind_text(statement, 3, edit->author, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 4, edit->comment, -1, SQLITE_STATIC);
    int rc = statement_run(statement);
    sqlite3_finalize(statement);
    return rc;
}

static int write_change(sqlite3 *db, int64_t number, const json_t *change)
{
    const char *name = json_string_value(json_object_get(change, "document"));
    const json_t *after = json_object_get(change, "after");
    sqlite3_stmt *history = database_prepare(db, "INSERT INTO changes VALUES(?1,?2,?3,?4)");
    sqlite3_stmt *current = database_prepare(
        db, json_is_null(after) ? "DELETE FROM documents WHERE name=?1"
                                : "INSERT OR REPLACE INTO documents VALUES(?1,?2)");
    int rc = -1;
    if (history && current) {
        sqlite3_bind_int64(history, 1, number);
        sqlite3_bind_text(history, 2, name, -1, SQLITE_STATIC);
        bind_body(history, 3, json_object_get(change, "before"));
        bind_body(history, 4, after);
        sqlite3_bind_text(current, 1, name, -1, SQLITE_STATIC);
        bind_body(current, 2, after);
        rc = statement_run(history) < 0 || statement_run(current) < 0 ? -1 : 0;
    }
    sqlite3_finalize(history);
    sqlite3_finalize(current);
    return rc;
}

static int write_changes(sqlite3 *db, int64_t number, const struct config_edit *edit,
                         const json_t *difference)
{
    if (database_execute(db, "BEGIN IMMEDIATE") < 0)
        return -1;
    int rc = write_revision(db, number, edit);
    for (size_t i = 0; rc == 0 && i < json_array_size(difference); i++)
        rc = write_change(db, number, json_array_get(difference, i));
    if (rc == 0 && database_execute(db, "COMMIT") == 0)
        return 0;
    (void)!database_execute(db, "ROLLBACK");
    return -1;
}

// A key that was revoked may be anywhere by now.
static int lets_in_again(const json_t *difference, char *ret_error, size_t error_size)
{
    for (size_t i = 0; i < json_array_size(difference); i++) {
        const json_t *entry = json_array_get(difference, i);
        const char *name = json_string_value(json_object_get(entry, "document"));
        if (strncmp(name, "revoked/", 8) != 0 || !json_is_null(json_object_get(entry, "after")))
            continue;
        snprintf(ret_error, error_size, "%s: a key is revoked for good; enrol the node anew", name);
        return 1;
    }
    return 0;
}

// Has one of the documents been changed after the revision that the author had seen?
static int is_stale(sqlite3 *db, const struct config_edit *edit, const json_t *difference,
                    char *ret_error, size_t error_size)
{
    sqlite3_stmt *row =
        database_prepare(db, "SELECT max(revision) FROM changes WHERE document=?1 AND revision>?2");
    int stale = 0;
    for (size_t i = 0; row && !stale && edit->base >= 0 && i < json_array_size(difference); i++) {
        const char *name =
            json_string_value(json_object_get(json_array_get(difference, i), "document"));
        sqlite3_bind_text(row, 1, name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(row, 2, edit->base);
        if (statement_row(row) == 1 && sqlite3_column_type(row, 0) != SQLITE_NULL) {
            stale = 1;
            snprintf(ret_error, error_size,
                     "%s: revision %lld changed it since %lld, which you had seen; read it again",
                     name, (long long)sqlite3_column_int64(row, 0), (long long)edit->base);
        }
        statement_end(row);
    }
    sqlite3_finalize(row);
    return stale;
}

static int is_valid(json_t *tree, char *ret_error, size_t error_size)
{
    char *text = json_dumps(tree, JSON_COMPACT);
    struct settings *settings = settings_parse(text, strlen(text), ret_error, error_size);
    int valid = settings != NULL;
    settings_release(&settings);
    free(text);
    return valid;
}

enum config_result config_apply(sqlite3 *db, const struct config_edit *edit, json_t **ret_tree,
                                char *ret_error, size_t error_size)
{
    json_t *tree = config_tree(db);
    if (!tree) {
        snprintf(ret_error, error_size, "the configuration cannot be read; see the master's log");
        return CONFIG_FAILED;
    }
    json_t *before = json_object_get(tree, "documents");
    json_t *after = changed_documents(before, edit);
    json_t *difference = difference_of(before, after);
    int64_t number = newest_revision(db) + (json_array_size(difference) > 0);
    json_t *changed = make_tree(number, after);
    enum config_result result = CONFIG_DONE;
    if (is_stale(db, edit, difference, ret_error, error_size)) {
        result = CONFIG_STALE;
    } else if (lets_in_again(difference, ret_error, error_size) ||
               !is_valid(changed, ret_error, error_size)) {
        result = CONFIG_REFUSED;
    } else if (json_array_size(difference) > 0 && write_changes(db, number, edit, difference) < 0) {
        snprintf(ret_error, error_size, "the change could not be written; see the master's log");
        result = CONFIG_FAILED;
    }
    if (result == CONFIG_DONE)
        *ret_tree = json_incref(changed);
    json_decref(changed);
    json_decref(difference);
    json_decref(tree);
    return result;
}

// The documents as they were when a revision was in force; NULL: there was none such.
static json_t *documents_at(sqlite3 *db, int64_t revision)
{
    json_t *tree = config_tree(db);
    sqlite3_stmt *row = database_prepare(db, "SELECT document,before FROM changes WHERE revision>?1"
                                             " ORDER BY revision DESC");
    json_t *documents = NULL;
    if (tree && row && revision >= 0 && revision <= newest_revision(db)) {
        documents = json_incref(json_object_get(tree, "documents"));
        sqlite3_bind_int64(row, 1, revision);
        while (statement_row(row) == 1) {
            json_t *body = body_of(row, 1);
            if (json_is_null(body))
                json_object_del(documents, column_text(row, 0));
            else
                json_object_set(documents, column_text(row, 0), body);
            json_decref(body);
        }
    }
    sqlite3_finalize(row);
    json_decref(tree);
    return documents;
}

json_t *config_changes_to(sqlite3 *db, int64_t revision)
{
    json_t *then = documents_at(db, revision), *tree = config_tree(db), *changes = NULL, *entry;
    if (then && tree) {
        json_t *list = difference_of(json_object_get(tree, "documents"), then);
        size_t i;
        changes = json_object();
        json_array_foreach(list, i, entry)
        {
            const char *name = json_string_value(json_object_get(entry, "document"));
            if (!schema_is_membership(name))
                json_object_set(changes, name, json_object_get(entry, "after"));
        }
        json_decref(list);
    }
    json_decref(then);
    json_decref(tree);
    return changes;
}

json_t *config_difference(sqlite3 *db, int64_t from, int64_t to)
{
    json_t *before = documents_at(db, from), *after = documents_at(db, to);
    json_t *list = before && after ? difference_of(before, after) : NULL;
    json_decref(before);
    json_decref(after);
    return list;
}

json_t *config_history(sqlite3 *db, unsigned limit)
{
    sqlite3_stmt *row = database_prepare(
        db, "SELECT r.number,r.time_ms,r.author,r.comment,"
            " (SELECT json_group_array(document) FROM changes WHERE revision=r.number)"
            " FROM revisions r ORDER BY r.number DESC LIMIT ?1");
    json_t *list = json_array();
    if (!row)
        return list;
    sqlite3_bind_int64(row, 1, limit ? (int64_t)limit : -1);
    while (statement_row(row) == 1)
        json_array_append_new(
            list, json_pack("{s:s, s:o, s:s, s:s, s:o}", "revision", column_text(row, 0), "time",
                            render_time(sqlite3_column_int64(row, 1)), "author",
                            column_text(row, 2), "comment", column_text(row, 3), "documents",
                            json_loads(column_text(row, 4), 0, NULL)));
    sqlite3_finalize(row);
    return list;
}
