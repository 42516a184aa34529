/* sql.h -- SQL statements: prepared once per db, arguments bound by kind, columns read from left to right.
 *
 *     AUTOQUERY struct query q;
 *     int r = sql_query(&q, db, "SELECT name, seen_ms FROM hosts WHERE id = ?", ARGS(TEXT(id)));
 *     while (r >= 0 && (r = sql_next(&q)) == 1) …
 *
 * Errors: ERR_EXISTS (a key that must be unique), ERR_NOT_FOUND (a key that must be there), -ENOSPC, -EIO, ERR_BUSY, ERR_INVALID
 * (damaged), ERR_FAILED. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/mem.h"
#include "lib/secure/hash.h"

struct db;
struct sqlite3_stmt;

enum arg_kind { ARG_END, ARG_INT, ARG_TEXT, ARG_BYTES };
struct arg {
    enum arg_kind kind;
    int64_t number;
    const void *data; /* borrowed until the query has ended; NULL is SQL's NULL */
    size_t len;
};
#define INT(value) ((struct arg){.kind = ARG_INT, .number = (int64_t)(value)})
#define TEXT(text) ((struct arg){.kind = ARG_TEXT, .data = (text)})
#define BYTES(bytes, size) ((struct arg){.kind = ARG_BYTES, .data = (bytes), .len = (size)})
#define HASH(hash) BYTES(hash, SHA256_BYTES)
#define ARGS(...) ((const struct arg[]){__VA_ARGS__, {.kind = ARG_END}})
#define NO_ARGS NULL

struct query {
    struct db *db;
    struct sqlite3_stmt *st; /* NULL: not prepared */
    int column;              /* the next to be read */
};

/* Prepares and binds; nothing runs yet.  The same SQL text cannot be in use twice at the same time. */
int sql_query(struct query *q, struct db *db, const char *sql, const struct arg *args);
/* The same, up to its one row: ERR_NOT_FOUND when there is none. */
int sql_query_one(struct query *q, struct db *db, const char *sql, const struct arg *args);
/* 1: there is a row, 0: no more. */
int sql_next(struct query *q);
void sql_end(struct query *q);
#define AUTOQUERY __attribute__((cleanup(sql_end)))

/* The next column of the row. */
int64_t sql_int(struct query *q);
bool sql_bool(struct query *q);
void sql_text(struct query *q, char *ret_text, size_t size); /* cut to what fits */
char *sql_text_copy(struct query *q);                        /* NULL for NULL; the caller frees */
void sql_hash(struct query *q, uint8_t ret_hash[static SHA256_BYTES]);
/* Borrowed until the next step. */
const void *sql_bytes(struct query *q, size_t *ret_len);

/* A statement without rows: how many rows it changed. */
int sql_run(struct db *db, const char *sql, const struct arg *args);

/* An UPDATE or DELETE of one row: ERR_NOT_FOUND when there is none. */
int sql_one(struct db *db, const char *sql, const struct arg *args);

/* One number: 1, or 0 when there is no row. */
int sql_get_int(struct db *db, const char *sql, const struct arg *args, int64_t *ret_value);

/* Frees all statements of a db. */
void sql_clear(struct db *db);

/* One more row, zeroed, in a list of `rows` and `count`. */
#define ROWS_ADD(list)                                                                             \
    ({                                                                                             \
        if (((list)->count & ((list)->count - 1)) == 0)                                            \
            (list)->rows = xreallocarray((list)->rows, (list)->count ? 2 * (list)->count : 1,      \
                                         sizeof *(list)->rows);                                    \
        __typeof__((list)->rows) added_ = &(list)->rows[(list)->count++];                          \
        *added_ = (__typeof__(*added_)){0};                                                        \
        added_;                                                                                    \
    })
