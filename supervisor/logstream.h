/* logstream.h -- one output stream of an instance: pipe -> splice -> file, with an index of times beside it.
 *
 * The pipe lives as long as the instance, over restarts of its process; both ends are ours, so an app never gets EPIPE
 * and a new supervisor will be able to go on.  The file is written at its own position, without O_APPEND (splice
 * refuses it).  Bytes wait in the pipe at most 5 ms.  The index `<file>.idx` has records of two little-endian 64-bit
 * numbers: wall clock in ms, offset in the file where output of that time begins.
 *
 * While `watch` is on, the bytes are looked at with tee(2) first and the inspector's lines go to /dev/null. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "lib/base/buf.h"
#include "supervisor/stderr_lines.h"

typedef void (*logstream_closed_cb)(void *arg);

struct logstream {
    uv_poll_t poll;
    uv_timer_t pause; /* coalescing */
    unsigned open_handles;
    int pipe_read;
    int pipe_write;      /* what the child gets */
    unsigned pipe_bytes; /* its size as the kernel gave it */
    int file;
    int index;
    int look_read; /* tee's copy; -1 until watch is first switched on */
    int look_write;
    int64_t offset; /* of the file */
    int64_t indexed_ms;
    int64_t dropped; /* bytes that could not be written since the last that could */
    bool watching;
    unsigned waits;      /* pauses since a line has waited for being judged */
    unsigned long looks; /* at the pipe's content: what one look shows was written before it */
    struct stderr_lines lines;
    char *path;
    logstream_closed_cb on_closed;
    void *closed_arg;
};

/* Opens or creates the file and its index (0600), and the pipe. */
int logstream_open(struct logstream *s, uv_loop_t *loop, const char *path, unsigned pipe_bytes);
/* `on_closed` comes from the loop; may be NULL. */
void logstream_close(struct logstream *s, logstream_closed_cb on_closed, void *arg);

/* Moves everything that is in the pipe now: called when the process has ended. */
void logstream_drain(struct logstream *s);

/* Looks at lines from now on, or no longer.  The callbacks are those of stderr_lines.  Returns 0, or a negative code when
 * the lines cannot be looked at (no descriptors left); then nothing has changed. */
int logstream_watch(struct logstream *s, bool on);

/* The last bytes written since `from`, at most LIMIT_STDERR_TAIL, as whole lines where possible. */
void logstream_tail(const struct logstream *s, int64_t from, struct buf *out);
