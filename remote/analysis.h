/* analysis.h -- runs proctor-analyze on stored results and keeps what it says.
 *
 * A profile is foreign bytes: it is read only by a child program with a memory limit, a time limit, no network and few system calls.  At most
 * two children at a time, the rest waits (up to 100, and LIMIT_ANALYSIS_WAIT_S); requests for the same result wait for one child.  What it
 * finds is kept beside the result, also that it finds nothing. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct analysis;
struct store;

/* Each: NULL or 0 is the real one; tests have others. */
struct analysis_settings {
    const char *program;  /* proctor-analyze, beside us */
    uint64_t deadline_ms; /* of one child */
    uint64_t wait_ms;     /* for a turn */
};

/* `settings` are copied, `program` is borrowed; NULL: all real. */
struct analysis *analysis_new(uv_loop_t *loop, struct store *store,
                              const struct analysis_settings *settings);
void analysis_close(struct analysis *a, void (*closed)(void *arg),
                    void *arg); /* kills the children; frees */

/* `r` 0 with the text (borrowed): what proctor-analyze printed for `name`; else `text` is a sentence, and `len` its length.  ERR_NOT_FOUND
 * (no such profile, or its bytes are removed), ERR_INVALID / ERR_SYNTAX / ERR_TOO_BIG (with the analyser's sentence, or past
 * LIMIT_ANALYSIS_RESULT), -ETIMEDOUT (it took too long), ERR_BUSY (too many before it), ERR_UNSUPPORTED (a kind that has no such view). */
typedef void (*analysis_cb)(void *arg, int r, const char *text, size_t len);

/* `name`: "top" (rows by self), "top-total" (by total) or "tree"; what they look like stands in remote/analyze/main.c.  `done` comes later, exactly once. */
void analysis_get(struct analysis *a, const char *profile_id, const char *name, analysis_cb done,
                  void *arg);
