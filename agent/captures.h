/* captures.h -- all captures of this host: the requests about them, and who waits for which.
 *
 * A request comes from the supervisor, which hands on what its clients ask (docs/PROTOCOL.md, "CLI
 * -> supervisor -> agent"). Each handler answers its request exactly once: at once, or, for
 * capture.start, when the capture has ended, and for capture.list, when the records have been read.
 * A request that made no record is answered with an error; what made one is answered with the
 * record, whatever became of it. */
#pragma once

#include <uv.h>

#include "agent/capture.h"
#include "agent/spool.h"
#include "lib/base/limits.h"
#include "lib/base/list.h"
#include "lib/base/str.h"

struct conn;
struct listing;
struct msg;

struct captures {
    struct capture_home home;
    struct spool spool;
    struct list
        live; /* of struct capture: those that have not ended, or whose end is not on disk */
    struct listing *listing;     /* the list that is being read; NULL: none */
    struct strlist list_waiters; /* ids of requests: first those that it answers, then later ones */
    size_t list_answers;
    bool closing;
};

/* What may be queued for the supervisor before requests with large answers are turned away. */
enum { CAPTURES_QUEUE_MUCH = LIMIT_CONTROL_QUEUE / 2 };
#define CAPTURES_QUEUE_FULL "too many answers of the agent wait to be read: try again later"

/* Opens the spool and finds out what an earlier agent left.  `conn` may be opened later. `wait_ms`:
 * see spool_open(). */
int captures_open(struct captures *cs, uv_loop_t *loop, struct conn *conn, const char *home,
                  int wait_ms);

/* Asks the supervisor about the captures that an earlier agent left; once, when it has said hello.
 */
void captures_resume(struct captures *cs);

/* Puts the live captures down; the loop then runs until those that are being written are done. */
void captures_close(struct captures *cs);

/* After the loop. */
void captures_clear(struct captures *cs);

/* The requests; their fields have been checked. */
void captures_start(struct captures *cs, const struct msg *m);
void captures_stop(struct captures *cs, const struct msg *m);
void captures_cancel(struct captures *cs, const struct msg *m);
void captures_list(struct captures *cs, const struct msg *m);
void captures_get(struct captures *cs, const struct msg *m);

/* Progress and answers that belong to our own requests. */
void captures_on_progress(struct captures *cs, const struct msg *m);
void captures_on_answer(struct captures *cs, const struct msg *m);
