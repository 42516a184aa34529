/* captures.h -- all captures of this host: the requests about them, and who waits for which.
 *
 * A request comes from the supervisor, which hands on what its clients ask (docs/PROTOCOL.md, "CLI
 * -> supervisor -> agent"). Each handler answers its request exactly once: at once, or, for
 * capture.start, when the capture has ended, and for capture.list, when the records have been read.
 * A request that made no record is answered with an error; what made one is answered with the
 * record, whatever became of it. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "agent/amend.h"
#include "agent/capture.h"
#include "agent/packing.h"
#include "agent/spool.h"
#include "agent/unpacking.h"
#include "lib/base/limits.h"
#include "lib/base/list.h"
#include "lib/base/str.h"

struct conn;
struct listing;
struct msg;

/* Who wants to know of the console's captures.  All are called from the loop. */
struct captures_watch {
    void *arg;
    /* The record is another: journaled, in a new phase, ended, with another warning.  An end is told when it is on disk, and not
     * earlier. */
    void (*changed)(void *arg, const struct record *r);
    /* One that could not be read when the agent began has ended, and now it can be. */
    void (*found)(void *arg, const char *id);
    /* Its result is packed. */
    void (*packed)(void *arg, const char *id);
    /* It could not be started after all, and there is no record. */
    void (*refused)(void *arg, const char *id, int error, const char *text);
};

struct captures {
    struct capture_home home;
    struct spool spool;
    struct amends amends;
    struct packing packing;
    struct unpacking unpacking;
    struct captures_watch watch; /* all NULL: nobody */
    char host[UUID_TEXT];        /* who we are for the console; "": there is none */
    struct list
        live; /* of struct capture: those that have not ended, or whose end is not on disk */
    struct listing *listing;     /* the list that is being read; NULL: none */
    struct strlist list_waiters; /* ids of requests: first those that it answers, then later ones */
    size_t list_answers;
    uv_timer_t again; /* for records that could not be read */
    bool open;
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

/* Another supervisor: it is asked again for what has no answer; nobody waits for ours. */
void captures_restarted(struct captures *cs);

/* Puts the live captures down and what is being compressed; the loop then runs until those that are being written are done. */
void captures_close(struct captures *cs);

/* After the loop. */
void captures_clear(struct captures *cs);

/* The requests; their fields have been checked. */
void captures_start(struct captures *cs, const struct msg *m);
void captures_stop(struct captures *cs, const struct msg *m);
void captures_cancel(struct captures *cs, const struct msg *m);
void captures_list(struct captures *cs, const struct msg *m);
void captures_get(struct captures *cs, const struct msg *m);

/* ---- captures of the console: it sees its own and no others --------------------------------------
 *
 * Its own are those that it asked for while it knew this host by the name that captures_belong() was told last.
 *
 * The functions return 0 or an error; those with a text then have a sentence in it. */

/* Who we are for the console from now on; NULL: there is none.  What runs for another one is cancelled. */
void captures_belong(struct captures *cs, const char *host);

/* Starts one, as captures_start(); what becomes of it the watcher is told.  For an id that is known
 * nothing happens (0). */
int captures_start_for_console(struct captures *cs, const json_t *message,
                               char reterr_text[static RECORD_TEXT]);

/* ERR_NOT_FOUND, ERR_NOT_RUNNING. */
int captures_stop_for_console(struct captures *cs, const char *id);
int captures_cancel_for_console(struct captures *cs, const char *id);

/* The record in memory of one that has not ended, or whose end is not on disk; NULL: there is none,
 * or it is in the spool. */
const struct record *captures_live_for_console(struct captures *cs, const char *id);

/* Its index entry; NULL as above. */
const struct spool_entry *captures_find_for_console(struct captures *cs, const char *id);

/* Notes in the record that the console has acknowledged the end.  `done` as in amend.h. */
void captures_mark_delivered(struct captures *cs, const char *id, amend_cb done, void *arg);

/* Removes what is too much now; after something was acknowledged. */
void captures_retain(struct captures *cs);

/* Notes why there is no result any more (-ENOENT: it has gone, ERR_TOO_BIG: the console takes none so large, else: it is
 * damaged); the watcher is told. */
void captures_lose_result(struct captures *cs, const char *id, int error);

/* ---- what the supervisor says ------------------------------------------------------------------- */

/* Progress and answers that belong to our own requests. */
void captures_on_progress(struct captures *cs, const struct msg *m);
void captures_on_answer(struct captures *cs, const struct msg *m);
