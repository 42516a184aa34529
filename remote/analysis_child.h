/* analysis_child.h -- one run of proctor-analyze: started, read, timed, and reaped.
 *
 *     child_start() → the pipe is read to its end → the process ends → done */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "lib/base/buf.h"

struct analysis_child;

/* `r` 0: `out` holds all that it printed, borrowed; it is whole and ended by itself.  Else an error with a sentence: -ETIMEDOUT,
 * ERR_TOO_BIG (it printed too much), ERR_FAILED (it broke), ERR_BUSY (killed from outside), ERR_CANCELLED, or -errno. */
typedef void (*analysis_child_cb)(void *arg, int r, const char *text, const struct buf *out);

/* What to run, on what. */
struct analysis_run {
    const char *program;  /* NULL: proctor-analyze, beside us; tests give another one */
    uint64_t deadline_ms; /* 0: LIMIT_ANALYSIS_SECONDS of CPU time, and some grace */
    int fd; /* taken in every case; holds the profile as `len` bytes from `offset` on, ... */
    uint64_t offset, len;
    uint64_t bytes; /* ... which make so many */
};

/* Returns 0 or an error; then `done` is not called. */
int analysis_child_start(struct analysis_child **ret_child, uv_loop_t *loop,
                         const struct analysis_run *run, analysis_child_cb done, void *arg);

/* Kills it; `done` comes with ERR_CANCELLED. */
void analysis_child_cancel(struct analysis_child *c);

/* The next piece of what was printed, from `*pos` on, which moves past it: 1 with name and bytes (borrowed), 0 at the end, ERR_PROTOCOL for
 * what is none.  Pure. */
struct analysis_piece {
    char name[16];
    const char *data;
    size_t len;
};
int analysis_piece_next(const struct buf *out, size_t *pos, struct analysis_piece *ret_piece);
