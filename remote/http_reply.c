/* Replies: their heads, and how their bytes go out. */
#include <assert.h>
#include <errno.h>
#include <libwebsockets.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/secure/hash.h"
#include "remote/http_private.h"

/* One TLS record: more in one write would be copied by libwebsockets. */
enum { PIECE = 16 << 10 };

enum {
    SMALL = 16 << 10, /* a reply that is made whatever else is held */
    HEADERS_ROOM = 2048,
};

/* What a client is told to wait when too much is held: some of those who do not read are gone then. */
static const char busy_s[] = "10";
static const char busy_text[] = "too much waits for slow clients, try again later";

/* On every reply.  A page of ours needs nothing but its own files and the API. */
static const char security_headers[] =
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "X-Frame-Options: DENY\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Opener-Policy: same-origin\r\n"
    "Cross-Origin-Resource-Policy: same-origin\r\n"
    "Permissions-Policy: camera=(), display-capture=(), geolocation=(), microphone=(), "
    "payment=(), usb=()\r\n";

/* ---- the head -------------------------------------------------------------------------------- */

static const char *status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } rows[] = {
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (rows[i].status == status)
            return rows[i].text;
    return "Status";
}

static int add_date(struct buf *out)
{
    char text[64];
    time_t now = time(NULL);
    struct tm tm;
    if (!gmtime_r(&now, &tm) || strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
        return 0;
    return buf_addf(out, "Date: %s\r\n", text);
}

/* Is it among these lines? */
static bool has_header(const struct buf *headers, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = buf_str(headers); *line; line += strcspn(line, "\n") + 1)
        if (strncasecmp(line, name, len) == 0 && line[len] == ':')
            return true;
    return false;
}

/* 204 and 304 have no body, and what a length would say of them is another one's.  HTTP/1.0 knows
 * no chunks: there the end of the connection is the end. */
static int add_length(struct buf *out, const struct http_exchange *x, int status, uint64_t length)
{
    if (status == 204 || status == 304)
        return 0;
    if (length != HTTP_LENGTH_UNKNOWN)
        return buf_addf(out, "Content-Length: %llu\r\n", (unsigned long long)length);
    return x->head.minor_0 ? 0 : buf_addstr(out, "Transfer-Encoding: chunked\r\n");
}

/* Everything before the body. */
static int add_head(struct buf *out, const struct http_exchange *x, int status, const char *type,
                    uint64_t length)
{
    int r = buf_addf(out, "HTTP/1.1 %d %s\r\n", status, status_text(status));
    if (r >= 0)
        r = add_date(out);
    if (r >= 0)
        r = buf_addstr(out, security_headers);
    if (r >= 0 && x->conn->http->hsts)
        r = buf_addstr(out, "Strict-Transport-Security: max-age=31536000\r\n");
    if (r >= 0 && !has_header(&x->headers, "Cache-Control"))
        r = buf_addstr(out, "Cache-Control: no-store\r\n");
    if (r >= 0)
        r = buf_addstr(out, buf_str(&x->headers));
    if (r >= 0 && type && status != 304)
        r = buf_addf(out, "Content-Type: %s\r\n", type);
    if (r >= 0)
        r = add_length(out, x, status, length);
    if (r >= 0)
        r = buf_addf(out, "Connection: %s\r\n\r\n", x->last ? "close" : "keep-alive");
    return r;
}

/* A value comes in part from outside (names of files): it must not begin another line. */
void http_header(struct http_request *r, const char *name, const char *value)
{
    struct http_exchange *x = r->exchange;
    char *line = xasprintf("%s: %s", name, value);
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '_';
    /* With room for all at once: what grows leaves copies behind, and cookies are among them. */
    char *room;
    (void)buf_reserve(&x->headers, HEADERS_ROOM, &room);
    if (buf_addf(&x->headers, "%s\r\n", line) < 0)
        log_warn(ERR_TOO_BIG, "%s %s: the header %s of the reply is left out",
                 http_method_name(r->method), r->path, name);
    secret_wipe(line, strlen(line));
    free(line);
}

/* ---- replies --------------------------------------------------------------------------------- */

/* The request has done its duty; what is secret in it goes now. */
static void begin_reply(struct http_exchange *x)
{
    assert(!x->replied);
    x->replied = true;
    if (x->request.body.len > 0)
        secret_wipe(x->request.body.data, x->request.body.len);
    buf_clear(&x->request.body);
    http_exchange_weigh(x);
}

static bool has_body(const struct http_exchange *x, int status)
{
    return !x->head_only && status != 204 && status != 304;
}

/* `x->out` becomes room for libwebsockets, the head, and `len` bytes; what follows is made by
 * the pump. */
static void put_out(struct http_exchange *x, const struct buf *head, const void *data, size_t len)
{
    x->out = xcalloc(1, LWS_PRE + head->len + len);
    memcpy(x->out + LWS_PRE, head->data, head->len);
    if (len > 0)
        memcpy(x->out + LWS_PRE + head->len, data, len);
    x->out_done = LWS_PRE;
    x->out_len = LWS_PRE + head->len + len;
    http_exchange_weigh(x);
}

static void make_out(struct http_exchange *x, int status, const char *type, uint64_t length,
                     const void *data, size_t len)
{
    struct buf head = BUF_INIT(4 * LIMIT_HTTP_HEAD);
    char *room;
    if (x->conn->http->closing || (length == HTTP_LENGTH_UNKNOWN && x->head.minor_0))
        x->last = true;
    /* At once, and wiped: cookies are among the headers. */
    int r = buf_reserve(&head, x->headers.len + HEADERS_ROOM, &room);
    if (r >= 0)
        r = add_head(&head, x, status, type, length);
    /* Its parts are bounded by LIMIT_HTTP_HEAD and texts of ours. */
    assert(r >= 0);
    put_out(x, &head, data, len);
    secret_wipe(head.data, head.len);
    buf_clear(&head);
}

/* A large reply that there is no room for: instead of it, a small one that says so.  The headers
 * were the other's. */
static bool refused_as_busy(struct http_exchange *x, int status, size_t len)
{
    if (!x->conn || !has_body(x, status) || len <= SMALL || http_has_room(x->http, len))
        return false;
    buf_reset(&x->headers);
    http_header(&x->request, "Retry-After", busy_s);
    http_reply_error(&x->request, ERR_BUSY, "%s", busy_text);
    return true;
}

void http_reply(struct http_request *r, int status, const char *type, const void *data, size_t len)
{
    struct http_exchange *x = r->exchange;
    if (refused_as_busy(x, status, len))
        return;
    begin_reply(x);
    if (!x->conn) {
        http_exchange_free(x);
        return;
    }
    make_out(x, status, type, len, data, has_body(x, status) ? len : 0);
    (void)lws_callback_on_writable(x->conn->wsi);
}

void http_reply_source(struct http_request *r, int status, const char *type, uint64_t length,
                       struct http_source *source)
{
    struct http_exchange *x = r->exchange;
    if (length > 0 && refused_as_busy(x, status, http_pump_weight(length) + 1)) {
        source->close(source);
        return;
    }
    begin_reply(x);
    if (!x->conn || !has_body(x, status) || length == 0) {
        source->close(source);
        if (!x->conn) {
            http_exchange_free(x);
            return;
        }
    } else {
        x->pump = http_pump_new(x, source, length, !x->head.minor_0);
        x->pump_length = length;
    }
    make_out(x, status, type, length, NULL, 0);
    if (x->pump)
        http_pump_start(x->pump);
    (void)lws_callback_on_writable(x->conn->wsi);
}

void http_reply_json(struct http_request *r, int status, const json_t *body)
{
    if (!body) {
        http_reply(r, status, NULL, NULL, 0);
        return;
    }
    /* Measured first: a text that grows leaves copies behind, and tokens are in some. */
    size_t len = json_dumpb(body, NULL, 0, JSON_COMPACT);
    if (len == 0) {
        http_reply_error(r, ERR_FAILED, "the reply is no JSON");
        return;
    }
    char *text = xcalloc(1, len);
    (void)json_dumpb(body, text, len, JSON_COMPACT);
    http_reply(r, status, "application/json", text, len);
    secret_wipe(text, len);
    free(text);
}

static int error_body(struct buf *out, int error, const char *text)
{
    int r = buf_addstr(out, "{\"error\":{\"name\":");
    if (r >= 0)
        r = buf_add_json_string(out, err_name(error));
    if (r >= 0)
        r = buf_addstr(out, ",\"message\":");
    if (r >= 0)
        r = buf_add_json_string(out, text);
    return r < 0 ? r : buf_addstr(out, "}}");
}

void http_reply_error(struct http_request *r, int error, const char *fmt, ...)
{
    AUTOBUF struct buf text = BUF_INIT(4096), body = BUF_INIT(3 * 4096);
    if (fmt) {
        va_list ap;
        va_start(ap, fmt);
        int e = buf_vaddf(&text, fmt, ap);
        va_end(ap);
        fmt = e < 0 ? NULL : buf_str(&text);
    }
    if (error_body(&body, error, fmt ? fmt : err_str(error)) < 0) {
        buf_reset(&body);
        (void)error_body(&body, error, err_str(error));
    }
    http_reply(r, http_status_of(error), "application/json", body.data, body.len);
}

/* ---- replies of ours ------------------------------------------------------------------------- */

void http_refuse(struct http_exchange *x, int status, const char *text)
{
    AUTOBUF struct buf body = BUF_INIT(4096);
    (void)error_body(&body, http_error_of(status), text);
    x->refused = true;
    x->last = true;
    http_reply(&x->request, status, "application/json", body.data, body.len);
}

void http_refuse_busy(struct http_exchange *x)
{
    http_header(&x->request, "Retry-After", busy_s);
    http_refuse(x, 503, busy_text);
}

/* RFC 6455, 4.2.2: SHA-1 of the key and a fixed text, in base64. */
static void accept_key(const char *key, char ret_accept[static 32])
{
    static const char fixed[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char hash[20];
    AUTOFREE char *text = xasprintf("%s%s", key, fixed);
    (void)lws_SHA1((const unsigned char *)text, strlen(text), hash);
    (void)lws_b64_encode_string((const char *)hash, sizeof hash, ret_accept, 32);
}

void http_reply_upgrade(struct http_exchange *x)
{
    char accept[32];
    AUTOBUF struct buf head = BUF_INIT(4096);
    accept_key(x->head.fields[HTTP_WS_KEY], accept);
    int r = buf_addf(&head,
                     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
                     accept, security_headers);
    assert(r >= 0);
    begin_reply(x);
    put_out(x, &head, NULL, 0);
    (void)lws_callback_on_writable(x->conn->wsi);
}

/* ---- sending --------------------------------------------------------------------------------- */

/* Then it calls again. */
static int write_piece(struct http_exchange *x, const char *data, size_t len)
{
    /* Raw: libwebsockets writes neither before nor into it. */
    if (lws_write(x->conn->wsi, (unsigned char *)data, len, LWS_WRITE_RAW) < 0)
        return -ECONNRESET;
    x->sent += len;
    (void)lws_callback_on_writable(x->conn->wsi);
    return 0;
}

static int write_out(struct http_exchange *x)
{
    size_t left = x->out_len - x->out_done;
    size_t len = left < PIECE ? left : PIECE;
    const char *data = x->out + x->out_done;
    x->out_done += len;
    return write_piece(x, data, len);
}

static int write_pump(struct http_exchange *x)
{
    const char *data;
    bool end = false;
    int len = http_pump_peek(x->pump, &data, &end);
    if (len < 0 || (len == 0 && !end))
        return len; /* it asks for the next callback when it has some */
    if (len > PIECE) {
        len = PIECE;
        end = false;
    }
    int r = len > 0 ? write_piece(x, data, (size_t)len) : 0;
    if (r < 0)
        return r;
    if (len > 0)
        http_pump_taken(x->pump, (size_t)len);
    if (end) {
        http_pump_drop(x->pump);
        x->pump = NULL;
        http_exchange_weigh(x);
        (void)lws_callback_on_writable(x->conn->wsi);
    }
    return 0;
}

int http_exchange_write(struct http_exchange *x)
{
    if (!x->replied)
        return 0;
    if (x->out_done < x->out_len)
        return write_out(x);
    if (x->pump)
        return write_pump(x);
    /* What libwebsockets had to keep goes first; it calls again. */
    return lws_partial_buffered(x->conn->wsi) ? 0 : 1;
}
