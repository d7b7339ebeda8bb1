// SPDX-License-Identifier: Apache-2.0
#include "cli/client.h"
#include "core/base/buffer.h"
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SILENCE_S = 60, CONNECT_TIMEOUT_S = 5, LINE_MOST = 1024 * 1024 };

struct reply {
    struct buffer bytes;
    client_line_fn *line; // what comes is given by lines
    FILE *out;            // or written here; neither: everything is kept
    void *context;
    CURL *curl;
    int stopped;
};

static size_t keep_bytes(char *data, size_t one, size_t size, void *context)
{
    struct reply *reply = context;
    long status = 0;
    curl_easy_getinfo(reply->curl, CURLINFO_RESPONSE_CODE, &status);
    if (reply->out && status == 200)
        return fwrite(data, one, size, reply->out);
    buffer_add(&reply->bytes, data, size * one);
    while (reply->line && status == 200) {
        char *begin = reply->bytes.data + reply->bytes.start;
        char *end = memchr(begin, '\n', buffer_size(&reply->bytes));
        if (!end)
            return buffer_size(&reply->bytes) < LINE_MOST ? size * one : 0;
        *end = 0;
        reply->stopped = *begin && reply->line(reply->context, begin);
        if (reply->stopped)
            return 0;
        buffer_take(&reply->bytes, (size_t)(end - begin) + 1);
    }
    return size * one;
}

static int complain(const struct client *self, CURLcode code)
{
    if (code == CURLE_COULDNT_CONNECT && access(self->socket, F_OK) < 0)
        fprintf(stderr, "postern: %s: %s; is the master running? (--run names its folder)\n",
                self->socket, strerror(errno));
    else if (code == CURLE_OPERATION_TIMEDOUT)
        fprintf(stderr, "postern: %s: the master said nothing for %d s\n", self->socket, SILENCE_S);
    else if (code == CURLE_COULDNT_CONNECT)
        fprintf(stderr, "postern: %s: the master does not answer, or you may not speak to it\n",
                self->socket);
    else
        fprintf(stderr, "postern: %s: %s\n", self->socket, curl_easy_strerror(code));
    return -1;
}

// What the master refused, in its words.
static int complain_refusal(const struct reply *reply, long status)
{
    json_t *value = json_loadb(buffer_bytes(&reply->bytes), buffer_size(&reply->bytes), 0, NULL);
    const char *error = json_string_value(json_object_get(value, "error"));
    fprintf(stderr, "postern: %s\n", error ? error : "the master failed");
    if (!error)
        fprintf(stderr, "postern: HTTP status %ld\n", status);
    json_decref(value);
    return -1;
}

static int perform(const struct client *self, const char *method, const char *path,
                   const char *body, struct reply *reply)
{
    struct buffer url;
    CURL *curl = curl_easy_init();
    long status = 0;
    if (!curl)
        abort();
    buffer_init(&url);
    buffer_printf(&url, "http://postern/api/v1%s", path);
    buffer_add(&url, "", 1);
    reply->curl = curl;
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, self->socket);
    curl_easy_setopt(curl, CURLOPT_URL, url.data);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
    if (!reply->line) {
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_S);
    }
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, keep_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    }
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    buffer_free(&url);
    if (code != CURLE_OK && !reply->stopped)
        return complain(self, code);
    return status >= 300 ? complain_refusal(reply, status) : 0;
}

json_t *client_ask(const struct client *self, const char *method, const char *path,
                   const json_t *body)
{
    json_t *refusal = NULL;
    json_t *value = client_ask_for(self, method, path, body, &refusal);
    json_decref(refusal);
    return value;
}

json_t *client_ask_for(const struct client *self, const char *method, const char *path,
                       const json_t *body, json_t **ret_refusal)
{
    struct reply reply = {0};
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    json_t *value = NULL;
    json_error_t error;
    buffer_init(&reply.bytes);
    if (perform(self, method, path, text, &reply) == 0) {
        value = json_loadb(buffer_bytes(&reply.bytes), buffer_size(&reply.bytes), JSON_DECODE_ANY,
                           &error);
        if (!value)
            fprintf(stderr, "postern: the master's answer cannot be read: %s\n", error.text);
    } else {
        *ret_refusal = json_loadb(buffer_bytes(&reply.bytes), buffer_size(&reply.bytes), 0, NULL);
    }
    buffer_free(&reply.bytes);
    free(text);
    return value;
}

char *client_fetch(const struct client *self, const char *path, size_t *ret_size)
{
    struct reply reply = {0};
    char *bytes = NULL;
    buffer_init(&reply.bytes);
    if (perform(self, "GET", path, NULL, &reply) == 0) {
        *ret_size = buffer_size(&reply.bytes);
        bytes = duplicate_bytes(buffer_bytes(&reply.bytes), *ret_size);
    }
    buffer_free(&reply.bytes);
    return bytes;
}

int client_copy(const struct client *self, const char *path, FILE *out)
{
    struct reply reply = {.out = out};
    buffer_init(&reply.bytes);
    int rc = perform(self, "GET", path, NULL, &reply);
    buffer_free(&reply.bytes);
    return rc;
}

int client_follow(const struct client *self, const char *path, client_line_fn *fn, void *context)
{
    struct reply reply = {.line = fn, .context = context};
    buffer_init(&reply.bytes);
    int rc = perform(self, "GET", path, NULL, &reply);
    buffer_free(&reply.bytes);
    return rc;
}

static void add_escaped(struct buffer *path, const char *text)
{
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        int plain = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
                    (byte >= 'A' && byte <= 'Z') || strchr("-_.~/", byte);
        if (plain)
            buffer_add(path, text, 1);
        else
            buffer_printf(path, "%%%02X", byte);
    }
}

void path_argument(struct buffer *path, const char *name, const char *value)
{
    if (!value)
        return;
    int first = !memchr(buffer_bytes(path), '?', buffer_size(path));
    buffer_printf(path, "%s%s=", first ? "?" : "&", name);
    add_escaped(path, value);
}

void path_part(struct buffer *path, const char *part)
{
    buffer_add(path, "/", 1);
    add_escaped(path, part);
}
