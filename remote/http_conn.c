/* One connection: its bytes become requests, one after the other, each replied to before the
 * next is looked at. */
#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/secure/hash.h"
#include "remote/http_listen.h"
#include "remote/http_private.h"
#include "remote/live_ws.h"

enum {
    /* After a refusal that did not wait for the whole request: how long, and how much more of it
     * we take in, so that the client reads our reply before its connection breaks. */
    DROP_MS = 2000,
    DROP_BYTES = 1 << 20,
    BLANK_BYTES =
        64, /* empty lines before a request; RFC 9112 asks for patience with some clients' */
};

static int advance(struct http_conn *c);

static void wait_ms(struct http_conn *c, uint64_t ms)
{
    c->deadline_ms = uv_now(c->http->loop) + ms;
}

static uint64_t silent_ms(const struct http_conn *c)
{
    return 1000ull * c->http->settings.silent_s;
}

struct http_conn *http_conn_new(struct http *h, struct lws *wsi)
{
    struct http_conn *c = xcalloc(1, sizeof *c);
    c->http = h;
    c->wsi = wsi;
    /* One read at most comes while a request is being replied to. */
    buf_init(&c->in, LIMIT_HTTP_HEAD + 2 * HTTP_SERVICE_BUFFER);
    list_add(&h->conns, &c->link, c);
    /* TLS, too. */
    wait_ms(c, silent_ms(c));
    return c;
}

/* Bytes that were used: passwords and cookies among them. */
static void consume(struct http_conn *c, size_t len)
{
    secret_wipe(c->in.data, len);
    buf_consume(&c->in, len);
    c->scanned = 0;
    if (c->in.len == 0)
        buf_clear(&c->in);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* Nothing is read while a request is being replied to; what the client sends then waits. */
static void stop_reading(struct http_conn *c)
{
    (void)lws_rx_flow_control(c->wsi, 0);
}

static void run_whole_request(struct http_conn *c)
{
    c->phase = CONN_REPLY;
    c->deadline_ms = 0; /* the handler has all the time it needs */
    stop_reading(c);
    http_request_run(c->exchange);
}

/* The body's time runs; its sender may be waiting for our word. */
static int begin_body(struct http_conn *c)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    unsigned char bytes[LWS_PRE + sizeof go_on];
    c->phase = CONN_BODY;
    wait_ms(c, silent_ms(c));
    if (!http_list_has(c->exchange->head.fields[HTTP_EXPECT], "100-continue") || c->in.len > 0)
        return 0;
    memcpy(bytes + LWS_PRE, go_on, sizeof go_on);
    return lws_write(c->wsi, bytes + LWS_PRE, strlen(go_on), LWS_WRITE_RAW) < 0 ? -1 : 0;
}

/* The reply is made already: it is ours. */
static int begin_refusal(struct http_conn *c)
{
    c->phase = CONN_REPLY;
    wait_ms(c, silent_ms(c));
    stop_reading(c);
    return 0;
}

static int begin_request(struct http_conn *c, size_t head_len)
{
    struct http_exchange *x = http_request_new(c, head_len ? c->in.data : NULL, head_len);
    c->exchange = x;
    c->http->exchanges++;
    c->begun = false;
    consume(c, head_len);
    if (x->replied)
        return begin_refusal(c);
    if (x->body_bytes > 0)
        return begin_body(c);
    run_whole_request(c);
    return 0;
}

static void skip_blank_lines(struct http_conn *c)
{
    while (c->in.len >= 2 && c->dropped < BLANK_BYTES && memcmp(c->in.data, "\r\n", 2) == 0) {
        consume(c, 2);
        c->dropped += 2;
    }
}

static int take_head(struct http_conn *c)
{
    skip_blank_lines(c);
    if (c->in.len == 0)
        return 0;
    if (!c->begun)
        wait_ms(c, silent_ms(c));
    c->begun = true;
    size_t len = http_head_length(c->in.data, c->in.len, c->scanned);
    c->scanned = c->in.len;
    if (len > LIMIT_HTTP_HEAD || (len == 0 && c->in.len > LIMIT_HTTP_HEAD))
        return begin_request(c, 0);
    return len > 0 ? begin_request(c, len) : 0;
}

/* A small body, as those with passwords are, gets all of its room at once: what grows leaves copies
 * behind. */
static int reserve_body(struct http_exchange *x)
{
    char *room;
    bool small = x->body_bytes <= LIMIT_HTTP_BODY_ANYONE;
    return small && x->request.body.cap == 0
               ? buf_reserve(&x->request.body, (size_t)x->body_bytes, &room)
               : 0;
}

static int take_body(struct http_conn *c)
{
    struct http_exchange *x = c->exchange;
    size_t left = (size_t)x->body_bytes - x->request.body.len;
    size_t len = c->in.len < left ? c->in.len : left;
    if (!http_has_room(c->http, len)) {
        http_refuse_busy(x);
        return begin_refusal(c);
    }
    if (reserve_body(x) < 0 || buf_add(&x->request.body, c->in.data, len) < 0)
        return -1;
    http_exchange_weigh(x);
    consume(c, len);
    if (len == left)
        run_whole_request(c);
    return 0;
}

static int drop(struct http_conn *c)
{
    c->dropped += c->in.len;
    consume(c, c->in.len);
    return c->dropped > DROP_BYTES ? -1 : 0;
}

static int give_to_viewer(struct http_conn *c)
{
    int r = live_viewer_received(c->viewer, c->in.data, c->in.len);
    consume(c, c->in.len);
    return r;
}

/* Uses what has come, as far as it goes. */
static int advance(struct http_conn *c)
{
    enum http_phase before;
    int r;
    do {
        before = c->phase;
        if (c->in.len == 0)
            return 0;
        switch (c->phase) {
        case CONN_HEAD:
            r = take_head(c);
            break;
        case CONN_BODY:
            r = take_body(c);
            break;
        case CONN_DROP:
            r = drop(c);
            break;
        case CONN_LIVE:
            r = give_to_viewer(c);
            break;
        case CONN_REPLY:
            return 0;
        }
    } while (r == 0 && c->phase != before);
    return r;
}

int http_conn_received(struct http_conn *c, const void *data, size_t len)
{
    /* Of the handshake; what comes after it is looked after by us. */
    lws_set_timeout(c->wsi, NO_PENDING_TIMEOUT, 0);
    if (c->over || buf_add(&c->in, data, len) < 0)
        return -1;
    return advance(c);
}

/* ---- replies --------------------------------------------------------------------------------- */

static void forget_exchange(struct http_conn *c)
{
    http_exchange_free(c->exchange);
    c->exchange = NULL;
    c->http->exchanges--;
}

static int begin_drop(struct http_conn *c)
{
    c->phase = CONN_DROP;
    c->dropped = 0;
    wait_ms(c, DROP_MS);
    (void)lws_rx_flow_control(c->wsi, 1);
    return advance(c);
}

static int begin_live(struct http_conn *c, struct http_exchange *x)
{
    const struct http_request *r = &x->request;
    c->viewer =
        live_viewer_new(c->http->settings.live, c->wsi, r->cookie, r->authorization, r->address);
    forget_exchange(c);
    c->phase = CONN_LIVE;
    c->deadline_ms = 0; /* live.c pings */
    (void)lws_rx_flow_control(c->wsi, 1);
    return advance(c);
}

/* The reply is out. */
static int after_reply(struct http_conn *c)
{
    struct http_exchange *x = c->exchange;
    bool last = x->last, more_may_come = x->refused && http_request_has_more(x);
    if (x->upgrade)
        return begin_live(c, x);
    forget_exchange(c);
    if (more_may_come)
        return begin_drop(c);
    if (last)
        return -1;
    c->phase = CONN_HEAD;
    c->dropped = 0;
    wait_ms(c, silent_ms(c));
    (void)lws_rx_flow_control(c->wsi, 1);
    return advance(c);
}

/* The client's time begins anew only when it has taken enough; while it waits for our source, it
 * has none to lose. */
static void watch_reader(struct http_conn *c, uint64_t written)
{
    c->taken += (size_t)written;
    if (written == 0 && c->exchange->pump) {
        c->deadline_ms = 0;
        return;
    }
    if (c->deadline_ms > 0 && c->taken < LIMIT_HTTP_LEAST_BYTES)
        return;
    c->taken = 0;
    wait_ms(c, silent_ms(c));
}

void http_conn_has_more(struct http_conn *c)
{
    if (c->deadline_ms == 0) {
        c->taken = 0;
        wait_ms(c, silent_ms(c));
    }
    (void)lws_callback_on_writable(c->wsi);
}

int http_conn_writeable(struct http_conn *c)
{
    if (c->over)
        return -1;
    if (c->viewer)
        return live_viewer_writeable(c->viewer);
    struct http_exchange *x = c->exchange;
    if (!x || !x->replied)
        return 0;
    uint64_t before = x->sent;
    int r = http_exchange_write(x);
    watch_reader(c, x->sent - before);
    if (r < 0) {
        log_debug("%s: the reply was cut off: %s", x->request.address, err_str(r));
        return -1;
    }
    return r == 0 ? 0 : after_reply(c);
}

/* ---- the end --------------------------------------------------------------------------------- */

void http_conn_watch(struct http_conn *c)
{
    if (c->deadline_ms == 0 || uv_now(c->http->loop) < c->deadline_ms)
        return;
    log_debug("%s: too slow, the connection is closed", http_listener_peer(c->wsi));
    c->deadline_ms = 0;
    c->over = true;
    /* libwebsockets closes it when it next looks, which the loop now brings about in every
     * state: its own timers run only after events of its own. */
    (void)shutdown(lws_get_socket_fd(c->wsi), SHUT_RDWR);
    (void)lws_callback_on_writable(c->wsi);
}

void http_conn_gone(struct http_conn *c)
{
    if (c->exchange) {
        http_exchange_detach(c->exchange);
        c->http->exchanges--;
    }
    if (c->viewer)
        live_viewer_gone(c->viewer);
    list_remove(&c->link);
    if (c->in.len > 0)
        secret_wipe(c->in.data, c->in.len);
    buf_clear(&c->in);
    free(c);
}
