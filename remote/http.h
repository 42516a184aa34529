/* http.h -- the web port: HTTPS, requests in, replies out; TLS by libwebsockets.
 *
 * It knows limits, time-outs, Host and Origin, and how bytes are sent; what a path means is the
 * handler's business (api.h). Every reply carries the security headers.  HTTP/1.1 only, uploads
 * with Content-Length only, no extensions. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "lib/base/buf.h"

struct live;

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_DELETE };
const char *http_method_name(enum http_method method);

/* One request, whole.  It stays until it is replied to, also when its client has gone: the reply
 * then goes nowhere. */
struct http_request {
    enum http_method method;
    /* As sent: "/api/v1/hosts"; begins with a slash; its escapes are sound, and none is %00. */
    char *path;
    /* As sent, without the "?"; "" when there is none; likewise. */
    char *query;
    /* NULL: absent. */
    char *host, *origin, *cookie, *authorization, *csrf, *content_type, *if_none_match,
        *accept_encoding;
    char address[64]; /* the client's, without port */
    struct buf body;  /* LIMIT_HTTP_BODY at most, or what `body_limit` of the settings says */
    /* private */
    struct http_exchange *exchange;
};

/* Called once per request that passed the checks of this file.  It must be replied to exactly
 * once, now or later. */
typedef void (*http_handler_cb)(void *arg, struct http_request *r);

/* A header of the reply to come: Set-Cookie, Retry-After, ETag, Vary, Content-Disposition,
 * Content-Encoding, Cache-Control (default: no-store). */
void http_header(struct http_request *r, const char *name, const char *value);

/* Each replies and frees the request.  `data` is copied.  When too much waits for slow clients
 * (LIMIT_HTTP_BYTES), a large reply becomes 503 with Retry-After. */
void http_reply(struct http_request *r, int status, const char *type, const void *data, size_t len);
/* `body` is borrowed; NULL with 204. */
void http_reply_json(struct http_request *r, int status, const json_t *body);

/* {"error": {"name": err_name(error), "message": text}} with http_status_of(error).  `fmt` NULL:
 * err_str(). */
void http_reply_error(struct http_request *r, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The one table of statuses: INVALID, SYNTAX, USAGE 400, LOGIN 401, DENIED, POLICY 403, NOT_FOUND
 * 404, what the present state does not allow (EXISTS, NOT_RUNNING, UNSUPPORTED, UNSUPPORTED_VERSION,
 * REVOKED, EXPIRED, CANCELLED, FULL) 409, TOO_BIG 413, TOO_MANY 429, BUSY, UNREACHABLE, STOPPING,
 * NOT_READY 503, ENOSPC 507, others 500. */
int http_status_of(int error);
/* The error that is named in a reply of ours with this status. */
int http_error_of(int status);

/* Bytes made piece by piece while the client takes them: a pause of the client pauses the source.
 * Those of a known length are made in a thread; those of HTTP_LENGTH_UNKNOWN on the loop, one small
 * piece when the one before it is out: read() must not block then. */
#define HTTP_LENGTH_UNKNOWN UINT64_MAX
struct http_source {
    /* Fills up to `size` bytes; returns how many, 0 at the end, or an error (the connection is then
     * cut off, as the client must not take what it has for whole). */
    int (*read)(struct http_source *s, void *out, size_t size);
    /* On the loop, exactly once, also when nothing was read; perhaps inside http_reply_source(). */
    void (*close)(struct http_source *s);
};
void http_reply_source(struct http_request *r, int status, const char *type, uint64_t length,
                       struct http_source *source);

/* ---- the server ------------------------------------------------------------------------------ */

/* A listening socket of ours and the context of libwebsockets that web port and agent port
 * share. */
struct http_settings {
    const char *listen; /* "127.0.0.1:7443", "[::1]:0" */
    /* What Host may say besides the listening address and loopback; NULL-terminated. */
    const char *const *names;
    const char *cert_pem, *chain_pem, *key_pem;
    http_handler_cb handler;
    void *arg;
    struct live *live; /* takes upgrades of /api/v1/live; NULL: none */
    /* "host:port" that browsers see instead of `listen`; NULL: that.  Only on port 443 are they told
     * to come by HTTPS for ever: that goes for all ports of a name, which may be others' business. */
    const char *public_address;
    /* How large the body of a request may be, by its head alone; NULL: LIMIT_HTTP_BODY. */
    size_t (*body_limit)(const struct http_request *r);
    /* Told of requests that this file refused with 403; with the handler's `arg`; may be NULL. */
    void (*refused)(void *arg, const struct http_request *r, const char *text);
    /* For tests; 0: the limits of limits.h. */
    unsigned silent_s, most_connections, most_of_one;
    size_t most_bytes;
};

struct http;

/* Makes the context on our loop, the vhost, and listens.  Errors: -EADDRINUSE, …, ERR_INVALID
 * (an address that is none), ERR_FAILED (the certificate; then the loop must run once more, as
 * something is still closing). */
int http_open(struct http **ret_http, uv_loop_t *loop, const struct http_settings *settings);

/* "127.0.0.1:41234": where it really listens.  Borrowed. */
const char *http_address(const struct http *h);

/* struct lws_context *, for agents.h, which adds its own vhost to it. */
void *http_context(struct http *h);

/* Another certificate for the handshakes from now on; connections that are up are not disturbed.
 * On an error (ERR_INVALID, …) the old one stays. */
int http_renew(struct http *h, const char *cert_pem, const char *chain_pem, const char *key_pem);

/* Stops taking requests, lets replies finish for up to 2 s, then destroys the context (its
 * vhosts and connections with it) and calls `closed`. */
void http_close(struct http *h, void (*closed)(void *arg), void *arg);

/* ---- checks, pure ---------------------------------------------------------------------------- */

/* May a request with this Host come to a server that listens at `address` and has these names?
 * Any port is fine for a name that a proxy or a tunnel may stand before; names are compared
 * without case. */
bool http_host_allowed(const char *host, const char *address, const char *const *names);

/* Is it a request of our own pages (or of no page at all)?  `origin` NULL: no browser said where
 * it comes from. */
bool http_origin_allowed(const char *origin, const char *host);
