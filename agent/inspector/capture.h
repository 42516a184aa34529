/* capture.h -- one capture: from a port that is open to a result in a file, or to a sentence that says why not.
 *
 * Started once; then told to stop, to cancel, to leave the port open, or that nobody waits for it any more.  Ends exactly
 * once. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

struct capture;
struct lws_context;

/* In the order in which they are entered; enum, name in messages. */
#define CAPTURE_PHASES(X)                                                                          \
    X(PHASE_OPEN, "open")                                                                          \
    X(PHASE_START, "start")                                                                        \
    X(PHASE_RUNNING, "running")                                                                    \
    X(PHASE_STOPPING, "stopping")                                                                  \
    X(PHASE_SENDING, "sending")
#define CAPTURE_STATES(X)                                                                          \
    X(CAPTURE_UNDECIDED, "")                                                                       \
    X(CAPTURE_DONE, "done")                                                                        \
    X(CAPTURE_PARTIAL, "partial")                                                                  \
    X(CAPTURE_FAILED, "failed")                                                                    \
    X(CAPTURE_CANCELLED, "cancelled")
#define STOP_REASONS(X)                                                                            \
    X(STOP_REQUESTED, "requested")                                                                 \
    X(STOP_APP_EXIT, "app_exit")                                                                   \
    X(STOP_APP_STOP, "app_stop")

#define X(value, name) value,
enum capture_phase { CAPTURE_PHASES(X) };
enum capture_state { CAPTURE_STATES(X) };
enum stop_reason { STOP_NONE, STOP_REASONS(X) };
#undef X

const char *capture_phase_name(enum capture_phase phase);
const char *capture_state_name(enum capture_state state);
const char *stop_reason_name(enum stop_reason reason); /* NULL for STOP_NONE */

/* STOP_NONE for a word that is no reason; NULL means `requested`. */
enum stop_reason stop_reason_from_name(const char *name);

struct capture_order {
    const char *kind; /* "cpu" or "heap" */
    pid_t pid;        /* whose inspector it must be */
    unsigned port;
    const char *path; /* holds the UUID */
    int node_major;
    int64_t
        duration_ms; /* 0: until stopped, LIMIT_CAPTURE_DURATION_MS at most; the supervisor always says one */
    int64_t interval_us;    /* cpu; 0: the default */
    int64_t interval_bytes; /* heap; 0: the default */
    bool close;             /* the port is ours and is closed at the end */
};

struct capture_end {
    enum capture_state state;
    enum capture_phase phase;
    uint64_t bytes;         /* of the result; 0 unless done or partial */
    int64_t start_pause_us; /* -1: the profiler was not started */
    int64_t measured_us;    /* -1: nothing was measured */
    int error;              /* 0 unless failed */
    const char *message;    /* one sentence; NULL unless failed */
    bool
        loop_blocked; /* the event loop never turned: the inspector opens once more when it does, and closes itself */
    enum stop_reason reason; /* why it is partial, or why the process went away; else STOP_NONE */
};

typedef void (*capture_phase_cb)(void *arg, enum capture_phase phase);

/* The result is complete in the file and synced, or the file is empty; the inspector socket is closed.  `end` is borrowed.
 * The capture is gone afterwards. */
typedef void (*capture_done_cb)(void *arg, const struct capture_end *end);

/* Checks the order and starts.  `fd` stays the caller's, the order is borrowed for the call.  Returns 0, ERR_UNSUPPORTED
 * or ERR_INVALID with a sentence in `*reterr_text` (static). */
int capture_start(uv_loop_t *loop, struct lws_context *context, const struct capture_order *order,
                  int fd, capture_phase_cb on_phase, capture_done_cb done, void *arg,
                  struct capture **ret_capture, const char **reterr_text);

/* Stops the profiler and keeps what there is; before it runs, as soon as it does.  When the process is about to end (any
 * reason but STOP_REQUESTED) all is over within 2 s. */
void capture_stop(struct capture *c, enum stop_reason reason);

/* Stops and keeps nothing. */
void capture_cancel(struct capture *c);

/* Somebody else is attached: disconnect at the end, but do not close the port. */
void capture_leave_open(struct capture *c);

/* Whoever asked has gone: close the port if it is ours, keep nothing that is not complete. */
void capture_drop(struct capture *c);
