/* logstream.h -- one output stream of an instance: pipe -> splice -> file, with an index of times beside it.
 *
 * The pipe lives as long as the instance, over restarts of its process and of the supervisor; both ends are ours and in the
 * keeper's store, so an app never gets EPIPE.  The file is written at its own position, without O_APPEND (splice refuses
 * it); the position belongs to the open file and so survives with it.  Bytes wait in the pipe at most 5 ms.  The index
 * `<file>.idx` has records of two little-endian 64-bit numbers: wall clock in ms, offset in the file where output of that
 * time begins.
 *
 * While `watch` is on, the bytes are looked at with tee(2) first and the inspector's lines go to /dev/null.
 *
 * Beside it: log_open.h (descriptors, adoption), log_drop.h (a full disk), log_rotate.h (archives, reopening). */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "lib/base/buf.h"
#include "supervisor/slot_stream.h"
#include "supervisor/stderr_lines.h"

struct keep_link;

typedef void (*logstream_closed_cb)(void *arg);
/* The log up to now is the file `path` from now on, to be packed; `keep` archives of it are wanted. */
typedef void (*logstream_archived_cb)(void *arg, const char *path, unsigned keep);

enum {
    LOGSTREAM_NAME = 48,
    LOGSTREAM_LINE = 1 << 20, /* an unfinished line that is longer may be cut by a rotation */
};

/* When a log is turned into an archive; 0: never. */
struct log_limits {
    int64_t max_bytes;
    int64_t every_ms;
    unsigned keep; /* archives */
};

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
    int lost;       /* where dropped bytes go to be counted; -1 until there are some */
    int64_t offset; /* of the file */
    int64_t indexed_ms;
    int64_t began_ms;     /* wall clock of the file's first byte; 0: it has none yet */
    int64_t try_at_ms;    /* not before that is a full disk tried again, */
    int64_t rotate_at_ms; /* or a rotation that failed (both of the loop's clock) */
    bool watching;
    unsigned waits;      /* pauses since a line has waited for being judged */
    unsigned long looks; /* at the pipe's content: what one look shows was written before it */
    struct stderr_lines lines;
    char *path;
    char name[LOGSTREAM_NAME]; /* in the keeper's store */
    struct keep_link *keep;
    struct slot_stream *kept;
    struct log_limits limits;
    logstream_archived_cb on_archived;
    void *archived_arg;
    logstream_closed_cb on_closed;
    void *closed_arg;
};

/* Goes on with what the keeper has under `name` ("i7.out"), else opens or creates the file and its index (0600) and the pipe, and
 * stores them.  `kept` belongs to the instance's slot and outlives the stream. */
int logstream_open(struct logstream *s, uv_loop_t *loop, const char *path, unsigned pipe_bytes,
                   struct keep_link *keep, const char *name, struct slot_stream *kept);
/* Takes everything out of the keeper's store.  `on_closed` comes from the loop; may be NULL. */
void logstream_close(struct logstream *s, logstream_closed_cb on_closed, void *arg);

/* From now on the log is rotated; `on_archived` may be NULL. */
void logstream_rotate_by(struct logstream *s, const struct log_limits *limits,
                         logstream_archived_cb on_archived, void *arg);

/* Somebody else may have moved the file away: goes on in the one of that name.  0 or a negative code. */
int logstream_reopen(struct logstream *s);

/* To be called every few seconds: what is due without new output. */
void logstream_tick(struct logstream *s);

/* Lines that could not be written, since the instance is there. */
int64_t logstream_dropped_lines(const struct logstream *s);

/* Moves everything that is in the pipe now: called when the process has ended. */
void logstream_drain(struct logstream *s);

/* Looks at lines from now on, or no longer.  The callbacks are those of stderr_lines.  Returns 0, or a negative code when
 * the lines cannot be looked at (no descriptors left); then nothing has changed. */
int logstream_watch(struct logstream *s, bool on);

/* The last bytes written since `from`, at most LIMIT_STDERR_TAIL, as whole lines where possible. */
void logstream_tail(const struct logstream *s, int64_t from, struct buf *out);
