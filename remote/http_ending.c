#include "remote/http_ending.h"

#include <libwebsockets.h>
#include <stdlib.h>
#include <uv.h>

#include "lib/base/mem.h"
#include "remote/http_private.h"

enum {
    TICK_MS = 5,
    LET_FINISH_MS = 2000,
    SAY_BYE_MS = 200, /* what agents and viewers are told goes out, whatever else there is */
    QUIET_TICKS = 3,  /* closing one handle can make libwebsockets close another */
    GIVE_UP_TICKS =
        400, /* somebody else's handles that close without end are not ours to wait for */
};

struct handles {
    const uv_handle_t **items;
    size_t count;
};

struct http_ending {
    struct http *http;
    uv_timer_t timer;
    struct handles before; /* on the loop before the context was made */
    struct handles ours;   /* of libwebsockets: its timer and the like, one per context */
    uint64_t began_ms;
    unsigned quiet, ticks;
    void (*closed)(void *arg);
    void *arg;
};

/* The steps, in the order in which they run. */
static void on_wait_for_replies(uv_timer_t *timer);
static void on_wait_for_handles(uv_timer_t *timer);
static void on_wait_for_threads(uv_timer_t *timer);
static void on_closed(uv_handle_t *handle);

/* ---- handles --------------------------------------------------------------------------------- */

static bool has(const struct handles *h, const uv_handle_t *handle)
{
    for (size_t i = 0; i < h->count; i++)
        if (h->items[i] == handle)
            return true;
    return false;
}

static void add(struct handles *h, const uv_handle_t *handle)
{
    h->items = xreallocarray(h->items, h->count + 1, sizeof *h->items);
    h->items[h->count++] = handle;
}

static void note_before(uv_handle_t *handle, void *arg)
{
    struct http_ending *e = arg;
    add(&e->before, handle);
}

static void note_ours(uv_handle_t *handle, void *arg)
{
    struct http_ending *e = arg;
    if (!has(&e->before, handle) && handle != (const uv_handle_t *)&e->timer)
        add(&e->ours, handle);
}

struct http_ending *http_ending_new(struct http *h)
{
    struct http_ending *e = xcalloc(1, sizeof *e);
    e->http = h;
    e->timer.data = e;
    (void)uv_timer_init(h->loop, &e->timer);
    uv_walk(h->loop, note_before, e);
    return e;
}

void http_ending_note_handles(struct http_ending *e)
{
    uv_walk(e->http->loop, note_ours, e);
    free(e->before.items);
    e->before = (struct handles){0};
}

struct busy {
    const struct http_ending *ending;
    bool busy;
};

static void look(uv_handle_t *handle, void *arg)
{
    struct busy *b = arg;
    if (uv_is_closing(handle) || has(&b->ending->ours, handle))
        b->busy = true;
}

static bool handles_are_gone(struct http_ending *e)
{
    struct busy b = {.ending = e};
    uv_walk(e->http->loop, look, &b);
    e->quiet = b.busy ? 0 : e->quiet + 1;
    return e->quiet >= QUIET_TICKS || ++e->ticks >= GIVE_UP_TICKS;
}

/* ---- steps ----------------------------------------------------------------------------------- */

void http_ending_start(struct http_ending *e, void (*closed)(void *arg), void *arg)
{
    e->closed = closed;
    e->arg = arg;
    e->began_ms = uv_now(e->http->loop);
    (void)uv_timer_start(&e->timer, on_wait_for_replies, 0, TICK_MS);
}

static void on_wait_for_replies(uv_timer_t *timer)
{
    struct http_ending *e = timer->data;
    uint64_t waited_ms = uv_now(e->http->loop) - e->began_ms;
    if (waited_ms < (e->http->exchanges == 0 ? SAY_BYE_MS : LET_FINISH_MS))
        return;
    if (!e->http->context) {
        (void)uv_timer_start(timer, on_wait_for_threads, 0, TICK_MS);
        return;
    }
    lws_context_destroy(e->http->context);
    (void)uv_timer_start(timer, on_wait_for_handles, 0, TICK_MS);
}

static void on_wait_for_handles(uv_timer_t *timer)
{
    struct http_ending *e = timer->data;
    if (!handles_are_gone(e))
        return;
    lws_context_destroy(e->http->context);
    e->http->context = NULL;
    (void)uv_timer_start(timer, on_wait_for_threads, 0, TICK_MS);
}

static void on_wait_for_threads(uv_timer_t *timer)
{
    struct http_ending *e = timer->data;
    if (e->http->pumps > 0)
        return;
    uv_close((uv_handle_t *)timer, on_closed);
}

static void on_closed(uv_handle_t *handle)
{
    struct http_ending *e = handle->data;
    void (*closed)(void *) = e->closed;
    void *arg = e->arg;
    http_ended(e->http);
    if (closed)
        closed(arg);
}

void http_ending_free(struct http_ending *e)
{
    if (!e)
        return;
    free(e->before.items);
    free(e->ours.items);
    free(e);
}
