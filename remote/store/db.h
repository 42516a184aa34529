/* db.h -- one connection to the console's database, and the folder around it.
 *
 *     DIR/console.db (WAL)   DIR/segments/NNNNNN.seg   DIR/incoming/<capture>.<16 digits>.part
 *
 * Folders have the mode 0700, files 0600, whatever the umask says; but of a folder that is not ours nothing is changed.  The file
 * system must have hard links.  A db belongs to one
 * thread at a time.  Functions that change something run between db_begin() and db_commit() (the store does that around its
 * writes); outside of it they abort, since half of them would stay. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct db;

/* Opens DIR's database, making folder and tables when they are missing and bringing an older schema up to date.  Waits 5 s for
 * another writer.  Errors: -errno, ERR_BUSY, ERR_UNSUPPORTED (made by a newer proctor), ERR_INVALID (no database of ours,
 * damaged; or none, in a folder with other things), ERR_FAILED; the sentence is logged. */
int db_open(const char *dir, struct db **ret_db);
void db_close(struct db *db); /* NULL is fine */

/* Makes this db the only one that takes in results (until it is closed), and removes what a crash has left behind: files without
 * rows, bytes past what rows say.  For the server, at its start; commands beside it never mend.  store_open() does it.  Waits
 * 5 s for the process before it to end; then ERR_BUSY, logged: another console runs on this folder. */
int db_mend(struct db *db);

/* For commands and tests: begin, then commit (syncs appended files first) or roll back.  0 or an error (-ENOSPC, -EIO, ERR_BUSY,
 * ERR_FAILED).  A commit that fails has rolled back. */
int db_begin(struct db *db);
int db_commit(struct db *db);
void db_rollback(struct db *db);

/* Absolute. */
const char *db_dir(const struct db *db);

/* Has another connection changed the database since the last call?  Changes made through `db` itself do not count; the first
 * call says false. */
bool db_changed(struct db *db);
