// SPDX-License-Identifier: Apache-2.0
#pragma once

// Attributes and sizes used everywhere.
#include <stddef.h>
#include <stdint.h>

#define NODISCARD __attribute__((warn_unused_result))
#define PRINTF(at, first) __attribute__((format(printf, at, first)))
#define ARRAY_LENGTH(array) (sizeof(array) / sizeof((array)[0]))

// A stretch of bytes that somebody else owns; not terminated.
struct span {
    const char *data;
    size_t size;
};

// Aborts: every size a peer can choose is bounded, so running out of memory is our bug or the
// machine's end. Never NULL.
void *allocate(size_t size) __attribute__((malloc, returns_nonnull));         // zeroed
void *reallocate(void *old, size_t size) __attribute__((returns_nonnull));
char *duplicate(const char *text) __attribute__((malloc, returns_nonnull));
void *duplicate_bytes(const void *data, size_t size) __attribute__((malloc)); // one 0 byte after

struct span span_of(const char *text);
int span_equal(struct span a, struct span b);
int span_equal_nocase(struct span a, struct span b); // ASCII only
