#include "remote/store/sql.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "remote/store/db_private.h"

struct statement {
    struct statement *next;
    char *sql;
    sqlite3_stmt *st;
};

/* There are some eighty of them; the one that was used last comes first. */
static struct statement *find(struct db *db, const char *sql)
{
    for (struct statement **at = &db->statements; *at; at = &(*at)->next) {
        struct statement *s = *at;
        if (strcmp(s->sql, sql) != 0)
            continue;
        *at = s->next;
        s->next = db->statements;
        db->statements = s;
        return s;
    }
    return NULL;
}

static int prepare(struct db *db, const char *sql, sqlite3_stmt **ret_st)
{
    struct statement *s = find(db, sql);
    if (!s) {
        sqlite3_stmt *st = NULL;
        int code = sqlite3_prepare_v3(db->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL);
        if (code != SQLITE_OK)
            return db_error(db, code);
        s = xcalloc(1, sizeof *s);
        *s = (struct statement){.next = db->statements, .sql = xstrdup(sql), .st = st};
        db->statements = s;
    }
    assert(!sqlite3_stmt_busy(s->st));
    assert(db->writing || sqlite3_stmt_readonly(s->st));
    *ret_st = s->st;
    return 0;
}

void sql_clear(struct db *db)
{
    while (db->statements) {
        struct statement *s = db->statements;
        db->statements = s->next;
        (void)sqlite3_finalize(s->st);
        free(s->sql);
        free(s);
    }
}

static int bind(sqlite3_stmt *st, int at, const struct arg *arg)
{
    switch (arg->kind) {
    case ARG_INT:
        return sqlite3_bind_int64(st, at, arg->number);
    case ARG_TEXT:
        return sqlite3_bind_text(st, at, arg->data, -1, SQLITE_STATIC);
    case ARG_BYTES:
        return sqlite3_bind_blob64(st, at, arg->data, arg->len, SQLITE_STATIC);
    case ARG_END:
        break;
    }
    return SQLITE_MISUSE;
}

int sql_query(struct query *q, struct db *db, const char *sql, const struct arg *args)
{
    *q = (struct query){.db = db};
    if (db->failed)
        return db->failed;
    int r = prepare(db, sql, &q->st);
    if (r < 0)
        return r;
    int at = 0;
    for (; args && args[at].kind != ARG_END; at++) {
        int code = bind(q->st, at + 1, &args[at]);
        if (code != SQLITE_OK)
            return db_error(db, code);
    }
    assert(at == sqlite3_bind_parameter_count(q->st));
    return 0;
}

int sql_next(struct query *q)
{
    q->column = 0;
    int code = sqlite3_step(q->st);
    if (code == SQLITE_ROW)
        return 1;
    if (code == SQLITE_DONE)
        return 0;
    int r = db_error(q->db, code);
    /* After some errors SQLite has rolled the whole transaction back; what came now would be committed at once. */
    if (q->db->writing && sqlite3_get_autocommit(q->db->sqlite))
        q->db->failed = r;
    return r;
}

int sql_query_one(struct query *q, struct db *db, const char *sql, const struct arg *args)
{
    int r = sql_query(q, db, sql, args);
    if (r == 0)
        r = sql_next(q);
    if (r < 0)
        return r;
    return r == 1 ? 0 : ERR_NOT_FOUND;
}

void sql_end(struct query *q)
{
    if (!q->st)
        return;
    (void)sqlite3_reset(q->st);
    (void)sqlite3_clear_bindings(q->st);
    q->st = NULL;
}

/* ---- columns --------------------------------------------------------------------------------- */

int64_t sql_int(struct query *q)
{
    return sqlite3_column_int64(q->st, q->column++);
}

bool sql_bool(struct query *q)
{
    return sql_int(q) != 0;
}

void sql_text(struct query *q, char *ret_text, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(q->st, q->column++);
    size_t len = text ? strnlen(text, size - 1) : 0;
    if (len > 0)
        memcpy(ret_text, text, len);
    ret_text[len] = '\0';
}

char *sql_text_copy(struct query *q)
{
    return xstrdup_null((const char *)sqlite3_column_text(q->st, q->column++));
}

const void *sql_bytes(struct query *q, size_t *ret_len)
{
    int at = q->column++;
    const void *bytes = sqlite3_column_blob(q->st, at);
    *ret_len = (size_t)sqlite3_column_bytes(q->st, at);
    return bytes;
}

void sql_hash(struct query *q, uint8_t ret_hash[static SHA256_BYTES])
{
    size_t len;
    const void *bytes = sql_bytes(q, &len);
    memset(ret_hash, 0, SHA256_BYTES);
    if (bytes && len == SHA256_BYTES)
        memcpy(ret_hash, bytes, len);
}

/* ---- whole statements ------------------------------------------------------------------------ */

int sql_run(struct db *db, const char *sql, const struct arg *args)
{
    AUTOQUERY struct query q = {0};
    int r = sql_query(&q, db, sql, args);
    if (r == 0)
        r = sql_next(&q);
    if (r < 0)
        return r;
    int64_t changed = sqlite3_changes64(db->sqlite);
    return changed < INT_MAX ? (int)changed : INT_MAX;
}

int sql_one(struct db *db, const char *sql, const struct arg *args)
{
    int r = sql_run(db, sql, args);
    if (r < 0)
        return r;
    return r > 0 ? 0 : ERR_NOT_FOUND;
}

int sql_get_int(struct db *db, const char *sql, const struct arg *args, int64_t *ret_value)
{
    AUTOQUERY struct query q = {0};
    int r = sql_query(&q, db, sql, args);
    if (r == 0)
        r = sql_next(&q);
    if (r == 1)
        *ret_value = sql_int(&q);
    return r;
}
