/* agents_private.h -- what the files agents*.c share; nobody else includes it.
 *
 * agents.c is the object and its clock; agents_listen.c is all that touches libwebsockets;
 * agents_conn.c is one connection: its phases, its queue, and who of two of one host may stay;
 * agents_talk.c is what each message does; agents_blob.c takes results in, agents_room.c makes
 * room for them, agents_delay.c is what must wait.  Connections get whole frames and give whole messages, so that tests and fuzzers drive them without a socket. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "lib/base/buf.h"
#include "lib/base/limits.h"
#include "lib/base/list.h"
#include "lib/base/uuid.h"
#include "lib/wire/blob.h"
#include "lib/wire/channel.h"
#include "remote/agents.h"

struct lws;
struct agents_port;

enum {
    AGENTS_BUCKETS = 4096,
    AGENTS_TICK_MS = 1000,
    AGENTS_HELLO_MS = 10000, /* to the first message */
    AGENTS_RIVAL_MS = 5000,  /* the first of two connections answers within */
    AGENTS_BYE_MS = 5000,    /* to take our good-bye and close */
    AGENTS_PING_MS = 10000,  /* of own silence */
    AGENTS_GAP = 32,         /* before each message: libwebsockets puts its header there */
    AGENTS_TEXT = 512,
    AGENTS_LOOKUPS = 64,          /* records that are being looked up, before we read no more */
    AGENTS_CHECKS = 2,            /* results that are looked through in threads at the same time */
    AGENTS_STORE_BYTES = 2 << 20, /* of a connection's chunks that wait for the store */
    AGENTS_PIECES = 64,           /* of a connection, the same: full windows of all its results */
    AGENTS_PIECE_MIN = 4096,      /* bytes of a piece, but for the last of a result */
    AGENTS_FORGOTTEN = 64,        /* numbers of blobs that are over: chunks on their way may pass */
    AGENTS_RENEW_MS = 60000,      /* between two new certificates of a host */
};

struct agents {
    struct agents_settings settings;   /* `listen` and `name` are copies */
    struct agents_port *port;          /* NULL: no sockets (tests) */
    uv_timer_t *clock;                 /* freed in its close callback */
    struct list conns;                 /* of struct agent_conn: all */
    struct list hosts[AGENTS_BUCKETS]; /* of those that speak for their host */
    struct list blobs;                 /* of struct agent_blob: all */
    struct list checks;                /* of those that wait to be looked through */
    unsigned checking;
    struct list delays; /* of struct agent_delay: the oldest first */
    size_t delay_count;
    struct agent_room *room; /* it is being made */
    unsigned closes;         /* since memory was given back */
    bool closing;            /* nobody is let in any more */
};

enum agent_phase {
    AGENT_HELLO, /* its hello has not come */
    AGENT_RIVAL, /* it has; another connection of its host is being asked whether it lives */
    AGENT_OPEN,
    AGENT_BYE /* we have said good-bye; what it sends is not looked at */
};

/* Bits of the peer's capabilities. */
enum { AGENT_CAPTURE = 1, AGENT_BLOB = 2, AGENT_RENEW = 4, AGENT_UNLINK = 8, AGENT_LOG = 16 };

struct agent_conn {
    struct list link;      /* in agents->conns */
    struct list host_link; /* in agents->hosts, while it speaks for its host */
    struct agents *agents;
    struct lws *wsi; /* NULL: none (tests), or it is over */
    enum agent_phase phase;
    char host[UUID_TEXT];
    char name[LIMIT_NAME + 1];  /* of the host, for log lines */
    char process[UUID_TEXT];    /* `id` of its hello */
    json_t *hello;              /* of a rival, until it is let in */
    unsigned takes;             /* capabilities */
    int64_t certificate_from_s; /* each: 0: not known (tests) */
    int64_t certificate_until_s;
    uint64_t began_ms, heard_ms, said_ms, phase_ms; /* by uv_now() */

    struct agent_conn *rival; /* wants our place */
    struct agent_conn *first; /* has the place that we want */

    struct buf in;
    bool in_binary, in_started;
    struct list out; /* of struct agent_message */
    size_t out_bytes;

    struct list blobs;                    /* of struct agent_blob */
    uint32_t forgotten[AGENTS_FORGOTTEN]; /* the last so many of … */
    unsigned forgotten_count;             /* … these */
    size_t store_bytes;                   /* of chunks on their way to the disk */
    unsigned pieces;                      /* these chunks */
    struct list pending;                  /* of struct agent_pending */
    unsigned lookups;
    bool paused;
    bool deaf; /* it does not take what we say, or has had its time: it is being cut off */
    bool renewing, unlinking;
    bool said_close; /* of agents_listen.c: the close frame is out */
};

/* An answer that the store or another part owes to a connection, which may be over by then. */
struct agent_pending {
    struct list link;
    struct agent_conn *conn; /* NULL: it is over */
};

struct agent_message {
    struct list link;
    size_t len;
    unsigned char bytes[]; /* AGENTS_GAP, then the text */
};

/* ---- agents.c -------------------------------------------------------------------------------- */

/* Everything but the port. */
struct agents *agents_new(const struct agents_settings *settings);
void agents_tick(struct agents *a);

/* ---- agents_listen.c ------------------------------------------------------------------------- */

int agents_port_open(struct agents_port **ret_port, struct agents *a);
const char *agents_port_address(const struct agents_port *p);
void agents_port_close(
    struct agents_port *p); /* no more connections; those that are there may end, for a moment */
void agents_port_free(
    struct agents_port *p); /* ends them all; freed when libwebsockets is gone.  NULL is fine */

/* Takes the authority's certificate for handshakes from now on. */
int agents_port_renew(struct agents_port *p);

/* Once a second: who does not become a WebSocket in time is cut off. */
void agents_port_tick(struct agents_port *p, uint64_t now_ms);

/* Of one connection; each does nothing without one. */
void agents_wake(struct lws *wsi); /* there is something to be sent */
void agents_flow(struct lws *wsi, bool reads);
void agents_settled(struct lws *wsi); /* a newcomer no more */
void agents_kill(struct lws *wsi);    /* without another word */

/* ---- agents_conn.c --------------------------------------------------------------------------- */

/* A connection whose peer has shown the host's certificate. */
struct agent_conn *agent_conn_new(struct agents *a, struct lws *wsi, const char *host,
                                  int64_t certificate_until_s);

/* It is over; freed. */
void agent_conn_over(struct agent_conn *c);
/* Nobody is behind it any more; agent_conn_over() still comes. */
void agent_conn_abandon(struct agent_conn *c);

/* A piece of a message; `last`: the message is whole.  The connection may be saying good-bye
 * afterwards. */
void agent_conn_take(struct agent_conn *c, bool binary, const void *data, size_t len, bool last);

/* The next message to be sent, the caller's (free()); NULL: none.  When there is none and the
 * phase is AGENT_BYE, the connection is to be closed. */
struct agent_message *agent_conn_next(struct agent_conn *c);

void agent_conn_send(struct agent_conn *c, const char *type,
                     json_t *fields); /* borrowed; NULL: none */

/* Says why, in the log and to the peer, and closes. */
void agent_conn_end(struct agent_conn *c, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Its clock, once a second. */
void agent_conn_tick(struct agent_conn *c, uint64_t now_ms, int64_t wall_s);

/* Reads on or not, by what it has waiting. */
void agent_conn_flow(struct agent_conn *c);

/* The connection that speaks for a host; NULL: none. */
struct agent_conn *agents_find(struct agents *a, const char *host);

void agent_pending_add(struct agent_conn *c, struct agent_pending *p);
void agent_pending_drop(struct agent_pending *p); /* the answer has come */

/* ---- agents_talk.c --------------------------------------------------------------------------- */

/* A message that the table of channel.h lets pass, on an open connection.  0, or an error with a
 * sentence: it ends. */
int agent_talk(struct agent_conn *c, const char *type, const json_t *message, char *reterr_text,
               size_t size);
unsigned agent_capabilities(const json_t *list);
unsigned agent_capability(const char *name); /* its bit; 0: there is none of this name */
json_t *agent_our_capabilities(void);        /* the caller's */

/* ---- agents_blob.c --------------------------------------------------------------------------- */

int agent_blob_begin(struct agent_conn *c, const json_t *message, char *reterr_text, size_t size);
int agent_blob_end(struct agent_conn *c, const json_t *message, char *reterr_text, size_t size);
int agent_blob_chunk(struct agent_conn *c, const void *frame, size_t len, char *reterr_text,
                     size_t size);

/* The connection is over: what it has brought stays for the next. */
void agent_blobs_leave(struct agent_conn *c);
/* The console is shutting down: what takes time ends now, and its part stays. */
void agent_blobs_stop(struct agents *a);
/* Nothing is told to anybody any more. */
void agent_blobs_abandon(struct agents *a);

/* ---- agents_room.c --------------------------------------------------------------------------- */

/* Begins to make room for a result that the disk did not take; nothing when that is under way. */
void agent_room_make(struct agents *a, const char *capture, uint64_t stored_bytes);
void agent_room_abandon(struct agents *a);

/* ---- agents_delay.c -------------------------------------------------------------------------- */

/* What has this id (of a capture or a host) is not to come again for so long. */
void agent_delay_note(struct agents *a, const char *id, uint64_t ms);
/* 0: it may. */
uint64_t agent_delay_left(struct agents *a, const char *id);
void agent_delays_tick(struct agents *a, uint64_t now_ms);
void agent_delays_clear(struct agents *a);
