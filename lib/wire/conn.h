/* conn.h -- one control connection on a libuv loop: lines of JSON-RPC over a Unix stream socket, with descriptors.
 *
 * Used by proctord (towards CLI, agent and probes), by the agent and by the probe.  The connection reads, splits and
 * parses; what the messages mean is the owner's business.  A peer that breaks the framing or the limits is closed.  What a
 * large message took is given back when it has passed.
 *
 * A connection whose descriptor outlives us (proctord's to agent and probes, which the keeper has a copy of) is opened
 * peeking: a line is looked at in the socket, done, what it queued is sent, and only then it is taken out.  Whoever is killed
 * in between leaves the line to the next one, so a message may be done twice, never not at all.  Only a line of more than
 * 32 KiB, or one whose end does not come, is taken out bit by bit as it comes. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "lib/base/buf.h"
#include "lib/wire/fds.h"

struct msg;
struct conn;

/* One message came.  The callee may take descriptors out of it; it may call conn_close(). */
typedef void (*conn_msg_cb)(struct conn *c, struct msg *m);

/* The connection is over: `reason` is UV_EOF, an error, or 0 after conn_close().  Called exactly once, from the loop, as
 * the last thing: the storage may be freed in it. */
typedef void (*conn_closed_cb)(struct conn *c, int reason);

struct conn {
    uv_poll_t poll;
    int fd;
    struct buf in;
    struct buf out;
    struct out_fd *out_fds; /* descriptors that wait in the queue, in order */
    size_t out_fd_count;
    size_t
        out_done; /* bytes of the stream already sent; positions of out_fds count from its start */
    struct fds in_fds;
    uv_timer_t send_again; /* after an error of sending that passes by itself */
    uv_timer_t look_again; /* at half a line in the socket; `restarted` is overdue */
    bool peeking;
    bool half;             /* half a line is in the socket: it is not polled */
    bool taking;           /* lines that were peeked at are being done */
    bool peer_ends;        /* nothing is added to half a line any more */
    unsigned looks;        /* at half a line that did not grow */
    size_t seen;           /* how much of it there was */
    int broken;            /* sending failed: what it has said is still done */
    bool forgives_first;   /* the first line may be the rest of one that was taken out in part */
    bool forgives_torn;    /* lines that cannot be read may come before `restarted` */
    unsigned torn;         /* how many have */
    unsigned open_handles; /* while closing */
    bool closing;
    bool end_after_flush;
    int reason;
    conn_msg_cb on_msg;
    conn_closed_cb on_closed;
    void *arg; /* the owner's */
};

/* Takes `fd` (set to non-blocking, closed with the connection, also when this fails). */
int conn_open(struct conn *c, uv_loop_t *loop, int fd, conn_msg_cb on_msg, conn_closed_cb on_closed,
              void *arg);

/* The same for one that outlives us; `restarted`: it is not new, the peer spoke with an earlier one of us.  Then it is told
 * so, by a newline (half a line may have been sent) and the notification `restarted`, before anything else. */
int conn_open_peeking(struct conn *c, uv_loop_t *loop, int fd, bool restarted, conn_msg_cb on_msg,
                      conn_closed_cb on_closed, void *arg);

/* The peer's connections outlive it: lines that it has not sent to their end are forgiven when `restarted` follows at once. */
void conn_forgive_torn(struct conn *c);

/* Starts closing; on_closed comes later from the loop with reason 0.  Twice is fine. */
void conn_close(struct conn *c);

/* The same, after what is queued has been sent (or the peer has gone). */
void conn_close_after_flush(struct conn *c);

/* Queue one message.  JSON is borrowed.  `fd` (-1: none) is taken in every case.  An overflowing queue closes the
 * connection and returns ERR_TOO_BIG; on a closing connection nothing happens. */
int conn_request(struct conn *c, const char *id, const char *method, json_t *params, int fd);
int conn_notify(struct conn *c, const char *method, json_t *params);
int conn_result(struct conn *c, const char *id, json_t *result, int fd);
int conn_error(struct conn *c, const char *id, int error, const char *text, json_t *data);

/* A progress notification for request `id`: {"id":ID} plus the members of `params` (borrowed). */
int conn_progress(struct conn *c, const char *id, json_t *params);

/* Who is at the other end, as the kernel says (SO_PEERCRED). */
int conn_peer(const struct conn *c, pid_t *ret_pid, uid_t *ret_uid);
