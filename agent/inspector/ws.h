/* ws.h -- one client WebSocket to a port on loopback: our only use of libwebsockets in the probe.
 *
 * Text messages only.  No extensions and no pings: an inspector drops the socket for either.  Redirects and proxies are
 * not followed.  What comes is handed on in pieces of at most 64 KiB, never collected. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct lws;
struct lws_context;

enum {
    WS_PIECE = 65536,  /* the largest piece that on_data gets */
    WS_MESSAGE = 4096, /* the largest message that we send */
    WS_QUEUE = 8,      /* messages that wait to be sent */
};

/* One per program; NULL when libwebsockets has no glue for libuv here (package libwebsockets-evlib-uv). */
struct lws_context *ws_context_new(uv_loop_t *loop);

/* Frees it.  Runs the loop until nothing is left in it, so that all other handles must be closed or closing before. */
void ws_context_free(struct lws_context *context, uv_loop_t *loop);

struct ws_callbacks {
    /* The connection stands (`r` is 0), or will not: then nothing else follows, and `status` is the HTTP status when there
     * was one, else 0. */
    void (*on_open)(void *arg, int r, int status);
    void (*on_data)(void *arg, const char *data, size_t len, bool final);
    /* The connection is over, whoever ended it.  The storage may go. */
    void (*on_closed)(void *arg);
};

struct ws_text {
    size_t len;
    char *bytes; /* behind a gap that libwebsockets fills */
};

struct ws {
    struct lws *wsi; /* NULL: no connection */
    const struct ws_callbacks *callbacks;
    void *arg;
    struct ws_text queue[WS_QUEUE];
    unsigned queued;
    bool starting; /* inside ws_open() */
    bool open;
    bool closing; /* the close frame goes out when the queue is empty */
};

/* Starts to connect to ws://127.0.0.1:port/path.  Returns 0, or an error; then no callback comes. */
int ws_open(struct ws *w, struct lws_context *context, unsigned port, const char *path,
            const struct ws_callbacks *callbacks, void *arg);

/* Queues one text message.  Returns 0, ERR_TOO_BIG, or -EPIPE on a connection that is closing. */
int ws_send(struct ws *w, const char *text, size_t len);

/* Sends what is queued and a close frame, then waits for the peer's: on_closed tells.  Twice is fine. */
void ws_close(struct ws *w);

/* Ends the TCP connection, also one that is still being opened; on_closed (or on_open with an error) comes from the loop. */
void ws_kill(struct ws *w);

/* Forgets the connection: no callback comes any more, the storage may go.  It ends with the context at the latest. */
void ws_forget(struct ws *w);
