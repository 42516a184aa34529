/* A source's bytes on their way to a client: one piece is being sent while a thread fills the
 * next, never more. */
#include <assert.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "remote/http_private.h"

enum {
    PUMP_PIECE = 64 << 10,
    LOOP_PIECE = 16 << 10, /* one TLS record, and little work at once */
    CHUNK_HEAD = 8,        /* six hex digits and a line's end */
    CHUNK_TAIL = 2,
};

struct piece {
    char *bytes; /* room for libwebsockets, then PUMP_PIECE */
    size_t len, done;
};

struct http_pump {
    uv_work_t work;
    struct http *http;
    struct http_exchange *exchange; /* NULL: nobody wants it any more */
    struct http_source *source;
    uint64_t left; /* not read yet */
    struct piece front, back;
    bool on_loop; /* without thread and `back` */
    bool chunked;
    bool ended;      /* `front` is the last piece of one on the loop */
    bool reading;    /* the thread has `back` and `source` */
    size_t want;     /* how much it may read */
    int read_result; /* of the thread */
    int error;
};

static void read_ahead(struct http_pump *p);
static void in_thread(uv_work_t *work);
static void on_read(uv_work_t *work, int status);
static void pump_free(struct http_pump *p);

size_t http_pump_weight(uint64_t length)
{
    return length == HTTP_LENGTH_UNKNOWN ? LOOP_PIECE : (size_t)2 * PUMP_PIECE;
}

struct http_pump *http_pump_new(struct http_exchange *x, struct http_source *source,
                                uint64_t length, bool chunked)
{
    struct http_pump *p = xcalloc(1, sizeof *p);
    p->work.data = p;
    p->http = x->conn->http;
    p->exchange = x;
    p->source = source;
    p->left = length;
    p->on_loop = length == HTTP_LENGTH_UNKNOWN;
    p->chunked = chunked;
    p->front.bytes = xcalloc(1, LWS_PRE + (p->on_loop ? LOOP_PIECE : PUMP_PIECE));
    p->back.bytes = p->on_loop ? NULL : xcalloc(1, LWS_PRE + PUMP_PIECE);
    p->http->pumps++;
    return p;
}

void http_pump_start(struct http_pump *p)
{
    if (!p->on_loop)
        read_ahead(p);
}

static void swap(struct http_pump *p)
{
    struct piece sent = p->front;
    p->front = p->back;
    p->back = sent;
    p->back.len = p->back.done = 0;
}

static void read_ahead(struct http_pump *p)
{
    if (p->reading || p->error < 0 || p->left == 0 || p->back.len > 0)
        return;
    p->want = p->left < PUMP_PIECE ? (size_t)p->left : PUMP_PIECE;
    int r = uv_queue_work(p->http->loop, &p->work, in_thread, on_read);
    if (r < 0)
        p->error = r;
    else
        p->reading = true;
}

static void in_thread(uv_work_t *work)
{
    struct http_pump *p = work->data;
    p->read_result = p->source->read(p->source, p->back.bytes + LWS_PRE, p->want);
}

static void on_read(uv_work_t *work, int status)
{
    struct http_pump *p = work->data;
    p->reading = false;
    if (!p->exchange) {
        pump_free(p);
        return;
    }
    /* A length was promised: an end before it is an error. */
    int n = status < 0 ? status : p->read_result == 0 ? ERR_MISMATCH : p->read_result;
    if (n < 0) {
        p->error = n;
    } else {
        assert((size_t)n <= p->want);
        p->back.len = (size_t)n;
        p->left -= (uint64_t)n;
        if (p->front.done == p->front.len) {
            swap(p);
            read_ahead(p);
        }
    }
    http_conn_has_more(p->exchange->conn);
}

/* The next piece of one on the loop.  The chunk without bytes is the end. */
static void make_piece(struct http_pump *p)
{
    char head[CHUNK_HEAD + 1];
    char *at = p->front.bytes + LWS_PRE, *data = at + (p->chunked ? CHUNK_HEAD : 0);
    int n = p->source->read(p->source, data, LOOP_PIECE - CHUNK_HEAD - CHUNK_TAIL);
    p->front.len = p->front.done = 0;
    if (n < 0) {
        p->error = n;
        return;
    }
    assert(n <= LOOP_PIECE - CHUNK_HEAD - CHUNK_TAIL);
    p->ended = n == 0;
    p->front.len = (size_t)n;
    if (!p->chunked)
        return;
    (void)snprintf(head, sizeof head, "%06x\r\n", (unsigned)n & 0xffffff);
    memcpy(at, head, CHUNK_HEAD);
    memcpy(data + n, "\r\n", CHUNK_TAIL);
    p->front.len += CHUNK_HEAD + CHUNK_TAIL;
}

static bool is_end(const struct http_pump *p)
{
    return p->on_loop ? p->ended : p->left == 0 && p->back.len == 0 && !p->reading;
}

int http_pump_peek(struct http_pump *p, const char **ret_data, bool *ret_end)
{
    if (p->on_loop && p->front.done == p->front.len && !p->ended && p->error == 0)
        make_piece(p);
    size_t len = p->front.len - p->front.done;
    if (len == 0 && p->error < 0)
        return p->error;
    *ret_data = p->front.bytes + LWS_PRE + p->front.done;
    *ret_end = (len > 0 || p->on_loop) && is_end(p);
    return (int)len;
}

void http_pump_taken(struct http_pump *p, size_t len)
{
    p->front.done += len;
    if (p->front.done < p->front.len || p->back.len == 0)
        return;
    swap(p);
    read_ahead(p);
}

void http_pump_drop(struct http_pump *p)
{
    p->exchange = NULL;
    if (!p->reading)
        pump_free(p);
}

static void pump_free(struct http_pump *p)
{
    p->source->close(p->source);
    p->http->pumps--;
    free(p->front.bytes);
    free(p->back.bytes);
    free(p);
}
