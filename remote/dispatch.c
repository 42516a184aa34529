#include "remote/dispatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "remote/dispatch_private.h"
#include "remote/fleet.h"
#include "remote/id_hash.h"
#include "remote/live.h"
#include "remote/store/store.h"

enum {
    WATCH_MS = 1000,
    GRACE_MS = 60 * 1000,
    RETRY_MS = 1000,
    RETRY_MOST_MS = 30 * 1000,
    JUMP_MS = 2000, /* of the wall clock: less is its being slewed */
    WRITES = 500,   /* that one look at the clock asks for: the store's queue is not ours alone */
};

static void on_watch(uv_timer_t *timer);
static bool watch_entry(struct entry *e, int64_t now_ms);

/* ---- rows at hand ---------------------------------------------------------------------------- */

struct capture_row capture_row_copy(const struct capture_row *row)
{
    struct capture_row copy = *row;
    copy.record = xstrdup_null(row->record);
    return copy;
}

struct entry *dispatch_find(struct dispatch *d, const char *id)
{
    struct entry *e;
    LIST_EACH(e, &d->entries[id_bucket(id, DISPATCH_BUCKETS)])
    {
        if (str_eq(e->row.id, id))
            return e;
    }
    return NULL;
}

struct entry *dispatch_adopt(struct dispatch *d, struct capture_row *row)
{
    struct entry *e = xcalloc(1, sizeof *e);
    e->dispatch = d;
    e->row = *row;
    *row = (struct capture_row){0};
    e->given = e->row.sent_ms != 0;
    list_init(&e->waits);
    list_add(&d->entries[id_bucket(e->row.id, DISPATCH_BUCKETS)], &e->link, e);
    d->count++;
    return e;
}

static void forget(struct entry *e)
{
    struct dispatch *d = e->dispatch;
    d->forgotten[id_bucket(e->row.id, DISPATCH_BUCKETS)] = ++d->forgets;
    list_remove(&e->link);
    d->count--;
    capture_row_clear(&e->row);
    free(e);
}

void dispatch_settle(struct entry *e)
{
    bool idle = e->writes == 0 && !e->dirty && list_empty(&e->waits);
    if (idle && e->row.ended_ms && !e->dispatch->closing)
        forget(e);
}

bool dispatch_stale(const struct dispatch *d, const char *id, uint64_t forgets)
{
    return d->forgotten[id_bucket(id, DISPATCH_BUCKETS)] > forgets;
}

/* ---- the two clocks -------------------------------------------------------------------------- */

static int64_t steady_ms(void)
{
    return (int64_t)(uv_hrtime() / 1000000);
}

static bool move_times(struct capture_row *row, int64_t by_ms)
{
    if (row->ended_ms || by_ms == 0)
        return false;
    row->not_after_ms += by_ms;
    row->sent_ms += row->sent_ms ? by_ms : 0;
    row->due_ms += row->due_ms ? by_ms : 0;
    return true;
}

bool dispatch_move_times(const struct dispatch *d, struct capture_row *row, int64_t jumped_ms)
{
    return move_times(row, d->jumped_ms - jumped_ms);
}

/* The rows are written by and by. */
static void move_all(struct dispatch *d, int64_t by_ms)
{
    struct entry *e;
    log_warn(0, "the clock of this computer was set %s by %lld s", by_ms < 0 ? "back" : "forward",
             (long long)((by_ms < 0 ? -by_ms : by_ms) / 1000));
    d->jumped_ms += by_ms;
    for (size_t i = 0; i < DISPATCH_BUCKETS; i++)
        LIST_EACH(e, &d->entries[i])
        {
            e->dirty |= move_times(&e->row, by_ms);
        }
}

int64_t dispatch_now(struct dispatch *d)
{
    int64_t now_ms = d->wall_ms(), steady = d->steady_ms();
    int64_t by_ms = (now_ms - d->wall_base_ms) - (steady - d->steady_base_ms);
    if (by_ms > -JUMP_MS && by_ms < JUMP_MS)
        return now_ms;
    d->wall_base_ms = now_ms;
    d->steady_base_ms = steady;
    move_all(d, by_ms);
    return now_ms;
}

/* ---- writing rows ---------------------------------------------------------------------------- */

/* One write of one row: what goes to the store's thread is a copy. */
struct writing {
    struct entry *entry;
    struct capture_row row;
    unsigned give;
    struct list waits;
};

static void write_row(struct entry *e);
static int update_row(struct db *db, void *arg); /* in a thread */
static void on_updated(void *arg, int r);
static void tell_host(struct entry *e, struct writing *w);
static void go_on(struct entry *e, int r, bool gone);

static void move_waits(struct list *from, struct list *to)
{
    struct wait *w;
    LIST_EACH(w, from)
    {
        list_remove(&w->link);
        list_add(to, &w->link, w);
    }
}

static void tell_waits(struct list *waits, int r, const struct capture_row *row)
{
    struct wait *w;
    LIST_EACH(w, waits)
    {
        list_remove(&w->link);
        w->committed(w, r, row);
    }
}

static void write_row(struct entry *e)
{
    if (e->writes > 0 && !e->dispatch->closing)
        return;
    struct writing *w = xcalloc(1, sizeof *w);
    w->entry = e;
    w->row = capture_row_copy(&e->row);
    w->give = e->give;
    list_init(&w->waits);
    move_waits(&e->waits, &w->waits);
    e->give = 0;
    e->dirty = false;
    e->writes++;
    store_write(e->dispatch->store, update_row, on_updated, w);
}

static int update_row(struct db *db, void *arg)
{
    const struct writing *w = arg;
    return captures_update(db, &w->row);
}

/* Nothing that was not committed is sent, so nothing that was sent is forgotten. */
static void keep_for_later(struct entry *e, const struct writing *w, int r)
{
    struct dispatch *d = e->dispatch;
    e->dirty = true;
    e->give |= w->give;
    if (d->retry_ms == 0)
        log_err(r, "cannot store what became of capture %s, trying again", w->row.id);
    d->retry_wait_ms = d->retry_wait_ms ? d->retry_wait_ms * 2 : RETRY_MS;
    if (d->retry_wait_ms > RETRY_MOST_MS)
        d->retry_wait_ms = RETRY_MOST_MS;
    d->retry_ms = d->steady_ms() + d->retry_wait_ms;
}

static void on_updated(void *arg, int r)
{
    struct writing *w = arg;
    struct entry *e = w->entry;
    struct dispatch *d = e->dispatch;
    /* Removed by retention or by hand: there is nothing to keep any more. */
    bool gone = r == ERR_NOT_FOUND;
    if (r < 0 && !gone) {
        keep_for_later(e, w, r);
    } else {
        d->retry_ms = d->retry_wait_ms = 0;
        tell_host(e, w);
    }
    tell_waits(&w->waits, gone ? 0 : r, &w->row);
    capture_row_clear(&w->row);
    free(w);
    /* Only now: whoever is told may do something with this entry. */
    e->writes--;
    go_on(e, r, gone);
}

static void tell_host(struct entry *e, struct writing *w)
{
    if (!e->dirty) {
        w->give |= e->give;
        e->give = 0;
    }
    dispatch_give(e, &w->row, w->give);
}

static void go_on(struct entry *e, int r, bool gone)
{
    if (e->writes > 0 || e->dispatch->closing)
        return;
    if (gone) {
        tell_waits(&e->waits, 0, &e->row);
        forget(e);
    } else if (r >= 0 && e->dirty) {
        write_row(e);
    } else if (r >= 0) {
        dispatch_settle(e);
    }
}

/* ---- events ---------------------------------------------------------------------------------- */

/* What is sent waits for the row to be on disk, so that a start of ours never forgets what a
 * host was told. */
unsigned dispatch_event(struct entry *e, const struct capture_happening *h)
{
    enum capture_standing before = capture_standing(&e->row);
    unsigned bits = capture_happen(&e->row, h);
    enum capture_standing after = capture_standing(&e->row);
    if (before != after)
        log_debug("capture %s: %s -> %s (%s)", e->row.id, capture_standing_name(before),
                  capture_standing_name(after), capture_event_name(h->event));
    e->give |= bits & CAPTURE_GIVES;
    if (bits & CAPTURE_CHANGED) {
        dispatch_publish(e->dispatch, &e->row);
        e->dirty = true;
        write_row(e);
    } else if (!e->dirty && e->writes == 0) {
        unsigned due = e->give;
        e->give = 0;
        dispatch_give(e, &e->row, due);
        dispatch_settle(e);
    }
    return bits;
}

void dispatch_publish(struct dispatch *d, const struct capture_row *row)
{
    if (!live_watched(d->live))
        return;
    AUTOJSON json_t *event = json_object();
    json_set_string(event, "type", "capture");
    (void)json_object_set_new(event, "capture", capture_view(row));
    live_publish(d->live, event);
}

/* ---- messages to hosts ----------------------------------------------------------------------- */

void dispatch_on_send(struct dispatch *d, dispatch_send_cb send, dispatch_takes_cb takes, void *arg)
{
    d->send = send;
    d->takes = takes;
    d->send_arg = arg;
}

bool dispatch_takes(const struct dispatch *d, const char *host, const char *capability)
{
    return !d->takes || d->takes(d->send_arg, host, capability);
}

static bool send_message(struct dispatch *d, const char *host, const char *type, json_t *fields)
{
    return d->send && d->send(d->send_arg, host, type, fields);
}

static bool send_id(struct dispatch *d, const char *host, const char *type, const char *id)
{
    AUTOJSON json_t *fields = json_object();
    json_set_string(fields, "id", id);
    return send_message(d, host, type, fields);
}

void dispatch_ack(struct dispatch *d, const char *host, const char *id)
{
    (void)send_id(d, host, "capture.ack", id);
}

static void set_positive(json_t *fields, const char *name, int64_t value)
{
    if (value > 0)
        json_set_int(fields, name, value);
}

static bool send_start(struct dispatch *d, const struct capture_row *row)
{
    AUTOJSON json_t *fields = json_object();
    json_set_string(fields, "id", row->id);
    json_set_string(fields, "kind", row->kind);
    json_set_string(fields, "app", row->app);
    json_set_int(fields, "instance", row->instance);
    set_positive(fields, "pid", row->pid);
    set_positive(fields, "duration_ms", row->duration_ms);
    set_positive(fields, "interval_us", row->interval_us);
    set_positive(fields, "interval_bytes", row->interval_bytes);
    json_set_int(fields, "not_after_ms", row->not_after_ms);
    if (row->requester[0])
        json_set_string(fields, "requester", row->requester);
    json_set_string(fields, "role", row->role);
    return send_message(d, row->host, "capture.start", fields);
}

/* Its host left while the row was written: nothing of it has been sent ever. */
static void give_start(struct entry *e, const struct capture_row *row)
{
    struct dispatch *d = e->dispatch;
    if (send_start(d, row))
        e->given = true;
    if (e->given)
        return;
    const struct capture_happening h = {.event = CAPTURE_ON_MISSED, .now_ms = dispatch_now(d)};
    (void)dispatch_event(e, &h);
}

/* A wish goes after the start that it is about. */
void dispatch_give(struct entry *e, const struct capture_row *row, unsigned give)
{
    struct dispatch *d = e->dispatch;
    if (give & CAPTURE_GIVE_START)
        give_start(e, row);
    if (give & CAPTURE_GIVE_CANCEL)
        (void)send_id(d, row->host, "capture.cancel", row->id);
    else if (give & CAPTURE_GIVE_STOP)
        (void)send_id(d, row->host, "capture.stop", row->id);
    if (give & CAPTURE_GIVE_GET)
        (void)send_id(d, row->host, "capture.get", row->id);
    if (give & CAPTURE_GIVE_ACK)
        (void)send_id(d, row->host, "capture.ack", row->id);
}

/* ---- the clock ------------------------------------------------------------------------------- */

static void time_text(int64_t at_ms, char *out, size_t size)
{
    time_t at_s = (time_t)(at_ms / 1000);
    struct tm tm;
    if (!gmtime_r(&at_s, &tm) || strftime(out, size, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
        (void)snprintf(out, size, "long ago");
}

/* What is known about a capture whose end has not come. */
static const char *explain_due(const struct dispatch *d, const struct capture_row *row, char *out,
                               size_t size)
{
    char since[64];
    if (fleet_connected(d->fleet, row->host)) {
        (void)snprintf(out, size, "the host %s is connected, but its agent has not told of the end",
                       row->host_name);
        return err_name(UV_ETIMEDOUT);
    }
    time_text(fleet_since_ms(d->fleet, row->host), since, sizeof since);
    (void)snprintf(out, size, "the host %s is not connected since %s, so the end is not known",
                   row->host_name, since);
    return err_name(ERR_UNREACHABLE);
}

static bool is_revoked(const struct dispatch *d, const char *host)
{
    const struct host_row *row = fleet_get(d->fleet, host);
    return row && row->revoked_ms;
}

struct capture_happening dispatch_revocation(struct dispatch *d, const char *host_name, char *text,
                                             size_t size)
{
    (void)snprintf(text, size, "the host %s is revoked: nothing more will come from it", host_name);
    return (struct capture_happening){.event = CAPTURE_ON_REVOKED,
                                      .now_ms = dispatch_now(d),
                                      .code = err_name(ERR_REVOKED),
                                      .text = text};
}

/* What is to happen to it now; false: nothing. */
static bool is_time(struct entry *e, int64_t now_ms, struct capture_happening *ret_h, char *text,
                    size_t size)
{
    struct dispatch *d = e->dispatch;
    struct capture_happening h = {.now_ms = now_ms};
    /* Somebody beside us may have revoked it while we were away. */
    if (!e->row.ended_ms && is_revoked(d, e->row.host)) {
        *ret_h = dispatch_revocation(d, e->row.host_name, text, size);
        return true;
    }
    bool grace = d->steady_ms() < d->grace_until_ms;
    if (!capture_clock(&e->row, now_ms, grace, &h.event))
        return false;
    if (h.event == CAPTURE_ON_DUE) {
        h.code = explain_due(d, &e->row, text, size);
        h.text = text;
        log_warn(0, "capture %s of %s is given up: %s", e->row.id, e->row.app, text);
    }
    *ret_h = h;
    return true;
}

/* True when it has asked the store for something. */
static bool watch_entry(struct entry *e, int64_t now_ms)
{
    char text[DISPATCH_TEXT];
    struct capture_happening h;
    bool wrote = false;
    if (e->dirty && e->writes == 0 && e->dispatch->steady_ms() >= e->dispatch->retry_ms) {
        write_row(e);
        wrote = true;
    }
    if (!is_time(e, now_ms, &h, text, sizeof text))
        return wrote;
    return (dispatch_event(e, &h) & CAPTURE_CHANGED) || wrote;
}

static void on_watch(uv_timer_t *timer)
{
    struct dispatch *d = timer->data;
    int64_t now_ms = dispatch_now(d);
    struct entry *e;
    unsigned writes = 0;
    for (size_t i = 0; i < DISPATCH_BUCKETS; i++)
        LIST_EACH(e, &d->entries[i])
        {
            if (writes < WRITES && watch_entry(e, now_ms))
                writes++;
        }
}

/* ---- beginning and end ----------------------------------------------------------------------- */

struct dispatch *dispatch_new(uv_loop_t *loop, struct store *store, struct fleet *fleet,
                              struct live *live)
{
    struct dispatch *d = xcalloc(1, sizeof *d);
    d->loop = loop;
    d->store = store;
    d->fleet = fleet;
    d->live = live;
    for (size_t i = 0; i < DISPATCH_BUCKETS; i++)
        list_init(&d->entries[i]);
    list_init(&d->orders);
    d->wall_ms = loop_wall_ms;
    d->steady_ms = steady_ms;
    d->wall_base_ms = d->wall_ms();
    d->steady_base_ms = d->steady_ms();
    d->grace_until_ms = d->steady_base_ms + GRACE_MS;
    d->watch = xcalloc(1, sizeof *d->watch);
    (void)uv_timer_init(loop, d->watch);
    d->watch->data = d;
    (void)uv_timer_start(d->watch, on_watch, WATCH_MS, WATCH_MS);
    return d;
}

struct loading {
    struct dispatch *dispatch;
    struct capture_list rows;
    void (*done)(void *arg, int r);
    void *arg;
};

static int read_open(struct db *db, void *arg)
{
    struct loading *l = arg;
    const struct capture_filter filter = {.unended_only = true};
    return captures_list(db, &filter, &l->rows);
}

static void on_read(void *arg, int r)
{
    struct loading *l = arg;
    struct dispatch *d = l->dispatch;
    for (size_t i = 0; i < l->rows.count; i++) {
        struct capture_row *row = &l->rows.rows[i];
        if (!dispatch_find(d, row->id))
            (void)dispatch_adopt(d, row);
    }
    if (l->rows.count > 0)
        log_info("%zu captures had not ended when the console did", l->rows.count);
    d->grace_until_ms = d->steady_ms() + GRACE_MS;
    dispatch_end_revoked(d);
    capture_list_clear(&l->rows);
    if (l->done)
        l->done(l->arg, r < 0 ? r : 0);
    free(l);
}

void dispatch_load(struct dispatch *d, void (*done)(void *arg, int r), void *arg)
{
    struct loading *l = xcalloc(1, sizeof *l);
    *l = (struct loading){.dispatch = d, .done = done, .arg = arg};
    store_read(d->store, read_open, on_read, l);
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle);
}

/* What is not on disk gets its last chance while the store ends; a second write of a row comes
 * after its first. */
void dispatch_close(struct dispatch *d)
{
    struct entry *e;
    if (d->closing)
        return;
    d->closing = true;
    d->send = NULL;
    uv_close((uv_handle_t *)d->watch, on_watch_closed);
    for (size_t i = 0; i < DISPATCH_BUCKETS; i++)
        LIST_EACH(e, &d->entries[i])
        {
            if (e->dirty)
                write_row(e);
        }
}

void dispatch_free(struct dispatch *d)
{
    struct entry *e;
    if (!d)
        return;
    for (size_t i = 0; i < DISPATCH_BUCKETS; i++)
        LIST_EACH(e, &d->entries[i])
        {
            forget(e);
        }
    free(d);
}
