// SPDX-License-Identifier: Apache-2.0
#include "core/net/redis_reader.h"

#include <stdlib.h>
#include <string.h>

enum { WORDS_MOST = 256, ELEMENTS_MOST = 1000, REPLY_MOST = 1024 * 1024 };

#if HIREDIS_MAJOR >= 1
struct redis_reader {
    redisReader *reader;
    int failed;
};

static void limit_elements(struct redis_reader *self)
{
    self->reader->maxelements = ELEMENTS_MOST;
}
#else
struct redis_reader {
    redisReader *reader;
    redisReplyObjectFunctions functions; // hiredis's own but for arrays
    void *(*create_array)(const redisReadTask *task, int elements);
    int failed;
};

// hiredis would reserve room for as many elements as the other side announces.
static void *create_array(const redisReadTask *task, int elements)
{
    const struct redis_reader *self = task->privdata;
    return elements <= ELEMENTS_MOST ? self->create_array(task, elements) : NULL;
}

static void limit_elements(struct redis_reader *self)
{
    self->functions = *self->reader->fn;
    self->create_array = self->functions.createArray;
    self->functions.createArray = create_array;
    self->reader->fn = &self->functions;
    self->reader->privdata = self;
}
#endif

struct redis_reader *redis_reader_new(void)
{
    struct redis_reader *self = allocate(sizeof(*self));
    self->reader = redisReaderCreate();
    if (!self->reader)
        abort();
    limit_elements(self);
    return self;
}

void redis_reader_destroy(struct redis_reader **self)
{
    if (!*self)
        return;
    redisReaderFree((*self)->reader);
    free(*self);
    *self = NULL;
}

void redis_reader_feed(struct redis_reader *self, const char *data, size_t size)
{
    if (self->reader->len - self->reader->pos + size > REPLY_MOST ||
        redisReaderFeed(self->reader, data, size) != REDIS_OK)
        self->failed = 1;
}

struct redisReply *redis_reader_next(struct redis_reader *self)
{
    void *reply = NULL;
    if (!self->failed && redisReaderGetReply(self->reader, &reply) != REDIS_OK)
        self->failed = 1;
    return reply;
}

void redis_reader_free(struct redisReply *reply)
{
    freeReplyObject(reply);
}

int redis_reader_failed(const struct redis_reader *self)
{
    return self->failed;
}

void redis_reader_format(struct buffer *out, const struct span *words, size_t count)
{
    const char *data[WORDS_MOST];
    size_t sizes[WORDS_MOST];
    char *command = NULL;
    if (count > WORDS_MOST)
        abort(); // our own bug
    for (size_t i = 0; i < count; i++) {
        data[i] = words[i].data;
        sizes[i] = words[i].size;
    }
    int size = redisFormatCommandArgv(&command, (int)count, data, sizes);
    if (size < 0)
        abort(); // out of memory
    buffer_add(out, command, (size_t)size);
    free(command);
}

int redis_reader_is_error(const struct redisReply *reply, const char *prefix)
{
    return reply->type == REDIS_REPLY_ERROR && !strncmp(reply->str, prefix, strlen(prefix));
}

const char *redis_reader_text(const struct redisReply *reply, char *ret_text, size_t text_size)
{
    size_t at = 0;
    if (reply->type == REDIS_REPLY_ERROR)
        for (; at + 1 < text_size && reply->str[at]; at++)
            ret_text[at] = reply->str[at] >= 0x20 && reply->str[at] < 0x7f && reply->str[at] != '"'
                               ? reply->str[at]
                               : '?';
    ret_text[at] = 0;
    return ret_text;
}
