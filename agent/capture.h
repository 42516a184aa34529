/* capture.h -- the life of one capture, from the request to the supervisor until record and result
 * are on disk.
 *
 *     capture_start() or capture_resume() + capture_ask()
 *     progress …, the answer, or a deadline
 *     settling: files are written in a thread
 *     done
 *
 * Who asked for it and gets its answer is captures.h's business; here is only a list of their
 * requests' ids. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "agent/record.h"
#include "agent/spool.h"
#include "lib/base/list.h"
#include "lib/base/str.h"

struct capture;
struct conn;
struct msg;

/* It is over.  Called exactly once, from the loop, as the last thing; the record can be read until
 * it returns.  A record that has not ended belongs to a capture that was put down by
 * capture_close(). */
typedef void (*capture_cb)(struct capture *c);

/* Where captures live; borrowed by all of them. */
struct capture_home {
    uv_loop_t *loop;
    struct conn *conn; /* to the supervisor */
    struct spool *spool;
    /* How long after its limit a capture is given up: the supervisor should have ended it 30 s
     * after, so this is for a supervisor that does not.  And how long after that the supervisor may
     * take to answer the cancel. */
    int64_t slack_ms;
    int64_t grace_ms;
    capture_cb done;
    void *arg;
};

struct capture {
    struct list link; /* the owner's */
    struct record record;
    struct strlist waiters; /* ids of the requests to answer; progress goes to the last */
    /* private */
    struct capture_home *home;
    uv_timer_t watchdog;
    uv_work_t work;
    struct spool_end files;
    int written; /* what writing them returned */
    bool resumed;
    bool cancel_wanted; /* by a requester */
    bool timed_out;     /* by the watchdog */
    bool settling;      /* the end is decided, the files are being written */
    bool closing;
};

/* Journals the record (taken, cleared in every case) and asks the supervisor.  On failure nothing
 * is left. */
int capture_start(struct capture_home *home, struct record *r, struct capture **ret_capture);

/* A capture of an earlier agent, which waits for capture_ask().  Takes the record. */
struct capture *capture_resume(struct capture_home *home, struct record *r);

/* Asks the supervisor what became of it. */
void capture_ask(struct capture *c);

/* A request that wants its answer; the same id again counts once.  ERR_BUSY when there are too
 * many. */
int capture_attach(struct capture *c, const char *request_id);

/* ERR_NOT_RUNNING when its end is decided. */
int capture_stop(struct capture *c);
int capture_cancel(struct capture *c);

/* What the supervisor sends about it. */
void capture_on_progress(struct capture *c, const json_t *params);
void capture_on_answer(struct capture *c, const struct msg *m);

/* Ours is over, the capture is not: the next agent resumes it.  One that is settling goes on to its
 * end. */
void capture_close(struct capture *c);

/* Tells the supervisor that it may forget a capture. */
void capture_ack(struct conn *conn, const char *id);

/* The ids of our requests are "<capture id>:<verb>", the same again after a restart. */
enum { CAPTURE_REQUEST_ID = UUID_TEXT + 8 };
