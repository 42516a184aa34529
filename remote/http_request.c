/* Heads become requests: checked, and refused where they are not for us. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/secure/hash.h"
#include "remote/http_listen.h"
#include "remote/http_private.h"
#include "remote/live_ws.h"

/* When there may be room for one more, or another server in our place. */
#define LATER_S "5"

/* Where upgrades go. */
static const char live_path[] = "/api/v1/live";

const char *http_method_name(enum http_method method)
{
    switch (method) {
    case HTTP_GET:
        return "GET";
    case HTTP_HEAD:
        return "HEAD";
    case HTTP_POST:
        return "POST";
    case HTTP_DELETE:
        return "DELETE";
    }
    return "?";
}

static bool read_method(struct http_exchange *x)
{
    static const enum http_method methods[] = {HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_DELETE};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (str_eq(x->head.method, http_method_name(methods[i]))) {
            x->request.method = methods[i];
            x->head_only = methods[i] == HTTP_HEAD;
            return true;
        }
    return false;
}

/* HTTP/1.1 goes on unless told otherwise, HTTP/1.0 the other way round. */
static bool is_last(const struct http_head *head)
{
    const char *connection = head->fields[HTTP_CONNECTION];
    if (http_list_has(connection, "close"))
        return true;
    return head->minor_0 && !http_list_has(connection, "keep-alive");
}

/* ---- checks: 0, or the status to refuse with ------------------------------------------------- */

/* Who is meant, and whose page asks. */
static int check_source(const struct http *h, const struct http_request *r,
                        const char **reterr_text)
{
    struct http_host parsed;
    if (!r->host || http_host_parse(r->host, &parsed) < 0) {
        *reterr_text = "the Host header is missing or no host";
        return 400;
    }
    if (!http_host_allowed(r->host, http_address(h), (const char *const *)h->names)) {
        *reterr_text = "this server is not known by the name in the Host header";
        return 421;
    }
    if (!http_origin_allowed(r->origin, r->host)) {
        *reterr_text = "the Origin header names another site";
        return 403;
    }
    return 0;
}

static int check_method(struct http_exchange *x, const char **reterr_text)
{
    if (read_method(x))
        return 0;
    *reterr_text = "only GET, HEAD, POST and DELETE are answered";
    http_header(&x->request, "Allow", "GET, HEAD, POST, DELETE");
    return 405;
}

/* The length of the body, before any of it is read. */
static int check_body(struct http_exchange *x, const char **reterr_text)
{
    const struct http_settings *s = &x->http->settings;
    size_t limit = s->body_limit ? s->body_limit(&x->request) : LIMIT_HTTP_BODY;
    const char *length = x->head.fields[HTTP_CONTENT_LENGTH];
    bool posts = x->request.method == HTTP_POST;
    *reterr_text = "a body must be announced with Content-Length, without Transfer-Encoding";
    if (x->head.fields[HTTP_TRANSFER_ENCODING] || (posts && !length))
        return 411;
    int r = length ? http_length_parse(length, &x->body_bytes) : 0;
    *reterr_text = "Content-Length is no number";
    if (r == ERR_SYNTAX)
        return 400;
    *reterr_text = "only POST may bring a body";
    if (!posts && (r < 0 || x->body_bytes > 0))
        return 400;
    *reterr_text = "the body is larger than the limit set for it";
    return r < 0 || x->body_bytes > limit ? 413 : 0;
}

/* An upgrade to anything but a WebSocket where there is one is no wish that must be heard. */
static bool wants_live(const struct http_exchange *x)
{
    return x->conn->http->settings.live && str_eq(x->request.path, live_path) &&
           http_list_has(x->head.fields[HTTP_UPGRADE], "websocket") &&
           http_list_has(x->head.fields[HTTP_CONNECTION], "upgrade");
}

static int check_live(const struct http_exchange *x, const char **reterr_text)
{
    const struct http_request *r = &x->request;
    const char *key = x->head.fields[HTTP_WS_KEY];
    *reterr_text = "a WebSocket begins with GET, a key, and version 13";
    if (r->method != HTTP_GET || x->head.minor_0 || !key || strlen(key) != 24 ||
        !str_eq(x->head.fields[HTTP_WS_VERSION], "13"))
        return 400;
    *reterr_text = "log in first";
    if (!r->cookie && !r->authorization)
        return 401;
    *reterr_text = "too many are looking already";
    return live_has_room(x->conn->http->settings.live) ? 0 : 503;
}

static int check(struct http_exchange *x, const char **reterr_text)
{
    const struct http *h = x->conn->http;
    int status = check_source(h, &x->request, reterr_text);
    if (status == 0)
        status = check_method(x, reterr_text);
    if (status == 0)
        status = check_body(x, reterr_text);
    if (status == 0 && h->closing) {
        *reterr_text = "the server is shutting down";
        status = 503;
    }
    if (status == 0 && wants_live(x)) {
        status = check_live(x, reterr_text);
        x->upgrade = status == 0;
    }
    return status;
}

/* ---- a request's life ------------------------------------------------------------------------ */

static void fill(struct http_exchange *x)
{
    struct http_request *r = &x->request;
    char **fields = x->head.fields;
    r->path = x->head.path;
    r->query = x->head.query;
    r->host = fields[HTTP_HOST];
    r->origin = fields[HTTP_ORIGIN];
    r->cookie = fields[HTTP_COOKIE];
    r->authorization = fields[HTTP_AUTHORIZATION];
    r->csrf = fields[HTTP_CSRF];
    r->content_type = fields[HTTP_CONTENT_TYPE];
    r->if_none_match = fields[HTTP_IF_NONE_MATCH];
    r->accept_encoding = fields[HTTP_ACCEPT_ENCODING];
}

static int parse(struct http_exchange *x, const char *head, size_t len, const char **reterr_text)
{
    *reterr_text = "the head is larger than the limit set for it";
    if (!head)
        return 431;
    x->text = xcalloc(1, len + 1);
    x->text_len = len;
    memcpy(x->text, head, len);
    return http_head_parse(x->text, len, &x->head, reterr_text);
}

static void refuse(struct http_exchange *x, int status, const char *text)
{
    const struct http_settings *s = &x->http->settings;
    log_debug("%s: refused with %d: %s", x->request.address, status, text);
    if (status == 403 && s->refused)
        s->refused(s->arg, &x->request, text);
    if (status == 503)
        http_header(&x->request, "Retry-After", LATER_S);
    http_refuse(x, status, text);
}

struct http_exchange *http_request_new(struct http_conn *c, const char *head, size_t len)
{
    struct http_exchange *x = xcalloc(1, sizeof *x);
    const char *text;
    x->conn = c;
    x->http = c->http;
    list_add(&c->http->all, &x->link, x);
    x->request.exchange = x;
    buf_init(&x->headers, LIMIT_HTTP_HEAD);
    buf_init(&x->request.body, LIMIT_HTTP_BODY);
    (void)snprintf(x->request.address, sizeof x->request.address, "%s", http_listener_peer(c->wsi));
    int status = parse(x, head, len, &text);
    if (status == 0) {
        fill(x);
        x->last = is_last(&x->head);
        status = check(x, &text);
    }
    if (status != 0) {
        refuse(x, status, text);
    } else if (!http_has_room(x->http, (size_t)x->body_bytes)) {
        http_refuse_busy(x);
    } else if (x->upgrade) {
        http_reply_upgrade(x);
    }
    return x;
}

bool http_request_has_more(const struct http_exchange *x)
{
    /* A head that could not be read says nothing of what follows. */
    bool unread = !x->request.path;
    return unread || x->head.fields[HTTP_CONTENT_LENGTH] || x->head.fields[HTTP_TRANSFER_ENCODING];
}

void http_request_run(struct http_exchange *x)
{
    const struct http *h = x->conn->http;
    x->handed = true;
    h->settings.handler(h->settings.arg, &x->request);
}

void http_exchange_detach(struct http_exchange *x)
{
    x->conn = NULL;
    /* The handler still has it: http_reply() frees it. */
    if (!x->handed || x->replied)
        http_exchange_free(x);
}

void http_exchange_weigh(struct http_exchange *x)
{
    size_t now = x->request.body.cap + x->out_len;
    if (x->pump)
        now += http_pump_weight(x->pump_length);
    if (!x->http)
        return;
    x->http->held += now - x->held;
    x->held = now;
}

bool http_has_room(const struct http *h, size_t more)
{
    return h->held <= h->most_bytes && more <= h->most_bytes - h->held;
}

static void wipe(char *data, size_t len)
{
    if (data)
        secret_wipe(data, len);
}

/* Passwords, cookies and tokens do not stay in freed memory. */
void http_exchange_free(struct http_exchange *x)
{
    if (x->http)
        x->http->held -= x->held;
    list_remove(&x->link);
    if (x->pump)
        http_pump_drop(x->pump);
    wipe(x->request.body.data, x->request.body.len);
    buf_clear(&x->request.body);
    http_head_clear(&x->head);
    wipe(x->text, x->text_len);
    free(x->text);
    wipe(x->headers.data, x->headers.len);
    buf_clear(&x->headers);
    wipe(x->out, x->out_len);
    free(x->out);
    free(x);
}
