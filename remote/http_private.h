/* http_private.h -- what the files http_*.c share; nobody else includes it (but tests).
 *
 *     http.c          the context, its callbacks, opening and closing
 *     http_listen.c   sockets → connections, counted
 *     http_conn.c     a connection's bytes → requests, one after the other; time limits
 *     http_head.c     bytes → struct http_head (pure)
 *     http_request.c  head → struct http_exchange, checked; http_host.c: Host and Origin (pure)
 *     http_reply.c    replies → bytes; http_status.c: errors and statuses (pure)
 *     http_pump.c     sources → bytes
 *     http_ending.c   the end
 *
 * libwebsockets does TLS and the loop; HTTP is ours.  Its own (4.1.6) loses what a client sends
 * before it has the reply to its last request, answers bad requests with pages of its own, and
 * does not write while it is told not to read. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "lib/base/buf.h"
#include "lib/base/list.h"
#include "remote/http.h"
#include "remote/http_head.h"

struct live_viewer;
struct lws;
struct lws_context;
struct lws_vhost;
struct http_ending;
struct http_listener;
struct http_pump;

struct http {
    uv_loop_t *loop;
    struct http_settings settings; /* what was borrowed is NULL */
    char **names;
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct http_listener *listener;
    void *ssl_ctx;     /* of the vhost */
    struct list conns; /* of struct http_conn */
    struct list all;   /* of struct http_exchange: also those whose connection is gone */
    size_t held;       /* bytes of all of them: bodies, and replies that are not taken */
    size_t most_bytes;
    bool hsts;
    unsigned exchanges; /* with a connection */
    unsigned pumps;     /* sources that are not closed yet; they end before we do */
    uv_timer_t watch;   /* time limits of connections */
    bool closing;
    struct http_ending *ending;
};

/* What a connection waits for. */
enum http_phase {
    CONN_HEAD,  /* the head of a request, or its first byte */
    CONN_BODY,  /* the rest of its body */
    CONN_REPLY, /* our handler, then the client to take the reply; nothing is read */
    CONN_DROP,  /* the client to see a refusal; what it still sends is thrown away */
    CONN_LIVE,  /* a WebSocket */
};

struct http_conn {
    struct http *http;
    struct lws *wsi;
    struct list link; /* in http->conns */
    enum http_phase phase;
    struct buf in;  /* received, not used yet */
    size_t scanned; /* of `in`, for the end of the head */
    size_t dropped;
    size_t taken;         /* of a reply, since its time was set */
    uint64_t deadline_ms; /* by uv_now(); 0: none */
    bool begun;           /* the head's first byte has come: its time runs */
    bool over;            /* to be closed */
    struct http_exchange *exchange;
    struct live_viewer *viewer;
};

/* One request and its reply.  It belongs to the connection until the request is whole, then to
 * the handler until that has replied, then to the connection again until all is sent. */
struct http_exchange {
    struct http_request request;
    struct http *http;      /* NULL: it is gone */
    struct list link;       /* in http->all */
    size_t held;            /* of http->held */
    struct http_conn *conn; /* NULL: it is gone */
    char *text;             /* the head's bytes; `head` is made of them */
    size_t text_len;
    struct http_head head;

    bool head_only;       /* HEAD */
    bool last;            /* the connection closes after the reply */
    bool refused;         /* the reply is ours */
    bool upgrade;         /* the reply is 101, and a viewer comes after it */
    uint64_t body_bytes;  /* announced */
    bool handed, replied; /* the handler has it; it has replied */

    struct buf headers; /* of http_header() */
    char *out;          /* room for libwebsockets, head, body */
    size_t out_len, out_done;
    uint64_t sent;          /* of all */
    struct http_pump *pump; /* what follows after `out`; of `pump_length` bytes */
    uint64_t pump_length;
};

/* ---- http_host.c: pure ----------------------------------------------------------------------- */

enum http_host_kind { HTTP_HOST_NAME, HTTP_HOST_IPV4, HTTP_HOST_IPV6 };

/* What Host says, and Origin after "https://". */
struct http_host {
    enum http_host_kind kind;
    char name[256];    /* lower case, of HTTP_HOST_NAME */
    uint8_t bytes[16]; /* of an address */
    unsigned port;     /* 0: not said */
};

/* 0 or ERR_SYNTAX: anything but one name or address with or without a port, also a name that
 * browsers read as a number. */
int http_host_parse(const char *text, struct http_host *ret_host);

/* Content-Length: digits only.  0, ERR_SYNTAX, or ERR_TOO_BIG past 2^53. */
int http_length_parse(const char *text, uint64_t *ret_length);

/* ---- http_request.c -------------------------------------------------------------------------- */

/* Of a head that is whole (`len` bytes, copied), or NULL: one that is too long.  Checked: when
 * it is refused, the reply is made already. */
struct http_exchange *http_request_new(struct http_conn *c, const char *head, size_t len);

/* Gives a whole request to the handler. */
void http_request_run(struct http_exchange *x);

/* Of a refused one: may the client still be sending it? */
bool http_request_has_more(const struct http_exchange *x);

void http_exchange_free(struct http_exchange *x);

/* The connection is gone. */
void http_exchange_detach(struct http_exchange *x);

/* Its bytes are counted anew, after they have become more or less. */
void http_exchange_weigh(struct http_exchange *x);

/* May so many more bytes be held? */
bool http_has_room(const struct http *h, size_t more);

/* ---- http_reply.c ---------------------------------------------------------------------------- */

/* A reply of our own, for a request that must not be repeated as it is: the connection closes
 * after it. */
void http_refuse(struct http_exchange *x, int status, const char *text);

/* The same with 503 and Retry-After: too much is held. */
void http_refuse_busy(struct http_exchange *x);

/* 101, with the answer to the key. */
void http_reply_upgrade(struct http_exchange *x);

/* The connection takes bytes again.  0, 1 when all is sent (and handed to the kernel), or an
 * error: close. */
int http_exchange_write(struct http_exchange *x);

/* ---- http_conn.c ----------------------------------------------------------------------------- */

struct http_conn *http_conn_new(struct http *h, struct lws *wsi);
/* Each returns what libwebsockets wants: non-zero closes. */
int http_conn_received(struct http_conn *c, const void *data, size_t len);
int http_conn_writeable(struct http_conn *c);
void http_conn_gone(struct http_conn *c);
/* A source has the next bytes of the reply: the client's time goes on. */
void http_conn_has_more(struct http_conn *c);
/* Once a second: closes those whose time is over. */
void http_conn_watch(struct http_conn *c);

/* ---- http_pump.c ----------------------------------------------------------------------------- */

/* `length` HTTP_LENGTH_UNKNOWN: pieces are made on the loop; `chunked`: each as a chunk, with one
 * that says the end. */
struct http_pump *http_pump_new(struct http_exchange *x, struct http_source *source,
                                uint64_t length, bool chunked);
/* What one for this length takes in memory. */
size_t http_pump_weight(uint64_t length);
/* Begins to read ahead. */
void http_pump_start(struct http_pump *p);
/* The bytes to send now: their number, 0 when there are none (yet, or at the end), or an error.
 * `*ret_end`: nothing will follow after them. */
int http_pump_peek(struct http_pump *p, const char **ret_data, bool *ret_end);
void http_pump_taken(struct http_pump *p, size_t len);
/* The exchange does not need it any more; it frees itself when its thread is done. */
void http_pump_drop(struct http_pump *p);
