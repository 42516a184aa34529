/* stderr_lines.h -- tells the lines that Node's inspector prints on stderr from the app's own bytes.  Pure.
 *
 * Only looked at while an inspector may be open.  Exactly the inspector's lines are cut, everything else is kept, byte by
 * byte; a line that a listening port does not confirm (a forgery) is the app's own.  Node writes its lines with one
 * write each, but an app may have left an unfinished line before it, so a line of the inspector may begin in the
 * middle of one: there ATTACHED and WAITING, which carry no address, are believed only when one is due.  Several processes
 * (an app and its cluster workers) may share the pipe, so their lines may alternate. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum inspector_line {
    INSPECTOR_LISTENING, /* Debugger listening on ws://HOST:PORT/PATH */
    INSPECTOR_ATTACHED,  /* Debugger attached. */
    INSPECTOR_ENDING,    /* Debugger ending on ws://… */
    INSPECTOR_WAITING,   /* Waiting for the debugger to disconnect... */
    INSPECTOR_HELP,      /* For help, see: … (follows LISTENING, from 14 on ENDING too) */
};

enum {
    INSPECTOR_PATH_MAX = 64,
    INSPECTOR_PATHS =
        64, /* remembered: of captures one after the other, and of cluster workers side by side */
};

/* Is a process that writes to this pipe really listening on that port?  Asked for LISTENING only.  `urgent`: STDERR_LATER
 * is no answer. */
enum stderr_answer { STDERR_NO, STDERR_YES, STDERR_LATER };
typedef enum stderr_answer (*stderr_confirm_cb)(void *arg, unsigned port, const char *path,
                                                bool urgent);
/* A line was cut.  `port` and `path` are set for LISTENING and ENDING. */
typedef void (*stderr_seen_cb)(void *arg, enum inspector_line kind, unsigned port,
                               const char *path);

struct stderr_lines {
    bool mid_line;            /* bytes of an unfinished line were passed on already */
    unsigned help_due;        /* LISTENING and ENDING lines whose HELP has not come */
    unsigned attach_expected; /* clients of ours whose ATTACHED has not come; the owner counts up */
    unsigned attached;        /* ATTACHED lines cut; the owner sets it back to 0 */
    /* Hashes of the paths that were confirmed: ENDING must name one, and LISTENING again needs no second look. */
    unsigned long paths[INSPECTOR_PATHS];
    unsigned path_count;
    stderr_confirm_cb confirm;
    stderr_seen_cb seen;
    void *arg;
};

enum stderr_verdict {
    STDERR_KEEP, /* *ret_len bytes belong to the app */
    STDERR_CUT,  /* *ret_len bytes belong to the inspector */
    STDERR_WAIT, /* what is there may be a line of the inspector, or its beginning: come back with more, or later */
};

void stderr_lines_init(struct stderr_lines *f, stderr_confirm_cb confirm, stderr_seen_cb seen,
                       void *arg);

/* Judges the beginning of `data` (`len` > 0).  With `last` (nothing more will come soon) an unfinished line is the app's, and
 * with `urgent` every whole line is judged now: with both it never answers WAIT. */
enum stderr_verdict stderr_lines_next(struct stderr_lines *f, const char *data, size_t len,
                                      bool last, bool urgent, size_t *ret_len);
