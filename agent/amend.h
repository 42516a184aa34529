/* amend.h -- changes to the records of captures that have ended: durable, and one at a time, so that
 * no two of them write the same file.
 *
 *     amend_start()
 *     the record is read, changed and written in a thread; the spool holds it meanwhile
 *     done
 *
 * How a capture comes to its end is not written here; that is capture.h's. */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "lib/base/list.h"

struct amend;
struct record;
struct spool;

/* Changes the record; false: leave it as it is.  Runs in a thread. */
typedef bool (*amend_change)(struct record *r, void *arg);

/* `result`: 0 with the record as it is on disk now (borrowed), ERR_CANCELLED with the one that was
 * left as it is, else an error and NULL: -ENOENT (there is no record any more), ERR_STOPPING (after
 * amends_close()), … */
typedef void (*amend_cb)(void *arg, int result, const struct record *r);

struct amends {
    uv_loop_t *loop;
    struct spool *spool;
    struct list waiting; /* of struct amend */
    struct amend *current;
    bool closing;
};

void amends_init(struct amends *as, uv_loop_t *loop, struct spool *spool);

/* What is being written is finished; what waits is not begun. */
void amends_close(struct amends *as);

/* `done` (NULL: none) is called once, from the loop, never inside amend_start().  How many may wait
 * is the callers' business: each asks once for one record and one purpose. */
void amend_start(struct amends *as, const char *id, amend_change change, amend_cb done, void *arg);

/* Changes: there is no result any more, for which reason (record.h).  `arg` is not used. */
bool amend_missing(struct record *r, void *arg);
bool amend_damaged(struct record *r, void *arg);
bool amend_too_large(struct record *r, void *arg);
