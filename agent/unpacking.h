/* unpacking.h -- packed results for those who ask on this host: expanded into a file without a name,
 * which goes when its last descriptor does.  One at a time; whoever waits hears every few seconds that it goes on.
 *
 *     unpacking_add()
 *     it is expanded in a thread, and held against the sums of its record
 *     done
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "lib/base/list.h"

struct record;
struct spool;
struct unpack;

/* `request` and `r` (which may be changed) are borrowed.  `fd` is the result, opened read-only (the callee's), or an error:
 * -ENOENT (the packed result has gone), ERR_MISMATCH, ERR_SYNTAX or ERR_TOO_BIG (it is damaged),
 * -ENOSPC, … */
typedef void (*unpacking_cb)(void *arg, const char *request, struct record *r, int fd);

/* `request` still waits. */
typedef void (*unpacking_beat_cb)(void *arg, const char *request);

struct unpacking {
    uv_loop_t *loop;
    const struct spool *spool;
    struct list waiting; /* of struct unpack; the first is being done */
    struct unpack *current;
    bool closing;
    uv_timer_t beat;  /* while somebody waits */
    unsigned beat_ms; /* unpacking_init() sets some seconds, tests less */
    unpacking_beat_cb waits;
    unpacking_cb done;
    void *arg;
};

void unpacking_init(struct unpacking *u, uv_loop_t *loop, const struct spool *spool,
                    unpacking_beat_cb waits, unpacking_cb done, void *arg);

/* Takes what `r` holds when it returns 0; `done` is called later, from the loop.  ERR_BUSY when too
 * many wait. */
int unpacking_add(struct unpacking *u, const char *request, struct record *r);

/* Nothing is told any more; the loop runs until the thread has noticed. */
void unpacking_close(struct unpacking *u);
