/* exits.h -- the last ends of an instance's processes, for `proctor why`.
 *
 * The newest EXITS_KEPT, as values, and as the record "i7.exits" of the keeper's store (instance_keep.h): they outlive the
 * supervisor, not the machine.  An end that is noted twice, since the supervisor died in the middle of acting on it, is there
 * once. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/instance_state.h"
#include "supervisor/oom.h"
#include "supervisor/process.h"

/* Why a process ended: enum, word in JSON.  Those from "stop" on were asked for. */
#define EXIT_CAUSES(X)                                                                             \
    X(CAUSE_NONE, "unknown")    /* nobody knows how it ended */                                    \
    X(CAUSE_EXIT, "exit")       /* by itself, with code 0 */                                       \
    X(CAUSE_FAILURE, "failure") /* by itself, with another code */                                 \
    X(CAUSE_SIGNAL, "signal")   /* by a signal that we did not send */                             \
    X(CAUSE_OOM, "memory")      /* the kernel killed it for lack of memory */                      \
    X(CAUSE_STOP, "stop")                                                                          \
    X(CAUSE_RESTART, "restart")                                                                    \
    X(CAUSE_DELETE, "delete")                                                                      \
    X(CAUSE_SCALE, "scale")                                                                        \
    X(CAUSE_SIGNALLED, "proctor signal") /* by a signal that somebody sent through us */

enum exit_cause {
#define X(name, word) name,
    EXIT_CAUSES(X)
#undef X
        EXIT_CAUSE_COUNT
};

/* What came of it: enum, word in JSON. */
#define EXIT_SEQUELS(X)                                                                            \
    X(THEN_DOWN, "stays down")                                                                     \
    X(THEN_AGAIN, "started again")                                                                 \
    X(THEN_LATER, "started again after a delay")                                                   \
    X(THEN_GAVE_UP, "given up")

enum exit_then {
#define X(name, word) name,
    EXIT_SEQUELS(X)
#undef X
        EXIT_THEN_COUNT
};

enum { EXITS_KEPT = 8, EXIT_STDERR_BYTES = 2048 };

struct exit_entry {
    unsigned seq; /* which end of the instance's it was: slot.exit.count */
    pid_t pid;
    struct exit_status status;
    int64_t started_ms; /* wall clock */
    int64_t uptime_ms;
    enum exit_cause cause;
    enum exit_then then;
    enum oom oom;
    bool forced;       /* it did not go when asked, and was killed */
    char *stderr_tail; /* its last lines there; NULL: it wrote none */
};

struct exits {
    struct exit_entry items[EXITS_KEPT]; /* oldest first */
    unsigned count;
};

/* `asked`: what we ended it for, or CAUSE_NONE; `sent`: the last signal that somebody sent it through us, or 0.  Pure. */
enum exit_cause exit_cause_of(const struct exit_status *status, enum exit_cause asked, int sent,
                              enum oom oom);
/* The last lines of a text that fit into EXIT_STDERR_BYTES; NULL: none.  The caller frees.  Pure. */
char *exit_tail_of(const char *text);
/* Pure. */
enum exit_then exit_then_of(enum instance_event event);

/* Takes the content of `e`; the oldest goes.  One of the same `seq` as the last takes its place. */
void exits_add(struct exits *x, struct exit_entry *e);
void exits_clear(struct exits *x);

/* The oldest first. */
json_t *exits_to_json(const struct exits *x);
/* What cannot be read is passed over. */
void exits_from_json(struct exits *x, const json_t *array);
