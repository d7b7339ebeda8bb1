// SPDX-License-Identifier: Apache-2.0
#include "core/base/buffer.h"
#include "master/store/merge.h"
#include "master/store/rows.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_ROWS = 200, DAY_MS = 86400000, SLACK_MS = 60000 };

typedef json_t *row_fn(struct store_reader *reader, sqlite3_stmt *row);

struct store_list {
    struct store_reader *reader;
    struct store_query query;
    char *sql;
    row_fn *row;
    char day[DAY_TEXT];        // being read
    int day_done;              // or none begun
    uint8_t before[ULID_SIZE]; // ids below this one come next
    unsigned left;
};

// "@domain" and patterns with '*' become what LIKE understands; a plain address stays as it is.
static int is_pattern(const char *text)
{
    return *text == '@' || strchr(text, '*') != NULL;
}

static char *pattern_of(const char *text)
{
    struct buffer pattern;
    if (!text || !is_pattern(text))
        return text ? duplicate(text) : NULL;
    buffer_init(&pattern);
    if (*text == '@')
        buffer_add(&pattern, "%", 1);
    for (; *text; text++) {
        if (strchr("%_\\", *text))
            buffer_add(&pattern, "\\", 1);
        buffer_add(&pattern, *text == '*' ? "%" : text, 1);
    }
    buffer_add(&pattern, "", 1);
    return pattern.data;
}

static char *copy_of(const char *text)
{
    return text ? duplicate(text) : NULL;
}

// Where the rows come from, newest first by an index whose next column is the id, so that a page
// ends as soon as it is full: the quarantine, the recipients of one disposition, or all messages.
static const char *source_of(const struct store_query *query, int quarantine)
{
    int chosen = query->message_id || (query->sender && !is_pattern(query->sender)) ||
                 (query->recipient && !is_pattern(query->recipient));
    if (quarantine)
        return " FROM quarantine d CROSS JOIN messages m ON m.id=d.id WHERE d.id<?1 AND d.state=1";
    if (query->disposition && !chosen)
        return " FROM recipients d INDEXED BY recipients_disposition"
               " CROSS JOIN messages m ON m.id=d.id WHERE d.id<?1 AND d.disposition=?9";
    return " FROM messages m WHERE m.id<?1";
}

// Only what is asked for stands in the statement, so that SQLite can take the index that fits.
static char *build_sql(const struct store_query *query, int quarantine)
{
    const char *source = source_of(query, quarantine);
    int joined = strstr(source, " d ") != NULL;
    struct buffer sql;
    buffer_init(&sql);
    buffer_printf(&sql, "SELECT " MESSAGE_COLUMNS "%s", source);
    if (!quarantine && !query->notices)
        buffer_add_text(&sql, query->rejected ? " AND m.origin>=1" : " AND m.origin=2");
    if (query->sender)
        buffer_add_text(&sql, is_pattern(query->sender) ? " AND m.sender LIKE ?3 ESCAPE '\\'"
                                                        : " AND m.sender=?3 COLLATE NOCASE");
    if (query->recipient)
        buffer_printf(&sql, " AND m.id IN (SELECT id FROM recipients WHERE address %s)",
                      is_pattern(query->recipient) ? "LIKE ?4 ESCAPE '\\'" : "=?4 COLLATE NOCASE");
    if (query->message_id)
        buffer_add_text(&sql, " AND m.message_id IN (?5,'<'||?5||'>')");
    if (query->node)
        buffer_add_text(&sql, " AND m.node=?6");
    // Of a mail whose first event is still to come the time is not known.
    if (query->since_ms)
        buffer_add_text(&sql, " AND coalesce(m.received_ms,?7)>=?7");
    if (query->until_ms)
        buffer_add_text(&sql, " AND coalesce(m.received_ms,?8)<=?8");
    if (query->disposition && !strstr(source, "d.disposition"))
        buffer_add_text(&sql, " AND EXISTS(SELECT 1 FROM recipients r WHERE r.id=m.id"
                              " AND r.disposition=?9)");
    buffer_add_text(&sql, joined ? " GROUP BY d.id ORDER BY d.id DESC LIMIT ?10"
                                 : " ORDER BY m.id DESC LIMIT ?10");
    buffer_add(&sql, "", 1);
    return sql.data;
}

static struct store_list *list_new(struct store_reader *reader, const struct store_query *query,
                                   int quarantine, row_fn *row)
{
    struct store_list *self = allocate(sizeof(*self));
    self->reader = reader;
    self->query = *query;
    self->sql = build_sql(query, quarantine);
    self->query.sender = pattern_of(query->sender);
    self->query.recipient = pattern_of(query->recipient);
    self->query.message_id = copy_of(query->message_id);
    self->query.node = copy_of(query->node);
    self->query.disposition = copy_of(query->disposition);
    self->row = row;
    self->day_done = 1;
    self->left = query->limit ? query->limit : UINT32_MAX;
    return self;
}

struct store_list *store_list_messages(struct store_reader *reader, const struct store_query *query)
{
    struct store_query wanted = *query;
    // Who asks for what was rejected means the tries, too.
    if (query->disposition && strcmp(query->disposition, "rejected") == 0)
        wanted.rejected = 1;
    return list_new(reader, &wanted, 0, message_row);
}

struct store_list *store_list_quarantine(struct store_reader *reader,
                                         const struct store_query *query)
{
    return list_new(reader, query, 1, quarantine_row);
}

void store_list_close(struct store_list **self_p)
{
    struct store_list *self = *self_p;
    if (!self)
        return;
    free((char *)self->query.sender);
    free((char *)self->query.recipient);
    free((char *)self->query.message_id);
    free((char *)self->query.node);
    free((char *)self->query.disposition);
    free(self->sql);
    free(self);
    *self_p = NULL;
}

static void bind_given(sqlite3_stmt *row, int column, const char *text)
{
    if (text)
        sqlite3_bind_text(row, column, text, -1, SQLITE_STATIC);
}

static void bind_query(sqlite3_stmt *row, const struct store_list *self)
{
    const struct store_query *query = &self->query;
    sqlite3_bind_blob(row, 1, self->before, sizeof(self->before), SQLITE_STATIC);
    bind_given(row, 3, query->sender);
    bind_given(row, 4, query->recipient);
    bind_given(row, 5, query->message_id);
    bind_given(row, 6, query->node);
    if (query->since_ms)
        sqlite3_bind_int64(row, 7, query->since_ms);
    if (query->until_ms)
        sqlite3_bind_int64(row, 8, query->until_ms);
    if (query->disposition)
        sqlite3_bind_int(row, 9, disposition_number(query->disposition));
    sqlite3_bind_int(row, 10, (int)(self->left < PAGE_ROWS ? self->left : PAGE_ROWS));
}

// The lowest id of a time.
static void id_at(int64_t wall_ms, uint8_t ret[ULID_SIZE])
{
    memset(ret, 0, ULID_SIZE);
    for (int i = 0; i < 6; i++)
        ret[i] = (uint8_t)((uint64_t)wall_ms >> (40 - 8 * i));
}

static int next_day(struct store_list *self)
{
    char oldest[DAY_TEXT] = "";
    if (self->query.since_ms > DAY_MS)
        day_name(self->query.since_ms - DAY_MS, oldest); // an id is a little older than its receipt
    if (!reader_day_before(self->reader, self->day, self->day) || strcmp(self->day, oldest) < 0)
        return 0;
    memset(self->before, 0xff, sizeof(self->before));
    if (self->query.until_ms) // an id is younger than its receipt only where the clock was set back
        id_at(self->query.until_ms + SLACK_MS, self->before);
    self->day_done = 0;
    return 1;
}

// Reads one page of the day at hand.
static void read_page(struct store_list *self, struct buffer *out)
{
    sqlite3 *db = reader_day(self->reader, self->day);
    sqlite3_stmt *row = db ? database_prepare(db, self->sql) : NULL;
    unsigned rows = 0;
    if (row)
        bind_query(row, self);
    int rc = row ? 1 : -1;
    while (rc == 1 && (rc = statement_row(row)) == 1) {
        json_t *value = self->row(self->reader, row);
        char *text = json_dumps(value, JSON_COMPACT);
        buffer_add_text(out, text);
        buffer_add(out, "\n", 1);
        free(text);
        json_decref(value);
        memcpy(self->before, sqlite3_column_blob(row, 0), ULID_SIZE);
        rows++;
    }
    reader_end(self->reader, db, row, rc < 0);
    self->left -= rows;
    self->day_done = rows < PAGE_ROWS;
}

int store_list_next(struct store_list *self, struct buffer *out)
{
    if (self->left == 0 || (self->day_done && !next_day(self)))
        return 0;
    read_page(self, out);
    return self->left > 0;
}
