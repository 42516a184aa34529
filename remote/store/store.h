/* store.h -- what the console keeps, asynchronously: rows in SQLite, results in segment files.
 *
 * Work is a function that runs in a thread of the store with a `struct db`, and ends with a callback on the loop.  All that a
 * work function may touch is its `arg` and the db; the loop leaves `arg` alone in between.  Reads run in one thread, writes in
 * another, each in the order in which they were asked for.
 *
 * Writes that wait are committed together: each has a savepoint of its own, so that one that fails (a negative result) undoes
 * only itself; then what was appended to files is synced, then the transaction is committed, then the callbacks come.  So a
 * callback with a result >= 0 means: on disk.  When the commit itself fails (a full disk), all of the batch get its error and
 * nothing of it has happened.
 *
 * The functions on `struct db` (hosts.h, accounts.h, …) are the layer that another database would replace; programs that stand
 * beside a running console (`proctor-console user add`) call them directly, with db_open(). */
#pragma once

#include <stdbool.h>
#include <uv.h>

struct db;
struct store;

/* In a thread: what it returns is the result. */
typedef int (*store_work_cb)(struct db *db, void *arg);

/* On the loop, exactly once, never inside store_read() or store_write(). */
typedef void (*store_done_cb)(void *arg, int result);

/* Opens both ends of `dir`, and mends it (db_mend(): ERR_BUSY when another console runs there).  Blocks for a moment: for the
 * start of a program.  Returns 0 or an error, which is logged; then nothing is to be closed. */
int store_open(struct store **ret_store, uv_loop_t *loop, const char *dir);

/* A queue of LIMIT_STORE_QUEUE pieces of work takes no more: `done` is called with ERR_BUSY; after store_close() with
 * ERR_STOPPING.  `done` may be NULL. */
void store_read(struct store *s, store_work_cb work, store_done_cb done, void *arg);
void store_write(struct store *s, store_work_cb work, store_done_cb done, void *arg);

/* Calls `changed` when somebody else (a command beside us) has changed the database; looked for twice a second, by the writer:
 * for the connection of the reader, our own writes are somebody else's.  NULL ends it. */
void store_watch(struct store *s, void (*changed)(void *arg), void *arg);

/* Finishes what waits, then calls `closed` (may be NULL) from the loop, as the last thing; the store is freed. */
void store_close(struct store *s, void (*closed)(void *arg), void *arg);
