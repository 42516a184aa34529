#include "remote/logs.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/list.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/base/uuid.h"
#include "remote/fleet.h"
#include "remote/foreign.h"

enum { WAIT_MS = 5000, TICK_MS = 200, SENTENCE = 600 };

struct waiter {
    struct list link;
    char id[UUID_TEXT];
    char host[UUID_TEXT];
    uint64_t due_ms;
    logs_cb done;
    void *arg;
};

struct logs {
    struct fleet *fleet;
    uv_timer_t *clock;   /* runs while somebody waits; freed in its close callback */
    struct list waiters; /* the oldest first */
    logs_send_cb send;
    void *send_arg;
};

static void on_clock(uv_timer_t *timer);

struct logs *logs_new(uv_loop_t *loop, struct fleet *fleet)
{
    struct logs *l = xcalloc(1, sizeof *l);
    l->fleet = fleet;
    list_init(&l->waiters);
    l->clock = xcalloc(1, sizeof *l->clock);
    l->clock->data = l;
    (void)uv_timer_init(loop, l->clock);
    return l;
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

/* The only way out. */
static void waiter_end(struct waiter *w, int r, const char *text, const json_t *answer)
{
    list_remove(&w->link);
    w->done(w->arg, r, text, answer);
    free(w);
}

void logs_close(struct logs *l)
{
    if (!l->clock)
        return;
    uv_close((uv_handle_t *)l->clock, free_handle);
    l->clock = NULL;
    while (!list_empty(&l->waiters))
        waiter_end(l->waiters.next->owner, ERR_STOPPING, "the console is shutting down", NULL);
}

void logs_free(struct logs *l)
{
    free(l);
}

void logs_on_send(struct logs *l, logs_send_cb send, void *arg)
{
    if (!l)
        return;
    l->send = send;
    l->send_arg = arg;
}

/* ---- asking ---------------------------------------------------------------------------------- */

static const char *name_of(const struct logs *l, const char *host)
{
    const struct host_row *row = fleet_get(l->fleet, host);
    return row ? row->name : host;
}

static unsigned count_of(const struct logs *l, const char *host)
{
    unsigned count = 0;
    struct waiter *w;
    LIST_EACH(w, (struct list *)&l->waiters)
    count += str_eq(w->host, host);
    return count;
}

/* Sends the question; false: the host takes none. */
static bool ask(struct logs *l, const char *id, const struct log_order *order)
{
    AUTOJSON json_t *fields = json_object();
    json_set_string(fields, "id", id);
    json_set_string(fields, "app", order->app);
    json_set_int(fields, "instance", order->instance);
    json_set_string(fields, "stream", order->stream);
    json_set_int(fields, "lines", order->lines);
    return l->send && l->send(l->send_arg, order->host, "log.get", fields);
}

static int refuse(int r, char *text, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static int refuse(int r, char *text, size_t size, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, size, fmt, ap);
    va_end(ap);
    return r;
}

int logs_get(struct logs *l, const struct log_order *order, logs_cb done, void *arg,
             char *reterr_text, size_t size)
{
    const char *name = name_of(l, order->host);
    if (!l->clock)
        return refuse(ERR_STOPPING, reterr_text, size, "the console is shutting down");
    if (!fleet_connected(l->fleet, order->host))
        return refuse(ERR_UNREACHABLE, reterr_text, size, "the host %s is not connected", name);
    if (count_of(l, order->host) >= LIMIT_LOG_WAITING)
        return refuse(ERR_BUSY, reterr_text, size, "too many wait for logs of the host %s already",
                      name);
    struct waiter *w = xcalloc(1, sizeof *w);
    *w = (struct waiter){.done = done, .arg = arg};
    uuid_make(w->id);
    (void)snprintf(w->host, sizeof w->host, "%s", order->host);
    if (!ask(l, w->id, order)) {
        free(w);
        return refuse(ERR_UNSUPPORTED, reterr_text, size, "the agent of host %s shows no logs",
                      name);
    }
    w->due_ms = uv_now(l->clock->loop) + WAIT_MS;
    list_add(&l->waiters, &w->link, w);
    if (!uv_is_active((uv_handle_t *)l->clock))
        (void)uv_timer_start(l->clock, on_clock, TICK_MS, TICK_MS);
    return 0;
}

static void look_at(struct logs *l, struct waiter *w, uint64_t now_ms)
{
    char text[SENTENCE];
    const char *name = name_of(l, w->host);
    if (!fleet_connected(l->fleet, w->host)) {
        (void)snprintf(text, sizeof text, "the host %s has left before it answered", name);
        waiter_end(w, ERR_UNREACHABLE, text, NULL);
    } else if (now_ms >= w->due_ms) {
        (void)snprintf(text, sizeof text, "the host %s has not answered within %d s", name,
                       WAIT_MS / 1000);
        waiter_end(w, -ETIMEDOUT, text, NULL);
    }
}

static void on_clock(uv_timer_t *timer)
{
    struct logs *l = timer->data;
    struct waiter *w;
    LIST_EACH(w, &l->waiters)
    look_at(l, w, uv_now(timer->loop));
    if (list_empty(&l->waiters))
        (void)uv_timer_stop(timer);
}

/* ---- answers --------------------------------------------------------------------------------- */

static struct waiter *find(struct logs *l, const char *host, const json_t *message)
{
    struct waiter *w;
    const char *id = json_get_string(message, "id", "");
    if (!l)
        return NULL;
    LIST_EACH(w, &l->waiters)
    if (str_eq(w->id, id) && str_eq(w->host, host))
        return w;
    return NULL;
}

void logs_take(struct logs *l, const char *host, const json_t *message)
{
    struct waiter *w = find(l, host, message);
    if (!w)
        return;
    AUTOJSON json_t *answer = json_object();
    (void)json_object_set(answer, "text", json_object_get(message, "text"));
    (void)json_object_set(answer, "at_ms", json_object_get(message, "at_ms"));
    (void)json_object_set(answer, "cut", json_object_get(message, "cut"));
    waiter_end(w, 0, NULL, answer);
}

/* A host has no say in anything but its own matters. */
static int allowed_error(int code)
{
    return code == ERR_POLICY || code == ERR_NOT_FOUND || code == ERR_BUSY ? code : ERR_UNREACHABLE;
}

void logs_take_refused(struct logs *l, const char *host, const json_t *message)
{
    char said[SENTENCE / 2], text[SENTENCE];
    struct waiter *w = find(l, host, message);
    if (!w)
        return;
    foreign_copy(said, sizeof said, json_get_string(message, "text", ""));
    (void)snprintf(text, sizeof text, "host %s: %s", name_of(l, host), said);
    waiter_end(w, allowed_error(err_from_name(json_get_string(message, "code", ""))), text, NULL);
}
