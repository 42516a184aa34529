#include "remote/live.h"

#include <assert.h>
#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/secure/hash.h"
#include "remote/auth.h"
#include "remote/live_frame.h"
#include "remote/live_ws.h"

enum {
    TICK_MS = 20 * 1000, /* a ping each time; a viewer that let two go by without a word is gone */
    SILENT_TICKS = 2,
    CHECK_TICKS = 2,  /* the session is looked at again */
    PIECE = 16 << 10, /* one TLS record: of more, libwebsockets would keep a copy for each viewer */
};

/* Close codes of RFC 6455.  From 4000 on they are ours: the page knows that logging in again
 * helps. */
enum {
    CLOSE_NORMAL = 1000,
    CLOSE_GOING_AWAY = 1001,
    CLOSE_PROTOCOL = 1002,
    CLOSE_POLICY = 1008,
    CLOSE_TRY_AGAIN = 1013,
    CLOSE_LOGIN = 4401,
};

static const char welcome_text[] = "{\"type\":\"welcome\"}";
static const char resync_text[] = "{\"type\":\"resync\"}";

/* One frame, for all who have not got it yet. */
struct frame {
    unsigned refs;
    size_t len;
    char bytes[]; /* room for libwebsockets, then the frame */
};

struct waiting {
    struct list link;
    struct frame *frame;
};

struct live_viewer {
    struct live *live;
    struct list link;
    struct lws *wsi; /* NULL: gone, and an answer of auth is awaited */
    char *cookie, *authorization, address[64];
    bool checking; /* auth_check() has not answered */
    bool welcome;  /* it did, and this is somebody */
    bool resync;   /* everything was dropped: to be told first */
    bool ping;     /* to be sent */
    bool pong;     /* likewise, with what came in the ping */
    uint8_t pong_bytes[LIVE_CONTROL_MAX];
    size_t pong_len;
    int close_code; /* 0: stays */
    bool close_sent;
    unsigned silent_ticks, unchecked_ticks;
    struct live_frame_in in;
    struct list queue; /* of struct waiting */
    size_t queue_bytes;
    struct frame *going; /* a part of it is sent; nothing may come in between.  NULL: none */
    size_t going_done;
    size_t taken; /* since the last tick that found something going */
    unsigned slow_ticks;
};

struct live {
    struct auth *auth;
    uv_timer_t ticks;
    struct list viewers; /* with a connection */
    unsigned count;
    unsigned checks; /* answers of auth that are awaited */
    bool closing, closed, freeing;
};

static void on_tick(uv_timer_t *timer);
static void on_closed(uv_handle_t *handle);
static void on_checked(void *arg, int r, const struct auth_who *who);
static void free_if_over(struct live *l);

/* ---- frames ---------------------------------------------------------------------------------- */

static struct frame *frame_new(enum live_op op, const void *payload, size_t len)
{
    uint8_t head[LIVE_HEAD_MAX];
    size_t head_len = live_frame_head(op, len, head);
    struct frame *f = xcalloc(1, sizeof *f + LWS_PRE + head_len + len);
    f->refs = 1;
    f->len = head_len + len;
    memcpy(f->bytes + LWS_PRE, head, head_len);
    if (len > 0)
        memcpy(f->bytes + LWS_PRE + head_len, payload, len);
    return f;
}

static void frame_unref(struct frame *f)
{
    if (--f->refs == 0)
        free(f);
}

/* ---- a viewer's queue ------------------------------------------------------------------------ */

static void drop_first(struct live_viewer *v)
{
    struct waiting *w = v->queue.next->owner;
    v->queue_bytes -= w->frame->len;
    list_remove(&w->link);
    frame_unref(w->frame);
    free(w);
}

static void drop_queue(struct live_viewer *v)
{
    while (!list_empty(&v->queue))
        drop_first(v);
}

static void put(struct live_viewer *v, struct frame *f)
{
    /* Whoever fetches everything anew needs nothing of what happens before it does. */
    if (v->resync)
        return;
    if (v->queue_bytes > 0 && v->queue_bytes + f->len > LIMIT_LIVE_QUEUE) {
        drop_queue(v);
        v->resync = true;
    } else {
        struct waiting *w = xcalloc(1, sizeof *w);
        w->frame = f;
        f->refs++;
        v->queue_bytes += f->len;
        list_add(&v->queue, &w->link, w);
    }
    (void)lws_callback_on_writable(v->wsi);
}

/* ---- viewers --------------------------------------------------------------------------------- */

static void free_secret(char *secret)
{
    if (secret)
        secret_wipe(secret, strlen(secret));
    free(secret);
}

static void viewer_free(struct live_viewer *v)
{
    drop_queue(v);
    if (v->going)
        frame_unref(v->going);
    free_secret(v->cookie);
    free_secret(v->authorization);
    free(v);
}

static void check(struct live_viewer *v)
{
    v->checking = true;
    v->live->checks++;
    v->unchecked_ticks = 0;
    auth_check(v->live->auth, v->cookie, v->authorization, v->address, on_checked, v);
}

/* Says good-bye as soon as the connection takes bytes. */
static void dismiss(struct live_viewer *v, int close_code)
{
    if (v->close_code != 0)
        return;
    v->close_code = close_code;
    drop_queue(v);
    (void)lws_callback_on_writable(v->wsi);
}

bool live_has_room(const struct live *l)
{
    return !l->closing && l->count < LIMIT_LIVE_VIEWERS;
}

struct live_viewer *live_viewer_new(struct live *l, struct lws *wsi, const char *cookie,
                                    const char *authorization, const char *address)
{
    struct live_viewer *v = xcalloc(1, sizeof *v);
    v->live = l;
    v->wsi = wsi;
    v->cookie = xstrdup_null(cookie);
    v->authorization = xstrdup_null(authorization);
    (void)snprintf(v->address, sizeof v->address, "%s", address);
    list_init(&v->queue);
    list_add(&l->viewers, &v->link, v);
    l->count++;
    /* The last place may have been taken since it was asked for. */
    if (l->closing || l->count > LIMIT_LIVE_VIEWERS)
        dismiss(v, CLOSE_TRY_AGAIN);
    else
        check(v);
    return v;
}

void live_viewer_gone(struct live_viewer *v)
{
    list_remove(&v->link);
    v->live->count--;
    v->wsi = NULL;
    if (!v->checking)
        viewer_free(v);
}

static void on_checked(void *arg, int r, const struct auth_who *who)
{
    struct live_viewer *v = arg;
    struct live *l = v->live;
    v->checking = false;
    l->checks--;
    if (!v->wsi) {
        viewer_free(v);
        free_if_over(l);
        return;
    }
    if (r >= 0 && !v->welcome && v->close_code == 0) {
        struct frame *f = frame_new(LIVE_TEXT, welcome_text, strlen(welcome_text));
        v->welcome = true;
        put(v, f);
        frame_unref(f);
    } else if (r < 0) {
        log_debug("%s: a viewer is dismissed: %s", v->address, err_str(r));
        /* A store that fails says nothing about the session: come again. */
        dismiss(v, r == ERR_LOGIN ? CLOSE_LOGIN : CLOSE_TRY_AGAIN);
    }
}

/* ---- what comes ------------------------------------------------------------------------------ */

static void take_frame(struct live_viewer *v, int op, const uint8_t *payload, size_t len)
{
    v->silent_ticks = 0;
    if (op == LIVE_CLOSE)
        dismiss(v, CLOSE_NORMAL);
    if (op != LIVE_PING)
        return;
    /* Only the last of many needs an answer. */
    memcpy(v->pong_bytes, payload, len);
    v->pong_len = len;
    v->pong = true;
    (void)lws_callback_on_writable(v->wsi);
}

int live_viewer_received(struct live_viewer *v, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0 && v->close_code == 0) {
        const uint8_t *payload;
        size_t used, payload_len;
        int op = live_frame_take(&v->in, at, len, &used, &payload, &payload_len);
        if (op < 0)
            dismiss(v, op == ERR_DENIED ? CLOSE_POLICY : CLOSE_PROTOCOL);
        if (op > 0)
            take_frame(v, op, payload, payload_len);
        at += used;
        len -= used;
    }
    return 0;
}

/* ---- what goes ------------------------------------------------------------------------------- */

/* The next piece of the frame that is going. */
static int write_piece(struct live_viewer *v)
{
    struct frame *f = v->going;
    size_t left = f->len - v->going_done, len = left < PIECE ? left : PIECE;
    unsigned char *data = (unsigned char *)f->bytes + LWS_PRE + v->going_done;
    int n = lws_write(v->wsi, data, len, LWS_WRITE_RAW);
    (void)lws_callback_on_writable(v->wsi);
    v->going_done += len;
    v->taken += len;
    if (v->going_done == f->len) {
        v->going = NULL;
        frame_unref(f);
    }
    return n < 0 ? -1 : 0;
}

/* Takes the frame's reference. */
static int write_frame(struct live_viewer *v, struct frame *f)
{
    v->going = f;
    v->going_done = 0;
    return write_piece(v);
}

static int write_new(struct live_viewer *v, enum live_op op, const void *payload, size_t len)
{
    return write_frame(v, frame_new(op, payload, len));
}

static int write_close(struct live_viewer *v)
{
    const uint8_t code[2] = {(uint8_t)(v->close_code >> 8), (uint8_t)v->close_code};
    if (v->close_sent)
        return -1;
    v->close_sent = true;
    return write_new(v, LIVE_CLOSE, code, sizeof code);
}

int live_viewer_writeable(struct live_viewer *v)
{
    if (lws_partial_buffered(v->wsi))
        return 0;
    if (v->going)
        return write_piece(v);
    if (v->close_code != 0)
        return write_close(v);
    if (v->pong) {
        v->pong = false;
        return write_new(v, LIVE_PONG, v->pong_bytes, v->pong_len);
    }
    if (v->ping) {
        v->ping = false;
        return write_new(v, LIVE_PING, NULL, 0);
    }
    if (v->resync) {
        v->resync = false;
        return write_new(v, LIVE_TEXT, resync_text, strlen(resync_text));
    }
    if (list_empty(&v->queue))
        return 0;
    struct waiting *first = v->queue.next->owner;
    struct frame *f = first->frame;
    f->refs++;
    drop_first(v);
    return write_frame(v, f);
}

/* ---- all viewers ----------------------------------------------------------------------------- */

static void cut_off(struct live_viewer *v, const char *why)
{
    log_debug("%s: a viewer %s", v->address, why);
    v->close_code = CLOSE_GOING_AWAY;
    v->close_sent = true;
    drop_queue(v);
    if (v->going)
        frame_unref(v->going);
    v->going = NULL;
    (void)shutdown(lws_get_socket_fd(v->wsi), SHUT_RDWR);
    (void)lws_callback_on_writable(v->wsi);
}

/* Whoever answers pings without reading would hold a frame for ever. */
static bool is_slow(struct live_viewer *v)
{
    bool slow = v->going && v->taken < LIMIT_HTTP_LEAST_BYTES;
    v->taken = 0;
    v->slow_ticks = slow ? v->slow_ticks + 1 : 0;
    return v->slow_ticks > SILENT_TICKS;
}

static void tick_one(struct live_viewer *v)
{
    if (++v->silent_ticks > SILENT_TICKS) {
        cut_off(v, "does not answer any more");
        return;
    }
    if (is_slow(v)) {
        cut_off(v, "takes too little");
        return;
    }
    v->ping = true;
    (void)lws_callback_on_writable(v->wsi);
    if (++v->unchecked_ticks >= CHECK_TICKS && !v->checking && v->close_code == 0)
        check(v);
}

static void on_tick(uv_timer_t *timer)
{
    struct live *l = timer->data;
    struct live_viewer *v;
    LIST_EACH(v, &l->viewers)
    tick_one(v);
}

struct live *live_new(uv_loop_t *loop, struct auth *auth)
{
    struct live *l = xcalloc(1, sizeof *l);
    l->auth = auth;
    l->ticks.data = l;
    list_init(&l->viewers);
    (void)uv_timer_init(loop, &l->ticks);
    (void)uv_timer_start(&l->ticks, on_tick, TICK_MS, TICK_MS);
    return l;
}

void live_tick_every(struct live *l, unsigned ms)
{
    (void)uv_timer_start(&l->ticks, on_tick, ms, ms);
}

void live_publish(struct live *l, const json_t *event)
{
    if (!live_watched(l))
        return;
    AUTOFREE char *text = json_dumps(event, JSON_COMPACT);
    if (text)
        live_publish_text(l, text, strlen(text));
}

void live_publish_text(struct live *l, const char *text, size_t len)
{
    struct live_viewer *v;
    if (!live_watched(l))
        return;
    struct frame *f = frame_new(LIVE_TEXT, text, len);
    LIST_EACH(v, &l->viewers)
    if (v->welcome && v->close_code == 0)
        put(v, f);
    frame_unref(f);
}

bool live_watched(const struct live *l)
{
    return l->count > 0;
}

void live_close(struct live *l)
{
    struct live_viewer *v;
    if (l->closing)
        return;
    l->closing = true;
    LIST_EACH(v, &l->viewers)
    dismiss(v, CLOSE_GOING_AWAY);
    uv_close((uv_handle_t *)&l->ticks, on_closed);
}

static void on_closed(uv_handle_t *handle)
{
    struct live *l = handle->data;
    l->closed = true;
    free_if_over(l);
}

void live_free(struct live *l)
{
    if (!l)
        return;
    assert(l->closing);
    l->freeing = true;
    free_if_over(l);
}

/* Answers of auth to viewers that are gone still come to us. */
static void free_if_over(struct live *l)
{
    if (l->freeing && l->closed && l->checks == 0)
        free(l);
}
