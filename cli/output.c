// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"
#include "core/base/base.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MOST = 12 };

static void print_dump(const json_t *value, size_t flags)
{
    char *text = json_dumps(value, flags | JSON_ENCODE_ANY);
    puts(text ? text : "null");
    free(text);
}

void print_json(const json_t *value)
{
    print_dump(value, 0);
}

void print_json_indented(const json_t *value)
{
    print_dump(value, JSON_INDENT(2) | JSON_SORT_KEYS);
}

void print_json_rows(const json_t *value)
{
    size_t count = json_array_size(value);
    printf("[");
    for (size_t i = 0; i < count; i++) {
        char *text = json_dumps(json_array_get(value, i), 0);
        printf("%s\n%s", i ? "," : "", text);
        free(text);
    }
    puts(count ? "\n]" : "]");
}

const char *text_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text ? text : "";
}

static char *plain(const char *text)
{
    char *copy = duplicate(text);
    for (unsigned char *at = (unsigned char *)copy; *at; at++) {
        // C1 controls are two bytes in UTF-8: C2 80 to C2 9F.
        int c1 = at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f;
        if (*at < ' ' || *at == 127)
            *at = '?';
        else if (c1)
            at[0] = at[1] = '?';
    }
    return copy;
}

void print_text(const char *text)
{
    char *copy = plain(text);
    fputs(copy, stdout);
    free(copy);
}

void print_warnings(const json_t *answer)
{
    size_t i;
    json_t *warning;
    json_array_foreach(json_object_get(answer, "warnings"), i, warning)
        fprintf(stderr, "postern: warning: %s\n", json_string_value(warning));
}

static char *cell_of(const json_t *row, const struct column *column)
{
    const json_t *value = json_object_get(row, column->key);
    char *text;
    if (column->format)
        text = column->format(row);
    else if (json_is_string(value) || !value)
        text = duplicate(text_of(row, column->key));
    else
        text = json_dumps(value, JSON_ENCODE_ANY);
    char *cell = plain(text);
    free(text);
    return cell;
}

// Characters, near enough: bytes that do not continue one.
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void cut_to(char *text, size_t width)
{
    if (width == 0 || width_of(text) <= width)
        return;
    size_t seen = 0;
    for (; *text; text++) {
        seen += ((unsigned char)*text & 0xc0) != 0x80;
        if (seen == width) {
            text[0] = '~';
            text[1] = 0;
            return;
        }
    }
}

static void print_cell(const char *text, size_t width, int last)
{
    printf("%s%*s", text, last ? 0 : (int)(width - width_of(text) + 2), "");
}

void print_table(const json_t *rows, const struct column *columns, size_t count)
{
    size_t widths[COLUMNS_MOST], size = json_array_size(rows);
    char **cells = allocate((size * count + 1) * sizeof(*cells));
    for (size_t k = 0; k < count; k++)
        widths[k] = width_of(columns[k].title);
    for (size_t i = 0; i < size * count; i++) {
        const struct column *column = &columns[i % count];
        cells[i] = cell_of(json_array_get(rows, i / count), column);
        cut_to(cells[i], column->width);
        size_t width = width_of(cells[i]);
        if (width > widths[i % count])
            widths[i % count] = width;
    }
    for (size_t k = 0; k < count && size > 0; k++)
        print_cell(columns[k].title, widths[k], k == count - 1);
    if (size > 0)
        puts("");
    for (size_t i = 0; i < size * count; i++) {
        print_cell(cells[i], widths[i % count], i % count == count - 1);
        if (i % count == count - 1)
            puts("");
        free(cells[i]);
    }
    free(cells);
}
