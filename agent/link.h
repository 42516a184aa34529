/* link.h -- the link between this host and its console: who we are, whether we are connected, and what runs while we are.
 *
 *     unlinked          no files in $PROCTOR_HOME/agent, nothing runs (link_state.h is the table)
 *     link.set          a token becomes key and certificate (enrol.h), then
 *     connecting        until hello was exchanged; again and again with growing pauses
 *     connected         records and results go out (delivery.h), the list of processes (processes.h), renewals (renewal.h),
 *                       ends of logs (logs.h)
 *     refused           as connecting, with pauses of minutes; also when the files of the link cannot be used, and then until
 *                       link.remove, or until somebody has mended them
 *     link.remove       the console revokes us, the files go
 *
 * The requests come from the supervisor (docs/PROTOCOL.md, "CLI -> supervisor -> agent"), and each is answered exactly once. */
#pragma once

#include <stdbool.h>
#include <uv.h>

struct captures;
struct conn;
struct delivery;
struct link;
struct msg;

/* `captures` has been opened; it, `delivery` and `conn` live longer.  Nothing is read or begun yet. */
struct link *link_new(uv_loop_t *loop, const char *home, struct conn *conn,
                      struct captures *captures, struct delivery *delivery);

/* The supervisor has said hello: connects when this host is linked. */
void link_start(struct link *l);

/* Says bye to the console and closes; the loop then runs until that is done, for a second or so at most.  Twice is fine. */
void link_close(struct link *l);

/* After the loop.  NULL is fine. */
void link_free(struct link *l);

/* The requests; their fields have been checked. */
void link_set(struct link *l, const struct msg *m);
void link_status(struct link *l, const struct msg *m);
void link_remove(struct link *l, const struct msg *m);

/* Another supervisor: nobody waits for an answer of ours any more, and what we have asked is asked again. */
void link_restarted(struct link *l);

/* An answer of the supervisor's to one of our own requests: false when it is none of ours. */
bool link_on_answer(struct link *l, const struct msg *m);
