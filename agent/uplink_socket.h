/* uplink_socket.h -- one WebSocket over TLS to the console: all that touches libwebsockets (rules: no extensions, HTTP/1.1, no
 * pings of its own, a context that is destroyed twice).
 *
 * Frames are handed on in the pieces in which they come, and written one at a time, when the socket takes more.  Which console it
 * must be and who we are is set by uplink_context_use(). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct identity;
struct lws;
struct uplink_context;

/* One per agent, made before the first connection and not earlier: an agent that is not linked does without.  NULL with a sentence
 * when libwebsockets has no glue for libuv here (package libwebsockets-evlib-uv), or is out of memory. */
struct uplink_context *uplink_context_new(uv_loop_t *loop, char *reterr_text, size_t size);

/* New connections show this certificate, and want a console by its CA, for the host of `agents`.  Those that are up stay as they
 * are.  0 or an error of lib/secure/tls.h. */
int uplink_context_use(struct uplink_context *c, const struct identity *id, const char *host);

/* Begins its end, when there is no connection any more; the loop then comes to an end. */
void uplink_context_close(struct uplink_context *c);
/* After the loop. */
void uplink_context_free(struct uplink_context *c);

struct uplink_socket_callbacks {
    void (*on_open)(void *arg);
    void (*on_data)(void *arg, const char *data, size_t len, bool binary, bool final);
    /* The socket takes one frame, written with uplink_socket_write() in here. */
    void (*on_room)(void *arg);
    /* It is over, whoever ended it, or was not made: then with an error and why.  The storage may go.  Comes from
     * the loop, or from uplink_socket_kill(). */
    void (*on_closed)(void *arg, int r, const char *text);
};

struct uplink_socket {
    struct lws *wsi; /* NULL: no connection */
    const struct uplink_socket_callbacks *callbacks;
    void *arg;
    bool starting; /* inside uplink_socket_open() */
    bool secured;  /* the TLS handshake is over, as far as this side can tell */
    bool open;
    bool ending; /* the close frame goes out as soon as there is room */
    bool failed; /* a frame could not be written */
};

/* Connects to wss://address:port/; `address` is numeric, `host` the name, for the Host header ("name:port"). 0, or an error with a
 * sentence; then no callback comes. */
int uplink_socket_open(struct uplink_socket *s, struct uplink_context *c, const char *address,
                       unsigned port, const char *host,
                       const struct uplink_socket_callbacks *callbacks, void *arg,
                       char *reterr_text, size_t size);

/* Calls on_room() soon. */
void uplink_socket_want_room(struct uplink_socket *s);

/* Writes one whole frame, once per on_room(); UPLINK_GAP bytes before `bytes` are overwritten, the frame itself too. */
void uplink_socket_write(struct uplink_socket *s, char *bytes, size_t len, bool binary);

/* Sends a close frame; on_closed() comes when the console's has come. */
void uplink_socket_end(struct uplink_socket *s);

/* Ends the TCP connection, also one that is still being made; not from the callbacks. */
void uplink_socket_kill(struct uplink_socket *s);
