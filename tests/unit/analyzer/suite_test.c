// SPDX-License-Identifier: Apache-2.0
// Real and broken messages that others collected, when POSTERN_SUITES names their folder.
#include "tests/unit/analyzer/examine.h"

#include "core/base/file.h"
#include "mail/charset.h"
#include "mail/parameter.h"
#include "mail/readings.h"
#include <jansson.h>
#include <openssl/evp.h>

enum { FILE_MOST = 64 << 20, PATH_SIZE = 1024 };

static const char *folder;

static json_t *load(const char *name)
{
    char path[PATH_SIZE];
    int length = snprintf(path, sizeof(path), "%s/%s", folder != NULL ? folder : "/nowhere", name);
    assert_true(length < PATH_SIZE);
    json_t *json = json_load_file(path, 0, NULL);
    if (json == NULL)
        skip();
    return json;
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

// As SMTP would bring it: lone LF become CRLF unless `as_stored`.
static void read_message(struct buffer *out, const char *group, const char *name, int as_stored)
{
    char path[PATH_SIZE];
    size_t size;
    int length = snprintf(path, sizeof(path), "%s/%s/%s", folder, group, name);
    assert_true(length < PATH_SIZE);
    char *bytes = file_read(path, FILE_MOST, &size);
    if (bytes == NULL)
        fail_msg("%s cannot be read", path);
    for (size_t i = 0; i < size; i++) {
        if (!as_stored && bytes[i] == '\n' && (i == 0 || bytes[i - 1] != '\r'))
            buffer_add(out, "\r", 1);
        buffer_add(out, bytes + i, 1);
    }
    free(bytes);
}

// -- part trees

static void add_hash(struct buffer *out, struct span bytes)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    unsigned size;
    assert_int_equal(EVP_Digest(bytes.data, bytes.size, hash, &size, EVP_sha256(), NULL), 1);
    for (unsigned i = 0; i < size; i++)
        buffer_printf(out, "%02x", hash[i]);
    buffer_add(out, "", 1);
}

struct comparison {
    const json_t *part;
    int same;
};

static int same_hash(struct span bytes, const char *wanted)
{
    struct buffer hash;
    buffer_init(&hash);
    add_hash(&hash, bytes);
    int same = strcmp(buffer_bytes(&hash), wanted) == 0;
    buffer_free(&hash);
    return same;
}

// The text as mail-parser gives it: UTF-8, lines ended by LF.
static int same_text(const struct content_view *view, const char *wanted)
{
    struct parameter_list list = {0};
    struct buffer text, unix_text;
    buffer_init(&text);
    buffer_init(&unix_text);
    if (view->node->content_type.data != NULL)
        parameters_read(&list, view->node->content_type);
    const struct parameter *charset = parameter_find(&list, "charset");
    charset_to_utf8(charset != NULL ? charset->value : span_of("utf-8"), view->bytes, &text);
    for (size_t i = 0; i < buffer_size(&text); i++)
        if (buffer_bytes(&text)[i] != '\r')
            buffer_add(&unix_text, buffer_bytes(&text) + i, 1);
    int same = same_hash((struct span){buffer_bytes(&text), buffer_size(&text)}, wanted) ||
               same_hash((struct span){buffer_bytes(&unix_text), buffer_size(&unix_text)}, wanted);
    buffer_free(&text);
    buffer_free(&unix_text);
    return same;
}

static int compare_view(void *context, const struct content_view *view)
{
    struct comparison *self = context;
    const char *bytes = text_of(self->part, "bytes_sha256");
    const char *text = text_of(self->part, "text_sha256");
    self->same = bytes[0] != 0 ? same_hash(view->bytes, bytes) : same_text(view, text);
    return self->same; // else the next view
}

static int node_at(const struct mime *mime, const char *wanted)
{
    struct buffer path;
    int found_at = MIME_NONE;
    buffer_init(&path);
    for (size_t i = 0; i < mime->count && found_at == MIME_NONE; i++) {
        buffer_clear(&path);
        mime_path(mime, &mime->nodes[i], &path);
        if (span_equal((struct span){buffer_bytes(&path), buffer_size(&path)}, span_of(wanted)))
            found_at = (int)i;
    }
    buffer_free(&path);
    return found_at;
}

static int same_part(struct mime *mime, const json_t *part)
{
    struct comparison comparison = {part, 0};
    struct buffer scratch;
    int index = node_at(mime, text_of(part, "path"));
    if (index == MIME_NONE)
        return 0;
    if (text_of(part, "bytes_sha256")[0] == 0 && text_of(part, "text_sha256")[0] == 0)
        return 1;
    buffer_init(&scratch);
    readings_each(mime, index, &scratch, compare_view, &comparison);
    buffer_free(&scratch);
    return comparison.same;
}

// Where we read a message in another way, for a reason.
static const char *const other_readings[] = {
    "legacy-026.eml", // mail-parser leaves uuencode as it is
    "legacy-048.eml", // uuencode
    "rfc-000.eml",    // it shows what is no base64 undecoded
    "malformed-001.eml",  "malformed-005.eml", "malformed-011.eml", // boundaries cross: held
    "malformed-013.eml",  "malformed-016.eml", "malformed-019.eml", // boundaries shared, lost: held
    "thirdparty-015.eml", // mail-parser ends a header at the junk in it
};

static int is_read_otherwise(const char *message)
{
    for (size_t i = 0; i < ARRAY_LENGTH(other_readings); i++)
        if (strcmp(other_readings[i], message) == 0)
            return 1;
    return 0;
}

static unsigned compare_parts(struct mime *mime, const json_t *one)
{
    const char *name = text_of(one, "message");
    json_t *part;
    size_t index;
    unsigned same = 0;
    struct buffer message;
    buffer_init(&message);
    read_message(&message, "mime/mail-parser", name, 1);
    mime_read(mime, (struct span){buffer_bytes(&message), buffer_size(&message)});
    json_array_foreach(json_object_get(one, "parts"), index, part)
    {
        int fits = same_part(mime, part);
        if (!fits && !is_read_otherwise(name))
            fail_msg("%s: part %s is another", name, text_of(part, "path"));
        same += (unsigned)fits;
    }
    buffer_free(&message);
    return same;
}

static void parts_are_those_of_mail_parser(void **state)
{
    static const char *const files[] = {"legacy", "rfc", "malformed", "thirdparty"};
    static const struct mime_limits limits = {
        .depth = 50, .parts = 1000, .headers = 1000, .readings = 64, .header_bytes = 1 << 20};
    struct mime *mime = mime_new(&limits);
    unsigned same = 0;
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
        char name[128];
        size_t index;
        json_t *one;
        snprintf(name, sizeof(name), "mime/mail-parser/%s.expected.json", files[i]);
        json_t *list = load(name);
        json_array_foreach(list, index, one) same += compare_parts(mime, one);
        json_decref(list);
    }
    assert_true(same >= 200);
    mime_destroy(&mime);
}

// -- verdicts

static struct examined examine_file(const char *group, const char *name)
{
    struct buffer message;
    buffer_init(&message);
    read_message(&message, group, name, 0);
    struct examined result =
        examine_bytes(NULL, (struct span){buffer_bytes(&message), buffer_size(&message)});
    buffer_free(&message);
    return result;
}

static void hidden_viruses_are_found_or_held(void **state)
{
    unsigned viruses = 0, held = 0;
    size_t index;
    json_t *one;
    (void)state;
    json_t *list = load("mime/mime-is-broken/index.json");
    json_array_foreach(list, index, one)
    {
        if (strcmp(text_of(one, "group"), "hide-content") != 0)
            continue;
        struct examined result = examine_file("mime/mime-is-broken", text_of(one, "message"));
        int virus = found(&result, "eicar") != NULL;
        if (!virus && found(&result, "mime-ambiguous") == NULL)
            fail_msg("%s", text_of(one, "message"));
        assert_true(action_for(&result, 0) >= POSTERN__ACTION__ACTION_QUARANTINE);
        viruses += (unsigned)virus;
        held += !virus;
        examined_free(&result);
    }
    print_message("%u found, %u held as ambiguous\n", viruses, held);
    assert_true(viruses >= 168);
    json_decref(list);
}

static void honest_mail_is_seldom_ambiguous(void **state)
{
    unsigned messages = 0, ambiguous = 0;
    size_t index;
    json_t *one;
    (void)state;
    json_t *list = load("spam-corpora/labels.json");
    json_array_foreach(list, index, one)
    {
        if (strcmp(text_of(one, "label"), "ham") != 0)
            continue;
        struct examined result = examine_file("spam-corpora", text_of(one, "file"));
        messages++;
        if (action_for(&result, 0) != POSTERN__ACTION__ACTION_ACCEPT) {
            print_message("%s is held\n", text_of(one, "file"));
            ambiguous++;
        }
        examined_free(&result);
    }
    assert_true(messages >= 800);
    assert_true(ambiguous <= 4);
    json_decref(list);
}

static void print_reason(const char *name, const struct examined *result, const char *finding)
{
    const Postern__Finding *reason = found(result, finding);
    if (reason != NULL)
        print_message("%s: %.*s\n", name, (int)reason->evidence.len,
                      (const char *)reason->evidence.data);
}

static void what_is_called_ambiguous_is_listed(void **state)
{
    static const char *const files[] = {
        "mime/mail-parser/legacy.expected.json",    "mime/mail-parser/rfc.expected.json",
        "mime/mail-parser/malformed.expected.json", "mime/mail-parser/thirdparty.expected.json",
        "mime/mime4j/testmsgs.expected.json",       "mime/mime4j/mimetools.expected.json"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
        size_t index;
        json_t *one, *list = load(files[i]);
        json_array_foreach(list, index, one)
        {
            const char *name = text_of(one, "message");
            struct examined result = examine_file(i < 4 ? "mime/mail-parser" : "mime/mime4j", name);
            print_reason(name, &result, "mime-ambiguous");
            print_reason(name, &result, "limits-exceeded");
            if (strncmp(name, "rfc-", 4) == 0)
                assert_int_equal(action_for(&result, 0), POSTERN__ACTION__ACTION_ACCEPT);
            examined_free(&result);
        }
        json_decref(list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_those_of_mail_parser),
        cmocka_unit_test(hidden_viruses_are_found_or_held),
        cmocka_unit_test(honest_mail_is_seldom_ambiguous),
        cmocka_unit_test(what_is_called_ambiguous_is_listed),
    };
    folder = getenv("POSTERN_SUITES");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
