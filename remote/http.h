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
    struct buf body;  /* LIMIT_HTTP_BODY at most */
    /* private */
    struct http_exchange *exchange;
};

/* Called once per request that passed the checks of this file.  It must be replied to exactly
 * once, now or later. */
typedef void (*http_handler_cb)(void *arg, struct http_request *r);

/* A header of the reply to come: Set-Cookie, Retry-After, ETag, Vary, Content-Disposition,
 * Content-Encoding, Cache-Control (default: no-store). */
void http_header(struct http_request *r, const char *name, const char *value);

/* Each replies and frees the request.  `data` is copied. */
void http_reply(struct http_request *r, int status, const char *type, const void *data, size_t len);
/* `body` is borrowed; NULL with 204. */
void http_reply_json(struct http_request *r, int status, const json_t *body);

/* {"error": {"name": err_name(error), "message": text}} with the status that belongs to the
 * error: INVALID, SYNTAX 400, LOGIN 401, DENIED 403, NOT_FOUND 404, EXISTS, NOT_RUNNING, REVOKED
 * 409, TOO_BIG 413, UNSUPPORTED 422, TOO_MANY 429, BUSY, UNREACHABLE, STOPPING 503, ENOSPC 507,
 * others 500.  `fmt` NULL: err_str(). */
void http_reply_error(struct http_request *r, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Bytes of known length, made piece by piece in a thread while the client takes them: a pause of
 * the client pauses the source. */
struct http_source {
    /* In a thread: fills up to `size` bytes; returns how many, 0 at the end, or an error (the
     * connection is then cut off, as a length was promised). */
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
    /* For tests; 0: the limits of limits.h. */
    unsigned silent_s, most_connections, most_of_one;
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
