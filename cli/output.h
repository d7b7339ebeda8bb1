// SPDX-License-Identifier: Apache-2.0
#pragma once

// What commands print: JSON for programs, tables for people. Text that came with a mail may hold
// control characters: on a terminal it is shown without them.
#include <jansson.h>
#include <stddef.h>

void print_json(const json_t *value);      // one line
void print_json_rows(const json_t *value); // a list, a row on each line; valid JSON
void print_json_indented(const json_t *value);
void print_text(const char *text);                       // without control characters
const char *text_of(const json_t *row, const char *key); // "" when it is none

void print_warnings(const json_t *answer); // its "warnings", on standard error

struct column {
    const char *title;
    const char *key;                    // "" for what `format` makes of the whole row
    size_t width;                       // at most; 0: as wide as it is
    char *(*format)(const json_t *row); // from malloc; NULL: the text of `key`
};
void print_table(const json_t *rows, const struct column *columns, size_t count);
