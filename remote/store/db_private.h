/* db_private.h -- what the files of the store share of a db. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "remote/store/db.h"
#include "remote/store/files.h"

enum { DB_WAIT_MS = 5000 };

struct statement;

struct db {
    sqlite3 *sqlite;
    char *dir;
    int folders[FILE_KINDS]; /* segments/ and incoming/, for the *at() calls */
    struct files files;      /* of the present transaction */
    struct statement *statements;
    int wait_ms;          /* DB_WAIT_MS; tests have less time */
    bool writing;         /* between db_begin() and its end */
    int failed;           /* SQLite has given the transaction up by itself: why */
    int complained;       /* the last result code that was logged */
    int64_t data_version; /* 0: not asked for yet */
};

/* The error of a SQLite result code of this db.  What our error codes cannot tell (damage, a bug) is logged, once per kind. */
int db_error(struct db *db, int code);

/* SQL without arguments and rows: transactions, savepoints. */
int db_exec(struct db *db, const char *sql);
