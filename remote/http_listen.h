/* http_listen.h -- listening sockets of our own for vhosts of libwebsockets, with limits that it
 * does not have.
 *
 * The socket, the accepting and the counting are ours (uv_poll, accept4); each connection is
 * then adopted into a vhost that was made with CONTEXT_PORT_NO_LISTEN_SERVER.  Both ports of the
 * console use it: web (http.c) and agents (agents.c).
 *
 * What the vhost's first protocol must do (libwebsockets sends this one to protocols[0], whatever
 * the connection became):
 *
 *     case LWS_CALLBACK_WSI_DESTROY:                    counts the connection down, exactly once
 *         http_listener_gone(wsi);
 *         return 0;
 *
 * and, where a connection stops being a newcomer (agents: its first message was good):
 * http_listener_settled(wsi). The opaque user data of these connections
 * (lws_get_opaque_user_data) belongs to this file; a protocol's own things go into its session
 * data. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct lws;
struct lws_vhost;
struct http_listener;

struct lws_protocol_vhost_options;

/* Longest "host:port" that is taken, and the longest address without its port. */
enum { HTTP_LISTEN_TEXT = 300, HTTP_ADDRESS_TEXT = 64 };

/* pt_serv_buf_size of the context: what is read from a connection at once. */
enum { HTTP_SERVICE_BUFFER = 64 << 10 };

struct http_listener_settings {
    uv_loop_t *loop;
    const char *listen; /* "127.0.0.1:7443", "[::1]:0", "localhost:7443"; port 0: any free one */
    struct lws_vhost *vhost; /* takes the connections; NULL: set later by http_listener_start() */
    const char *what;        /* for log lines: "web port"; a literal */
    bool raw;                /* bytes over TLS (LWS_CALLBACK_RAW_…) instead of its HTTP */
    unsigned most;           /* connections open at the same time, settled ones too; 0: no limit */
    unsigned most_new;       /* of them not settled; 0: no limit */
    unsigned most_of_one;    /* … from one address (IPv6: one /64); 0: no limit */
};

/* Binds and listens (SO_REUSEADDR), and starts to accept when there is a vhost.  Errors:
 * ERR_INVALID (no address, or a host name that is not "localhost"), -EADDRINUSE, -EACCES, …  A
 * connection over a limit is closed at once, without a word, which is logged at most once a
 * minute.  Without free descriptors accepting pauses for a moment. */
int http_listener_open(struct http_listener **ret_listener,
                       const struct http_listener_settings *settings);

/* Accepts into this vhost from now on.  0 or what uv_poll_start() returns. */
int http_listener_start(struct http_listener *l, struct lws_vhost *vhost);

/* "127.0.0.1:41234", "[::1]:7443": where it really listens.  Borrowed. */
const char *http_listener_address(const struct http_listener *l);

/* Connections open now, and those of them that are not settled. */
unsigned http_listener_count(const struct http_listener *l);
unsigned http_listener_new_count(const struct http_listener *l);

/* Accepts no more and closes the socket; idempotent.  What is open stays open and is counted
 * down as before. */
void http_listener_close(struct http_listener *l);

/* After the context of libwebsockets is gone (so that nothing is counted down any more) and
 * after http_listener_close(): frees it as soon as the loop has closed its handles.  NULL is
 * fine. */
void http_listener_free(struct http_listener *l);

/* ---- of one connection ----------------------------------------------------------------------- */

/* The peer's address without port, "127.0.0.1"; "" for a connection that did not come through
 * here.  Borrowed while it is open. */
const char *http_listener_peer(struct lws *wsi);

/* It counts as a newcomer no more (and against its address no more); again: nothing happens. */
void http_listener_settled(struct lws *wsi);

/* It is over: LWS_CALLBACK_WSI_DESTROY. */
void http_listener_gone(struct lws *wsi);

/* libwebsockets answers some bad requests itself, with pages of its own.  As `headers` of a
 * vhost, this makes each of those fail before anything is sent, so that the connection just
 * closes; upgrades to WebSocket and what we write ourselves do not use it. */
const struct lws_protocol_vhost_options *http_listener_no_pages(void);

/* libwebsockets 4.1.6 makes a client's SSL_CTX for each vhost, also of a server, and with two contexts in one process does
 * not free it.  It is never used and made once per process; remembered here (from LWS_CALLBACK_OPENSSL_LOAD_EXTRA_CLIENT_…)
 * it is no leak for those who look for leaks. */
void http_listener_remember(void *ssl_ctx);

/* ---- pure ------------------------------------------------------------------------------------ */

/* "host:port" as said on a command line, into a socket address: IPv4, [IPv6], or "localhost"
 * (127.0.0.1).  0 or ERR_INVALID. */
int http_listen_parse(const char *text, struct sockaddr_storage *ret_address);
