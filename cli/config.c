// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"
#include "cli/config_value.h"
#include "cli/messages.h"
#include "core/base/buffer.h"
#include "core/base/file.h"
#include "mail/schema.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *get_tree(const struct cli *self)
{
    return client_ask(&self->client, "GET", "/config", NULL);
}

static void missing_document(const char *name)
{
    fprintf(stderr, "postern: %s: there is no such document; `postern config export` shows all\n",
            name);
}

static int config_export(struct cli *self, int argc, char **argv)
{
    int code;
    if (cli_options(self, NULL, 0, &argc, argv, &code) < 0)
        return code;
    if (argc > 0)
        return cli_misused(self, "export takes no argument");
    json_t *tree = get_tree(self);
    if (tree)
        print_json_indented(json_object_get(tree, "documents"));
    json_decref(tree);
    return tree ? 0 : 1;
}

static int config_get(struct cli *self, int argc, char **argv)
{
    int code;
    if (cli_options(self, NULL, 0, &argc, argv, &code) < 0)
        return code;
    if (argc > 2)
        return cli_misused(self, "get takes DOCUMENT and KEY at most");
    json_t *tree = get_tree(self);
    json_t *value = json_object_get(tree, "documents");
    if (argc > 0)
        value = json_object_get(value, argv[0]);
    if (tree && !value)
        missing_document(argv[0]);
    if (value && argc == 2) {
        value = json_object_get(value, argv[1]);
        if (!value)
            fprintf(stderr,
                    "postern: %s.%s: it is not given, so its default is in force; see "
                    "docs/configuration.md\n",
                    argv[0], argv[1]);
    }
    if (value && self->json)
        print_json(value);
    else if (value && json_is_string(value))
        puts(json_string_value(value));
    else if (value)
        print_json_indented(value);
    code = value ? 0 : 1;
    json_decref(tree);
    return code;
}

static void print_side(FILE *out, char mark, const json_t *body)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)body, key, value)
    {
        char *text = json_dumps(value, JSON_ENCODE_ANY);
        fprintf(out, "%c   %s = %s\n", mark, key, text);
        free(text);
    }
}

// A key that is the same on both sides is not shown.
static void print_change(FILE *out, const json_t *change)
{
    json_t *before = json_copy(json_object_get(change, "before"));
    json_t *after = json_copy(json_object_get(change, "after")), *value;
    const char *key;
    void *next;
    json_object_foreach_safe(before, next, key, value)
    {
        if (!json_equal(value, json_object_get(after, key)))
            continue;
        json_object_del(after, key);
        json_object_del(before, key);
    }
    fprintf(out, "%s%s\n", text_of(change, "document"),
            json_is_null(before)  ? " (new)"
            : json_is_null(after) ? " (deleted)"
                                  : "");
    print_side(out, '-', before);
    print_side(out, '+', after);
    json_decref(before);
    json_decref(after);
}

// Tells what became of an edit; the answer is taken. NULL: it was refused, as was printed.
static int tell(const struct cli *self, json_t *answer)
{
    const json_t *replicated = json_object_get(answer, "replicated");
    if (answer && self->json)
        print_json(answer);
    else if (answer)
        printf("revision %s%s\n", text_of(answer, "revision"),
               json_is_false(replicated) ? " (unreplicated: the other master does not hold it yet)"
                                         : "");
    print_warnings(answer);
    json_decref(answer);
    return answer ? 0 : 1;
}

// Sends {"documents", ...} (taken) and tells the revision. What a stale edit had not seen is shown.
static int apply(struct cli *self, json_t *edit)
{
    json_t *refusal = NULL, *row;
    size_t i;
    json_t *answer = client_ask_for(&self->client, "POST", "/config/apply", edit, &refusal);
    json_array_foreach(json_object_get(refusal, "stale"), i, row)
    {
        json_t *change = json_pack(
            "{s:O, s:O?, s:O?}", "document", json_object_get(row, "document"), "before",
            json_object_get(row, "body"), "after",
            json_object_get(json_object_get(edit, "documents"), text_of(row, "document")));
        fprintf(stderr, "it is at version %s; yours would make of that:\n",
                text_of(row, "version"));
        print_change(stderr, change);
        json_decref(change);
    }
    json_decref(refusal);
    json_decref(edit);
    return tell(self, answer);
}

static char *read_file(const char *name, size_t *ret_size)
{
    if (strcmp(name, "-") != 0)
        return file_read(name, SCHEMA_TREE_MOST, ret_size);
    struct buffer all;
    size_t got = 1;
    buffer_init(&all);
    while (got > 0 && buffer_size(&all) <= SCHEMA_TREE_MOST) {
        got = fread(buffer_reserve(&all, 65536), 1, 65536, stdin);
        buffer_added(&all, got);
    }
    *ret_size = buffer_size(&all);
    return duplicate_bytes(buffer_bytes(&all), *ret_size);
}

static int config_apply(struct cli *self, int argc, char **argv)
{
    const char *comment = NULL;
    int replace = 0, code;
    const struct option_row rows[] = {{"comment", &comment, NULL}, {"replace", NULL, &replace}};
    if (cli_options(self, rows, ARRAY_LENGTH(rows), &argc, argv, &code) < 0)
        return code;
    if (argc != 1)
        return cli_misused(self, "apply takes one FILE, or - for the standard input");
    size_t size;
    char error[256], *text = read_file(argv[0], &size);
    if (!text) {
        fprintf(stderr, "postern: %s: %s\n", argv[0], strerror(errno));
        return 1;
    }
    json_t *documents = schema_read(text, size, error, sizeof(error));
    free(text);
    if (!documents || !json_is_object(documents)) {
        fprintf(stderr, "postern: %s: %s\n", argv[0],
                documents ? "line 1: this is no object; give {document: body}" : error);
        json_decref(documents);
        return 1;
    }
    return apply(self, json_pack("{s:o, s:b, s:s}", "documents", documents, "replace", replace,
                                 "comment", comment ? comment : ""));
}

// The document as it will be; NULL: the error was printed.
static json_t *set_keys(const json_t *tree, const char *document, int count, char **pairs)
{
    json_t *old = json_object_get(json_object_get(tree, "documents"), document);
    json_t *body = old ? json_copy(old) : json_object();
    for (int i = 0; i < count; i++) {
        char error[256], *equals = strchr(pairs[i], '=');
        if (!equals) {
            fprintf(stderr, "postern: %s.%s: the value is missing; give KEY=VALUE\n", document,
                    pairs[i]);
            json_decref(body);
            return NULL;
        }
        *equals = 0;
        json_t *value = config_value(document, pairs[i], equals + 1, error, sizeof(error));
        if (!value || json_object_set_new(body, pairs[i], value) < 0) {
            fprintf(stderr, "postern: %s\n", value ? "a key is not UTF-8" : error);
            json_decref(body);
            return NULL;
        }
    }
    return body;
}

// One document's change, against the version that it was made of.
static int change_document(struct cli *self, json_t *tree, const char *document, json_t *body,
                           const char *comment)
{
    json_t *base = json_object_get(json_object_get(tree, "versions"), document);
    json_t *edit =
        json_pack("{s:{s:o}, s:{s:o}, s:s}", "documents", document, body, "bases", document,
                  base ? json_incref(base) : json_null(), "comment", comment ? comment : "");
    json_decref(tree);
    if (edit)
        return apply(self, edit);
    fprintf(stderr, "postern: the document's name or the comment is not UTF-8\n");
    return 1;
}

static int config_set(struct cli *self, int argc, char **argv)
{
    const char *comment = NULL;
    int code;
    const struct option_row rows[] = {{"comment", &comment, NULL}};
    if (cli_options(self, rows, ARRAY_LENGTH(rows), &argc, argv, &code) < 0)
        return code;
    if (argc < 2)
        return cli_misused(self, "set takes DOCUMENT and KEY=VALUE");
    json_t *tree = get_tree(self);
    json_t *body = tree ? set_keys(tree, argv[0], argc - 1, argv + 1) : NULL;
    if (body)
        return change_document(self, tree, argv[0], body, comment);
    json_decref(tree);
    return 1;
}

static int config_unset(struct cli *self, int argc, char **argv)
{
    const char *comment = NULL;
    int code;
    const struct option_row rows[] = {{"comment", &comment, NULL}};
    if (cli_options(self, rows, ARRAY_LENGTH(rows), &argc, argv, &code) < 0)
        return code;
    if (argc < 1)
        return cli_misused(self, "unset takes DOCUMENT");
    json_t *tree = get_tree(self);
    json_t *old = json_object_get(json_object_get(tree, "documents"), argv[0]);
    if (!old) {
        if (tree)
            missing_document(argv[0]);
        json_decref(tree);
        return 1;
    }
    json_t *body = argc > 1 ? json_copy(old) : json_null();
    for (int i = 1; i < argc; i++) {
        if (json_object_del(body, argv[i]) == 0)
            continue;
        fprintf(stderr, "postern: %s.%s: it is not given; nothing was changed\n", argv[0], argv[i]);
        json_decref(body);
        json_decref(tree);
        return 1;
    }
    return change_document(self, tree, argv[0], body, comment);
}

static char *format_documents(const json_t *row)
{
    struct buffer text;
    json_t *name;
    size_t i;
    buffer_init(&text);
    json_array_foreach(json_object_get(row, "documents"), i, name)
        buffer_printf(&text, "%s%s", i ? ", " : "", json_string_value(name));
    buffer_add(&text, "", 1);
    return text.data;
}

static char *format_state(const json_t *row)
{
    const char *state = json_object_get(row, "held")                         ? "held"
                        : json_is_true(json_object_get(row, "unreplicated")) ? "unreplicated"
                                                                             : "";
    return duplicate(state);
}

static int config_history(struct cli *self, int argc, char **argv)
{
    static const struct column columns[] = {
        {"REVISION", "revision", 0, NULL}, {"TIME", "time", 24, NULL},
        {"AUTHOR", "author", 32, NULL},    {"DOCUMENTS", "", 64, format_documents},
        {"COMMENT", "comment", 64, NULL},  {"STATE", "", 40, format_state}};
    const char *limit = NULL;
    int code;
    const struct option_row rows[] = {{"limit", &limit, NULL}};
    if (cli_options(self, rows, ARRAY_LENGTH(rows), &argc, argv, &code) < 0)
        return code;
    if (argc > 0)
        return cli_misused(self, "history takes no argument");
    struct buffer path;
    buffer_init(&path);
    buffer_add_text(&path, "/config/history");
    path_argument(&path, "limit", limit);
    buffer_add(&path, "", 1);
    code = print_rows(self, path.data, columns, ARRAY_LENGTH(columns));
    buffer_free(&path);
    return code;
}

static int config_diff(struct cli *self, int argc, char **argv)
{
    struct buffer path;
    int code;
    if (cli_options(self, NULL, 0, &argc, argv, &code) < 0)
        return code;
    if (argc > 2)
        return cli_misused(self, "diff takes FROM and TO at most");
    buffer_init(&path);
    buffer_add_text(&path, "/config/diff");
    path_argument(&path, "from", argc > 0 ? argv[0] : NULL);
    path_argument(&path, "to", argc > 1 ? argv[1] : NULL);
    buffer_add(&path, "", 1);
    json_t *changes = client_ask(&self->client, "GET", path.data, NULL), *change;
    size_t i;
    buffer_free(&path);
    if (changes && self->json)
        print_json_rows(changes);
    else
        json_array_foreach(changes, i, change) print_change(stdout, change);
    json_decref(changes);
    return changes ? 0 : 1;
}

static int config_rollback(struct cli *self, int argc, char **argv)
{
    int code;
    if (cli_options(self, NULL, 0, &argc, argv, &code) < 0)
        return code;
    if (argc != 1)
        return cli_misused(self, "rollback takes one REVISION");
    json_t *body = json_pack("{s:s}", "revision", argv[0]);
    json_t *answer = client_ask(&self->client, "POST", "/config/rollback", body);
    json_decref(body);
    return tell(self, answer);
}

static void print_version(const char *what, const json_t *version)
{
    const json_t *held = json_object_get(version, "held");
    printf("  %s %s by %s at %s%s%s\n", what, text_of(version, "version"),
           text_of(version, "author"), text_of(version, "time"), held ? ", held: " : "",
           held ? json_string_value(held) : "");
    print_side(stdout, ' ', json_object_get(version, "body"));
    if (json_is_null(json_object_get(version, "body")))
        puts("    (deleted)");
}

static int config_conflicts(struct cli *self, int argc, char **argv)
{
    int code;
    if (cli_options(self, NULL, 0, &argc, argv, &code) < 0)
        return code;
    if (argc > 0)
        return cli_misused(self, "conflicts takes no argument");
    json_t *rows = client_ask(&self->client, "GET", "/config/conflicts", NULL), *row, *other;
    size_t i, k;
    if (rows && self->json)
        print_json_rows(rows);
    json_array_foreach(self->json ? NULL : rows, i, row)
    {
        printf("%s\n", text_of(row, "document"));
        if (json_is_object(json_object_get(row, "in_force")))
            print_version("in force:", json_object_get(row, "in_force"));
        json_array_foreach(json_object_get(row, "others"), k, other)
            print_version("against:", other);
    }
    if (rows && !self->json && json_array_size(rows) == 0)
        puts("no conflicts");
    json_decref(rows);
    return rows ? 0 : 1;
}

static int config_resolve(struct cli *self, int argc, char **argv)
{
    int code;
    if (cli_options(self, NULL, 0, &argc, argv, &code) < 0)
        return code;
    if (argc != 2)
        return cli_misused(self, "resolve takes DOCUMENT and VERSION, or current");
    json_t *body = json_pack("{s:s, s:s}", "document", argv[0], "version", argv[1]);
    json_t *answer = client_ask(&self->client, "POST", "/config/resolve", body);
    json_decref(body);
    return tell(self, answer);
}

int command_config(struct cli *self, int argc, char **argv)
{
    static const struct subcommand rows[] = {
        {"get", config_get},        {"set", config_set},           {"unset", config_unset},
        {"export", config_export},  {"apply", config_apply},       {"history", config_history},
        {"diff", config_diff},      {"rollback", config_rollback}, {"conflicts", config_conflicts},
        {"resolve", config_resolve}};
    return cli_choose(self, rows, ARRAY_LENGTH(rows), argc, argv);
}
