/* capture.h -- the life of one capture, from the request to the supervisor until record and result
 * are on disk.
 *
 *     capture_start(): the journal is written in a thread
 *     the supervisor is asked                                  capture_resume() + capture_ask()
 *     progress …, the answer, or a deadline
 *     settling: files are written in a thread, again and again while there is no room for them
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

/* What happens to a capture; from the loop, once each.  A record that has not ended belongs to a
 * capture that was put down by capture_close(). */
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
    /* It is in the journal, or has entered a phase. */
    capture_cb changed;
    /* The waiters are to be answered: the capture has ended, or its journal could not be written
     * (`error`). Comes before `done` in every case, long before it when the end cannot be stored.
     */
    capture_cb answer;
    /* It is over; the last thing, the record can be read until it returns. */
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
    struct spool_files files;
    int written; /* what writing them returned */
    int fd;      /* the result's, between journal and request */
    int error;   /* why there is no journal */
    int64_t retry_ms;
    bool resumed;
    bool asked;         /* the supervisor knows it */
    bool asked_again;   /* another one was asked */
    bool stop_wanted;   /* by a requester, before the supervisor was asked */
    bool cancel_wanted; /* by a requester */
    bool timed_out;     /* by the watchdog */
    bool writing;       /* a thread is at the files */
    bool settling;      /* the end is decided, the files are being written */
    bool unsaved;       /* and could not be: the record is in memory, and they are tried again */
    bool stored;        /* record and result are on disk */
    bool answered;      /* home->answer was called: who asks now is told the record */
    bool leaving;       /* capture_close() */
    bool closing;
};

/* Journals the record and, when it is durable, asks the supervisor.  One that has ended already is
 * only stored.  Takes what `r` holds. */
struct capture *capture_start(struct capture_home *home, struct record *r);

/* A capture of an earlier agent, which waits for capture_ask().  Takes the record. */
struct capture *capture_resume(struct capture_home *home, struct record *r);

/* Asks the supervisor what became of it. */
void capture_ask(struct capture *c);

/* Another supervisor: it is asked again for what has no answer, and whoever waited for ours has gone with the one before. */
void capture_ask_again(struct capture *c);

/* A request that wants its answer; the same id again counts once.  ERR_BUSY when there are too
 * many. */
int capture_attach(struct capture *c, const char *request_id);

/* ERR_NOT_RUNNING when its end is decided.  Either is passed on as soon as the supervisor was asked
 * for the capture. */
int capture_stop(struct capture *c);
int capture_cancel(struct capture *c);

/* What the supervisor sends about it. */
void capture_on_progress(struct capture *c, const json_t *params);
void capture_on_answer(struct capture *c, const struct msg *m);

/* Ours is over, the capture is not: the next agent resumes it.  One that is settling goes on to its
 * end; one whose end could not be stored gets a last try. */
void capture_close(struct capture *c);

/* Tells the supervisor that it may forget a capture. */
void capture_ack(struct conn *conn, const char *id);

/* The ids of our requests are "<capture id>:<verb>", the same again after a restart. */
enum { CAPTURE_REQUEST_ID = UUID_TEXT + 8 };
