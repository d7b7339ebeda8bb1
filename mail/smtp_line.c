// SPDX-License-Identifier: Apache-2.0
#include "mail/smtp_line.h"
#include "core/base/buffer.h"

#include <string.h>

// Where the decoder stands. Only CR LF moves to a new line: a dot counts after it and nowhere else.
enum data_state {
    DATA_LINE_START, // after CRLF, or at the beginning
    DATA_TEXT,
    DATA_DOT,    // a dot that begins a line
    DATA_DOT_CR, // that dot, then CR
    DATA_CR,     // CR within a line
};

enum smtp_line_result smtp_line(struct span bytes, size_t most, size_t *ret_size)
{
    size_t looked = bytes.size < most ? bytes.size : most;
    const char *end = looked ? memchr(bytes.data, '\n', looked) : NULL;
    if (!end)
        return bytes.size >= most ? SMTP_LINE_LONG : SMTP_LINE_MORE;
    size_t size = (size_t)(end - bytes.data) + 1;
    const char *cr = memchr(bytes.data, '\r', size);
    *ret_size = size;
    if (!cr || cr + 1 != end || memchr(bytes.data, 0, size))
        return SMTP_LINE_BARE;
    return SMTP_LINE_WHOLE;
}

void smtp_data_init(struct smtp_data *self, int normalise)
{
    *self = (struct smtp_data){.state = DATA_LINE_START, .normalise = normalise};
}

static void end_line(struct smtp_data *self)
{
    if (self->line > self->longest)
        self->longest = self->line;
    self->line = 0;
}

// Text without NUL; the caller has seen to that.
static void add_run(struct smtp_data *self, struct buffer *out, const char *from, const char *to)
{
    self->line += (size_t)(to - from);
    buffer_add(out, from, (size_t)(to - from));
}

// A bare CR or LF, or a NUL: kept as it is for the owner to refuse, or mended.
static void add_bare(struct smtp_data *self, struct buffer *out, char byte)
{
    self->bare = 1;
    if (byte == 0)
        self->nul = 1;
    if (!self->normalise) {
        buffer_add(out, &byte, 1);
        self->line++;
    } else if (byte != 0) {
        buffer_add(out, "\r\n", 2);
        end_line(self);
    }
}

static void add_line_end(struct smtp_data *self, struct buffer *out)
{
    buffer_add(out, "\r\n", 2);
    end_line(self);
}

// Whole good lines are passed on in one stretch: returns how far they reach. Stops before a line
// that begins with a dot (if `dots`), holds anything bare, or is not whole.
static const char *good_lines(struct smtp_data *self, const char *from, const char *end, int dots)
{
    const char *line = from;
    while (line < end && !(dots && *line == '.')) {
        const char *lf = memchr(line, '\n', (size_t)(end - line));
        if (!lf || lf == line || memchr(line, '\r', (size_t)(lf - line)) != lf - 1)
            break;
        self->line = (size_t)(lf - 1 - line);
        end_line(self);
        line = lf + 1;
    }
    return line;
}

static const char *next_special(const char *from, const char *end)
{
    while (from < end && *from != '\r' && *from != '\n' && *from != 0)
        from++;
    return from;
}

// One step within a line that is not taken as a whole. Returns where the next byte is.
static const char *step_text(struct smtp_data *self, const char *at, const char *end,
                             struct buffer *out)
{
    const char *special = next_special(at, end);
    add_run(self, out, at, special);
    self->state = DATA_TEXT;
    if (special == end)
        return end;
    if (*special == '\r')
        self->state = DATA_CR;
    else
        add_bare(self, out, *special);
    return special + 1;
}

static const char *step_cr(struct smtp_data *self, const char *at, struct buffer *out)
{
    if (*at == '\n') {
        add_line_end(self, out);
        self->state = DATA_LINE_START;
        return at + 1;
    }
    add_bare(self, out, '\r');
    self->state = DATA_TEXT;
    return at;
}

// After "CRLF .": a CR may begin the end; whatever else follows, the dot was stuffed and is
// dropped.
static const char *step_dot(struct smtp_data *self, const char *at)
{
    if (*at == '\r') {
        self->state = DATA_DOT_CR;
        return at + 1;
    }
    self->state = DATA_TEXT;
    return at;
}

static const char *step_line_start(struct smtp_data *self, const char *at, const char *end,
                                   struct buffer *out, int nul)
{
    if (*at == '.') {
        self->state = DATA_DOT;
        return at + 1;
    }
    const char *reached = nul ? at : good_lines(self, at, end, 1);
    buffer_add(out, at, (size_t)(reached - at));
    if (reached < end && *reached != '.')
        self->state = DATA_TEXT;
    return reached;
}

int smtp_data_feed(struct smtp_data *self, struct span bytes, struct buffer *out, size_t *ret_used)
{
    const char *at = bytes.data, *end = bytes.data + bytes.size;
    int nul = bytes.size && memchr(bytes.data, 0, bytes.size);
    while (at < end) {
        switch ((enum data_state)self->state) {
        case DATA_LINE_START:
            at = step_line_start(self, at, end, out, nul);
            break;
        case DATA_TEXT:
            at = step_text(self, at, end, out);
            break;
        case DATA_CR:
            at = step_cr(self, at, out);
            break;
        case DATA_DOT:
            at = step_dot(self, at);
            break;
        case DATA_DOT_CR:
            if (*at == '\n') {
                *ret_used = (size_t)(at - bytes.data) + 1;
                return 1;
            }
            at = step_cr(self, at, out); // "CRLF . CR x": the dot was stuffed, the CR is bare
            break;
        }
    }
    *ret_used = bytes.size;
    return 0;
}

void smtp_chunk_feed(struct smtp_data *self, struct span bytes, struct buffer *out)
{
    const char *at = bytes.data, *end = bytes.data + bytes.size;
    int nul = bytes.size && memchr(bytes.data, 0, bytes.size);
    while (at < end) {
        if (self->state == DATA_CR) {
            at = step_cr(self, at, out);
        } else if (self->state == DATA_LINE_START && !nul) {
            const char *reached = good_lines(self, at, end, 0);
            buffer_add(out, at, (size_t)(reached - at));
            at = reached < end ? step_text(self, reached, end, out) : end;
        } else {
            at = step_text(self, at, end, out);
        }
    }
}

void smtp_chunk_end(struct smtp_data *self, struct buffer *out)
{
    if (self->state == DATA_CR)
        add_bare(self, out, '\r');
    self->state = DATA_TEXT;
    end_line(self);
}

void smtp_data_stuff(struct span bytes, struct buffer *out)
{
    const char *at = bytes.data, *end = bytes.data + bytes.size;
    while (at < end) {
        if (*at == '.')
            buffer_add(out, ".", 1);
        // A line may begin with a dot only after CRLF: look for that, copy the rest in one stretch.
        const char *found = memmem(at, (size_t)(end - at), "\r\n.", 3);
        const char *next = found ? found + 2 : end;
        buffer_add(out, at, (size_t)(next - at));
        at = next;
    }
    if (bytes.size < 2 || memcmp(end - 2, "\r\n", 2) != 0)
        buffer_add(out, "\r\n", 2);
}
