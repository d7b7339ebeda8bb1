// SPDX-License-Identifier: Apache-2.0
// Microseconds of processor time that an examination and its verdict cost, over the files named or
// over messages of 4 KiB of its own: examine_cost [FILE...]
#include "analyzer/engine.h"
#include "analyzer/verdict.h"
#include "core/base/buffer.h"
#include "core/base/file.h"
#include "core/base/loop.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MESSAGE = 4096, ROUNDS = 20000, FILE_ROUNDS = 50, FILE_MOST = 64 << 20 };

#define HEAD                                                                                       \
    "Received: from mail.client.example (mail.client.example [192.0.2.7])\r\n"                     \
    "\tby mx.example.org (Postern) with ESMTPS id 01ARZ3NDEKTSV4RRFFQ69G5FAV\r\n"                  \
    "\tfor <u@example.org>; Mon, 12 Jan 2026 10:00:00 +0000\r\n"                                   \
    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=client.example; s=a;\r\n"             \
    "\th=from:to:subject:date; bh=abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG=;\r\n"               \
    "\tb=abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGabcdefghijklmnopqrstuvwxyz01\r\n"              \
    "From: \"Ann Example\" <ann@client.example>\r\nTo: u@example.org\r\n"                          \
    "Date: Mon, 12 Jan 2026 10:00:00 +0000\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= to all\r\n"     \
    "Message-ID: <20260112.1@client.example>\r\nUser-Agent: Example 1.0\r\n"                       \
    "MIME-Version: 1.0\r\n"

static const struct {
    const char *name, *front, *line, *end;
} samples[] = {
    {"plain", HEAD "Content-Type: text/plain; charset=utf-8\r\n\r\n",
     "The quick brown fox jumps over the lazy dog and then goes home again.\r\n", ""},
    {"alternative",
     HEAD "Content-Type: multipart/alternative; boundary=\"=_b\"\r\n\r\n--=_b\r\n"
          "Content-Type: text/plain; charset=utf-8\r\n\r\nHello,\r\nthis is a text.\r\n--=_b\r\n"
          "Content-Type: text/html; charset=utf-8\r\n"
          "Content-Transfer-Encoding: quoted-printable\r\n\r\n",
     "<p style=3D\"color: red\">Hello, this is =E2=80=9Ctext=E2=80=9D in a para=\r\n"
     "graph</p>\r\n",
     "--=_b--\r\n"},
    {"attachment",
     HEAD "Content-Type: multipart/mixed; boundary=xxx\r\n\r\n--xxx\r\n\r\nSee there.\r\n--xxx\r\n"
          "Content-Type: image/png; name=a.png\r\nContent-Disposition: attachment; "
          "filename=a.png\r\nContent-Transfer-Encoding: base64\r\n\r\n",
     "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB\r\n", "--xxx--\r\n"},
};

struct bench {
    struct engine *engine;
    Postern__Envelope envelope;
    size_t verdict_bytes;
};

static void on_end(void *context, struct examination *examination)
{
    struct bench *self = context;
    uint8_t packed[64 << 10];
    Postern__Verdict *verdict = verdict_new(examination, "mx.example.org");
    self->verdict_bytes = postern__verdict__get_packed_size(verdict);
    if (self->verdict_bytes <= sizeof(packed))
        postern__verdict__pack(verdict, packed);
    verdict_destroy(&verdict);
}

static double used_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void measure(struct bench *self, const char *name, struct span message, unsigned rounds)
{
    double start = used_us();
    for (unsigned i = 0; i < rounds; i++)
        engine_examine(self->engine, &self->envelope, message, on_end, self);
    double each = (used_us() - start) / rounds;
    printf("%9.2f us  %8zu bytes  verdict %5zu  %s\n", each, message.size, self->verdict_bytes,
           name);
}

static void measure_samples(struct bench *self)
{
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++) {
        struct buffer message;
        buffer_init(&message);
        buffer_add_text(&message, samples[i].front);
        while (buffer_size(&message) + strlen(samples[i].end) < MESSAGE)
            buffer_add_text(&message, samples[i].line);
        buffer_add_text(&message, samples[i].end);
        measure(self, samples[i].name, (struct span){buffer_bytes(&message), buffer_size(&message)},
                ROUNDS);
        buffer_free(&message);
    }
}

int main(int argc, char **argv)
{
    static const char none[] = "{\"revision\":\"0\",\"documents\":{}}";
    char error[256], address[] = "u@example.org";
    struct settings *settings = settings_parse(none, sizeof(none) - 1, error, sizeof(error));
    struct loop *loop = loop_new();
    Postern__Recipient row = POSTERN__RECIPIENT__INIT, *list[] = {&row};
    struct bench self = {engine_new(loop, settings), POSTERN__ENVELOPE__INIT, 0};
    row.address = (ProtobufCBinaryData){sizeof(address) - 1, (uint8_t *)address};
    self.envelope.recipients = list;
    self.envelope.n_recipients = 1;
    if (argc == 1)
        measure_samples(&self);
    for (int i = 1; i < argc; i++) {
        size_t size;
        char *bytes = file_read(argv[i], FILE_MOST, &size);
        if (bytes != NULL)
            measure(&self, argv[i], (struct span){bytes, size}, FILE_ROUNDS);
        free(bytes);
    }
    engine_destroy(&self.engine);
    settings_release(&settings);
    loop_destroy(&loop);
    return 0;
}
