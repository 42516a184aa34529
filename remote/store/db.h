/* db.h -- one connection to the console's database, and the folder around it.
 *
 *     DIR/console.db (WAL)   DIR/segments/NNNNNN.seg   DIR/incoming/<capture>.part      folders 0700, files 0600
 *
 * A db belongs to one thread at a time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct db;

/* Opens DIR's database, making folder and tables when they are missing and bringing an older schema up to date.  Waits 5 s for
 * another writer.  Errors: -errno, ERR_UNSUPPORTED (made by a newer proctor), ERR_INVALID (no database of ours, damaged),
 * ERR_FAILED; the sentence is logged. */
int db_open(const char *dir, struct db **ret_db);
void db_close(struct db *db);

/* For commands and tests: begin, then commit (syncs appended files first) or roll back.  0 or an error (-ENOSPC, -EIO, ERR_BUSY,
 * ERR_FAILED). */
int db_begin(struct db *db);
int db_commit(struct db *db);
void db_rollback(struct db *db);

const char *db_dir(const struct db *db);

/* Does the database as others see it differ from the last call's? */
bool db_changed(struct db *db);
