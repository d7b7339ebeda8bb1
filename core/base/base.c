// SPDX-License-Identifier: Apache-2.0
#include "core/base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *memory)
{
    if (memory)
        return memory;
    fputs("postern: out of memory\n", stderr);
    abort();
}

void *allocate(size_t size)
{
    return checked(calloc(1, size ? size : 1));
}

void *reallocate(void *old, size_t size)
{
    return checked(realloc(old, size ? size : 1));
}

char *duplicate(const char *text)
{
    return checked(strdup(text));
}

void *duplicate_bytes(const void *data, size_t size)
{
    if (size == SIZE_MAX)
        abort();
    char *copy = checked(malloc(size + 1));
    if (size)
        memcpy(copy, data, size);
    copy[size] = 0;
    return copy;
}

struct span span_of(const char *text)
{
    return (struct span){text, strlen(text)};
}

int span_equal(struct span a, struct span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static unsigned char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : (unsigned char)c;
}

int span_equal_nocase(struct span a, struct span b)
{
    if (a.size != b.size)
        return 0;
    for (size_t i = 0; i < a.size; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return 0;
    return 1;
}
