// SPDX-License-Identifier: Apache-2.0
#include "analyzer/one.h"

#include "analyzer/engine.h"
#include "analyzer/explain.h"
#include "analyzer/sandbox.h"
#include "analyzer/verdict.h"
#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/log.h"
#include "core/base/loop.h"
#include "core/base/nodeconf.h"
#include "core/base/ulid.h"
#include "mail/heading.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    EXIT_FAILED = 1,
    EXIT_MISUSED = 2,
    RECIPIENTS_MOST = 1000,
    CHUNK = 64 << 10,
    DESCRIPTORS = 64
};
enum { FILE_MOST = 1 << 30 };

struct one {
    const char *from, *client, *helo, *host, *dns;
    const char *settings_path, *state, *config;
    int json;
    const char *recipients[RECIPIENTS_MOST];
    size_t recipient_count;
    char **files;
    size_t file_count;

    struct loop *loop;
    struct engine *engine;
    struct settings *settings;
    int ended;
};

// -- the command line

static int take_recipient(struct one *self, const char *address)
{
    if (self->recipient_count == RECIPIENTS_MOST)
        return -1;
    self->recipients[self->recipient_count++] = address;
    return 0;
}

// Returns how many arguments were used; 0: it is none of ours, or its value is missing.
static int take_option(struct one *self, int argc, char **argv)
{
    const struct {
        const char *name;
        const char **field;
    } options[] = {
        {"--from", &self->from},
        {"--client-ip", &self->client},
        {"--helo", &self->helo},
        {"--host", &self->host},
        {"--dns", &self->dns},
        {"--state", &self->state},
        {"--settings", &self->settings_path},
        {"--config", &self->config},
        {"--rcpt", NULL},
    };
    if (strcmp(argv[0], "--json") == 0) {
        self->json = 1;
        return 1;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(options); i++) {
        size_t size = strlen(options[i].name);
        if (strncmp(argv[0], options[i].name, size) != 0 ||
            (argv[0][size] != 0 && argv[0][size] != '='))
            continue;
        const char *value = argv[0][size] == '=' ? argv[0] + size + 1 : argc > 1 ? argv[1] : NULL;
        if (value == NULL)
            return 0;
        if (options[i].field != NULL)
            *options[i].field = value;
        else if (take_recipient(self, value) < 0)
            return 0;
        return argv[0][size] == '=' ? 1 : 2;
    }
    return 0;
}

static int parse(struct one *self, int argc, char **argv)
{
    self->files = allocate(((size_t)argc + 1) * sizeof(*self->files));
    for (int i = 0; i < argc;) {
        if (strncmp(argv[i], "--", 2) != 0) {
            self->files[self->file_count++] = argv[i++];
            continue;
        }
        int used = take_option(self, argc - i, argv + i);
        if (used == 0) {
            fprintf(stderr, "postern-analyzer: %s is no option, or lacks its value\n", argv[i]);
            return -1;
        }
        i += used;
    }
    if (self->file_count == 0) {
        fputs("usage: postern-analyzer --one FILE... [--from A] [--rcpt B]... [--client-ip IP] "
              "[--helo H]\n"
              "    [--settings FILE | --state FOLDER | --config FILE] [--dns HOST:PORT] "
              "[--host NAME] [--json]\n",
              stderr);
        return -1;
    }
    if (self->recipient_count == 0)
        take_recipient(self, "postmaster@localhost");
    return 0;
}

static struct settings *open_settings(const struct one *self, char *error, size_t error_size)
{
    static const char none[] = "{\"revision\":\"0\",\"documents\":{}}";
    struct nodeconf conf;
    if (self->config != NULL) {
        if (nodeconf_read(&conf, self->config, self->state, NULL, error, error_size) < 0)
            return NULL;
        return settings_read(conf.state, error, error_size);
    }
    if (self->state != NULL)
        return settings_read(self->state, error, error_size);
    if (self->settings_path == NULL)
        return settings_parse(none, sizeof(none) - 1, error, error_size);
    size_t size;
    char *json = file_read(self->settings_path, FILE_MOST, &size);
    if (json == NULL) {
        snprintf(error, error_size, "%s: %s", self->settings_path, strerror(errno));
        return NULL;
    }
    struct settings *settings = settings_parse(json, size, error, error_size);
    free(json);
    return settings;
}

// -- a file

static char *read_input(size_t *ret_size)
{
    struct buffer all;
    buffer_init(&all);
    ssize_t got;
    while (buffer_size(&all) < FILE_MOST &&
           (got = read(STDIN_FILENO, buffer_reserve(&all, CHUNK), CHUNK)) > 0)
        buffer_added(&all, (size_t)got);
    *ret_size = buffer_size(&all);
    char *bytes = duplicate_bytes(buffer_bytes(&all), buffer_size(&all));
    buffer_free(&all);
    return bytes;
}

// As it would have come by SMTP.
static void add_message(struct buffer *out, struct span file)
{
    const char *line = file.size > 5 && memcmp(file.data, "From ", 5) == 0
                           ? memchr(file.data, '\n', file.size)
                           : NULL;
    if (line != NULL) {
        file.size -= (size_t)(line + 1 - file.data);
        file.data = line + 1;
    }
    if (memmem(file.data, file.size, "\r\n", 2) != NULL) {
        buffer_add(out, file.data, file.size);
        return;
    }
    const char *at = file.data, *end = file.data + file.size, *next;
    while ((next = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        buffer_add(out, at, (size_t)(next - at));
        buffer_add(out, "\r\n", 2);
        at = next + 1;
    }
    buffer_add(out, at, (size_t)(end - at));
}

static ProtobufCBinaryData lent(const char *text)
{
    return (ProtobufCBinaryData){text != NULL ? strlen(text) : 0, (uint8_t *)(uintptr_t)text};
}

static void show(void *context, struct examination *examination)
{
    struct one *self = context;
    Postern__Verdict *verdict = verdict_new(examination, self->host);
    if (self->json) {
        json_t *json = explain_json(examination, verdict);
        json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
        putchar('\n');
        json_decref(json);
    } else {
        struct buffer text;
        buffer_init(&text);
        explain_text(examination, verdict, &text);
        fwrite(buffer_bytes(&text), 1, buffer_size(&text), stdout);
        buffer_free(&text);
    }
    verdict_destroy(&verdict);
    self->ended = 1;
    loop_stop(self->loop);
}

static void examine(struct one *self, struct span message)
{
    struct ulid id = ulid_new(clock_wall_ms());
    Postern__Recipient *rows = allocate(self->recipient_count * sizeof(*rows));
    Postern__Recipient **list = allocate(self->recipient_count * sizeof(*list));
    for (size_t i = 0; i < self->recipient_count; i++) {
        postern__recipient__init(&rows[i]);
        rows[i].address = lent(self->recipients[i]);
        list[i] = &rows[i];
    }
    Postern__Envelope envelope = POSTERN__ENVELOPE__INIT;
    envelope.id = (ProtobufCBinaryData){ULID_SIZE, id.bytes};
    envelope.reverse_path = lent(self->from);
    envelope.client_address = lent(self->client);
    envelope.helo = lent(self->helo);
    envelope.received_ms = clock_wall_ms();
    envelope.size = message.size;
    envelope.recipients = list;
    envelope.n_recipients = self->recipient_count;
    struct header_limits limits = {self->settings->headers_max, self->settings->header_bytes_max};
    heading_read(&envelope, message, &limits);
    self->ended = 0;
    engine_examine(self->engine, &envelope, message, show, self);
    if (!self->ended)
        loop_run(self->loop);
    free(envelope.message_id.data);
    free(envelope.subject.data);
    free(envelope.from.data);
    free(list);
    free(rows);
}

static int examine_file(struct one *self, const char *path)
{
    size_t size;
    char *bytes = strcmp(path, "-") == 0 ? read_input(&size) : file_read(path, FILE_MOST, &size);
    if (bytes == NULL) {
        fprintf(stderr, "postern-analyzer: %s: %s\n", path, strerror(errno));
        return -1;
    }
    struct buffer message;
    buffer_init(&message);
    add_message(&message, (struct span){bytes, size});
    free(bytes);
    examine(self, (struct span){buffer_bytes(&message), buffer_size(&message)});
    buffer_free(&message);
    return 0;
}

// A sanitizer's build, or an old kernel, goes without.
static void confine(const struct settings *settings)
{
    const struct sandbox sandbox = {.memory_max = settings->analyzer_memory_max};
    sandbox_limits(&sandbox, DESCRIPTORS);
    if (sandbox_files(&sandbox) < 0 || sandbox_calls() < 0)
        log_debug("sandbox", "whole=no");
}

int one_main(int argc, char **argv)
{
    struct one self = {0};
    char error[512], host[256] = "localhost";
    int code = 0;
    gethostname(host, sizeof(host) - 1);
    self.host = host;
    if (parse(&self, argc, argv) < 0) {
        free(self.files);
        return EXIT_MISUSED;
    }
    self.settings = open_settings(&self, error, sizeof(error));
    if (self.settings == NULL) {
        fprintf(stderr, "postern-analyzer: %s\n", error);
        free(self.files);
        return EXIT_FAILED;
    }
    self.loop = loop_new();
    self.engine = engine_new(self.loop, self.settings);
    confine(self.settings);
    for (size_t i = 0; i < self.file_count; i++)
        if (examine_file(&self, self.files[i]) < 0)
            code = EXIT_FAILED;
    engine_destroy(&self.engine);
    loop_destroy(&self.loop);
    settings_release(&self.settings);
    free(self.files);
    return fflush(stdout) == 0 ? code : EXIT_FAILED;
}
