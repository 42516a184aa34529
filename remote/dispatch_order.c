/* dispatch_order.c -- what people ask for: captures on some processes, and their end. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "remote/dispatch_private.h"
#include "remote/fleet.h"
#include "remote/foreign.h"
#include "remote/store/accounts.h"
#include "remote/store/store.h"

enum { WAIT_DEFAULT_MS = 60 * 1000 };

/* One order on its way into the store. */
struct order {
    struct list link; /* in dispatch->orders */
    struct dispatch *dispatch;
    int64_t jumped_ms;         /* of the dispatch, when its rows were made */
    bool adding;               /* its rows count among those that are open */
    struct list endings;       /* of struct ending: stop and cancel that came meanwhile */
    struct capture_list rows;  /* what it makes */
    struct capture_list found; /* what its id has made before */
    bool id_taken;             /* by a capture of another order */
    bool noted;                /* with `note` */
    struct audit_row note;
    unsigned give;
    int r; /* why it is refused before anything was looked up */
    char text[DISPATCH_TEXT];
    dispatch_cb done;
    void *arg;
};

/* The steps, in the order in which they run. */
static void check_order(struct order *o, const struct capture_order *order);
static int find_order(struct db *db, void *arg); /* in a thread */
static void on_order_found(void *arg, int r);
static void answer_again(struct order *o);
static void check_targets(struct order *o);
static int add_rows(struct db *db, void *arg); /* in a thread */
static void on_rows_added(void *arg, int r);
static void end_order(struct order *o, int r, const struct capture_list *rows);
static void go_on_with_endings(struct order *o);

/* ---- beginning ------------------------------------------------------------------------------- */

static void refuse(struct order *o, int r, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void refuse(struct order *o, int r, const char *fmt, ...)
{
    va_list ap;
    if (o->r < 0)
        return;
    o->r = r;
    va_start(ap, fmt);
    (void)vsnprintf(o->text, sizeof o->text, fmt, ap);
    va_end(ap);
}

static bool too_long(const char *text, size_t max)
{
    return !text || strlen(text) > max;
}

static void check_order(struct order *o, const struct capture_order *order)
{
    bool cpu = str_eq(order->kind, "cpu"), heap = str_eq(order->kind, "heap");
    if (!order->id || !uuid_valid_v7(order->id))
        refuse(o, ERR_INVALID, "the order's id must be a UUID of version 7");
    if (!cpu && !heap)
        refuse(o, ERR_UNSUPPORTED,
               "kind \"%.40s\" is not supported: a capture is of kind cpu or heap",
               order->kind ? order->kind : "");
    if ((order->interval_us && !cpu) || (order->interval_bytes && !heap))
        refuse(o, ERR_INVALID, "interval_us is for cpu, interval_bytes for heap");
    if (order->duration_ms < 0 || order->duration_ms > LIMIT_CAPTURE_LONGEST_MS)
        refuse(o, ERR_INVALID, "a capture lasts at most %d hours",
               LIMIT_CAPTURE_LONGEST_MS / 3600000);
    if (order->wait_ms < 0 || order->wait_ms > LIMIT_COMMAND_WAIT_MS)
        refuse(o, ERR_INVALID, "a capture waits for its host at most %d hours",
               LIMIT_COMMAND_WAIT_MS / 3600000);
    if (order->target_count == 0 || order->target_count > LIMIT_CAPTURE_TARGETS)
        refuse(o, ERR_INVALID, "an order has 1 to %u targets", LIMIT_CAPTURE_TARGETS);
    if (!order->requester || too_long(order->role, CAPTURE_ROLE - 1))
        refuse(o, ERR_INVALID, "it is not said who asks");
    for (size_t i = 0; o->r == 0 && i < order->target_count; i++)
        if (too_long(order->targets[i].host, UUID_TEXT - 1) ||
            too_long(order->targets[i].app, LIMIT_NAME))
            refuse(o, ERR_INVALID, "targets[%zu]: the name is too long", i);
}

static void fill_row(struct capture_row *row, const struct capture_order *order, size_t i,
                     int64_t now_ms)
{
    const struct capture_target *target = &order->targets[i];
    if (order->target_count == 1)
        (void)snprintf(row->id, sizeof row->id, "%s", order->id);
    else
        uuid_make(row->id);
    (void)snprintf(row->request, sizeof row->request, "%s", order->id);
    (void)snprintf(row->host, sizeof row->host, "%s", target->host);
    (void)snprintf(row->kind, sizeof row->kind, "%s", order->kind);
    (void)snprintf(row->app, sizeof row->app, "%s", target->app);
    /* The name of a token may be longer than what is kept. */
    foreign_copy(row->requester, sizeof row->requester, order->requester);
    (void)snprintf(row->role, sizeof row->role, "%s", order->role);
    (void)snprintf(row->state, sizeof row->state, "%s", capture_state_name(CAPTURE_QUEUED));
    row->instance = target->instance;
    row->pid = target->pid;
    row->duration_ms = order->duration_ms;
    row->interval_us = order->interval_us;
    row->interval_bytes = order->interval_bytes;
    row->created_ms = now_ms;
    row->not_after_ms = now_ms + (order->wait_ms ? order->wait_ms : WAIT_DEFAULT_MS);
}

void dispatch_start(struct dispatch *d, const struct capture_order *order, dispatch_cb done,
                    void *arg)
{
    struct order *o = xcalloc(1, sizeof *o);
    int64_t now_ms = dispatch_now(d);
    o->dispatch = d;
    o->jumped_ms = d->jumped_ms;
    o->done = done;
    o->arg = arg;
    list_init(&o->endings);
    list_add(&d->orders, &o->link, o);
    check_order(o, order);
    o->noted = order->note != NULL;
    if (o->noted)
        o->note = *order->note;
    if (o->r == 0) {
        o->rows.rows = xcalloc(order->target_count, sizeof *o->rows.rows);
        o->rows.count = order->target_count;
        for (size_t i = 0; i < order->target_count; i++)
            fill_row(&o->rows.rows[i], order, i, now_ms);
    }
    store_read(d->store, find_order, on_order_found, o);
}

/* ---- was it asked before? -------------------------------------------------------------------- */

static int find_order(struct db *db, void *arg)
{
    struct order *o = arg;
    if (o->r < 0)
        return o->r;
    struct capture_row row = {0};
    const struct capture_filter filter = {.request = o->rows.rows[0].request,
                                          .limit = LIMIT_CAPTURE_TARGETS + 1};
    int r = captures_list(db, &filter, &o->found);
    if (r < 0 || o->found.count > 0)
        return r;
    r = captures_get(db, filter.request, &row);
    o->id_taken = r == 0;
    capture_row_clear(&row);
    return r == ERR_NOT_FOUND ? 0 : r;
}

static void on_order_found(void *arg, int r)
{
    struct order *o = arg;
    if (r < 0) {
        end_order(o, r, NULL);
        return;
    }
    if (o->found.count > 0) {
        answer_again(o);
        return;
    }
    if (o->id_taken)
        refuse(o, ERR_EXISTS, "this id is a capture's of another order");
    check_targets(o);
    if (o->r < 0)
        end_order(o, o->r, NULL);
    else
        store_write(o->dispatch->store, add_rows, on_rows_added, o);
}

static bool same_capture(const struct capture_row *a, const struct capture_row *b)
{
    return str_eq(a->host, b->host) && str_eq(a->app, b->app) && a->instance == b->instance &&
           a->pid == b->pid && str_eq(a->kind, b->kind) && a->duration_ms == b->duration_ms &&
           a->interval_us == b->interval_us && a->interval_bytes == b->interval_bytes &&
           str_eq(a->requester, b->requester);
}

static bool in_list(const struct capture_row *row, const struct capture_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (same_capture(row, &list->rows[i]))
            return true;
    return false;
}

/* The rows at hand are newer than what was read. */
static void freshen(struct dispatch *d, struct capture_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct entry *e = dispatch_find(d, list->rows[i].id);
        if (!e)
            continue;
        capture_row_clear(&list->rows[i]);
        list->rows[i] = capture_row_copy(&e->row);
    }
}

static void answer_again(struct order *o)
{
    bool same = o->found.count == o->rows.count;
    for (size_t i = 0; same && i < o->rows.count; i++)
        same = in_list(&o->rows.rows[i], &o->found);
    if (!same)
        refuse(o, ERR_EXISTS, "this id was used for another order");
    freshen(o->dispatch, &o->found);
    end_order(o, o->r, &o->found);
}

/* ---- new captures ---------------------------------------------------------------------------- */

static void check_target(struct order *o, struct capture_row *row, size_t i)
{
    char why[DISPATCH_TEXT - 64] = "";
    const struct fleet *fleet = o->dispatch->fleet;
    int r =
        fleet_check_target(fleet, row->host, row->app, row->instance, row->kind, why, sizeof why);
    if (r < 0 && o->rows.count == 1)
        refuse(o, r, "%s", why);
    else if (r < 0)
        refuse(o, r, "targets[%zu]: %s", i, why);
    else
        (void)snprintf(row->host_name, sizeof row->host_name, "%s",
                       fleet_get(fleet, row->host)->name);
    for (size_t other = 0; other < i; other++)
        if (same_capture(row, &o->rows.rows[other]))
            refuse(o, ERR_INVALID, "targets[%zu] is the same process as targets[%zu]", i, other);
}

/* Rows of orders that are being written, and entries; of one host, or of all (NULL). */
static size_t unended(const struct dispatch *d, const char *host)
{
    const struct entry *e;
    const struct order *o;
    size_t count = 0;
    for (size_t i = 0; i < DISPATCH_BUCKETS; i++)
        LIST_EACH(e, &d->entries[i])
        {
            count += !e->row.ended_ms && (!host || str_eq(e->row.host, host));
        }
    LIST_EACH(o, &d->orders)
    {
        for (size_t i = 0; o->adding && i < o->rows.count; i++)
            count += !host || str_eq(o->rows.rows[i].host, host);
    }
    return count;
}

static void check_room_of(struct order *o, size_t first)
{
    const struct capture_row *row = &o->rows.rows[first];
    size_t wanted = 0;
    for (size_t i = 0; i < o->rows.count; i++) {
        bool same = str_eq(o->rows.rows[i].host, row->host);
        /* Counted with the first of it. */
        if (same && i < first)
            return;
        wanted += same;
    }
    size_t open = unended(o->dispatch, row->host);
    if (open + wanted > LIMIT_HOST_CAPTURES)
        refuse(o, ERR_BUSY, "%zu captures of the host %s have not ended: %u is the limit", open,
               row->host, LIMIT_HOST_CAPTURES);
}

static void check_room(struct order *o)
{
    size_t open = unended(o->dispatch, NULL);
    if (open + o->rows.count > LIMIT_OPEN_CAPTURES)
        refuse(o, ERR_BUSY, "%zu captures have not ended: %u is the limit", open,
               LIMIT_OPEN_CAPTURES);
    for (size_t i = 0; o->r == 0 && i < o->rows.count; i++)
        check_room_of(o, i);
}

static void check_targets(struct order *o)
{
    struct dispatch *d = o->dispatch;
    if (d->closing)
        refuse(o, ERR_STOPPING, "the console is shutting down");
    check_room(o);
    for (size_t i = 0; o->r == 0 && i < o->rows.count; i++)
        check_target(o, &o->rows.rows[i], i);
    if (o->r < 0)
        return;
    /* Those whose host is here are given to it with their first commit. */
    const struct capture_happening h = {.event = CAPTURE_ON_HOST, .now_ms = dispatch_now(d)};
    for (size_t i = 0; i < o->rows.count; i++)
        if (fleet_connected(d->fleet, o->rows.rows[i].host))
            (void)capture_happen(&o->rows.rows[i], &h);
    o->adding = true;
}

/* The same order may have been written since it was looked for. */
static int add_rows(struct db *db, void *arg)
{
    struct order *o = arg;
    int r = find_order(db, o);
    if (r < 0 || o->found.count > 0 || o->id_taken)
        return r;
    for (size_t i = 0; r >= 0 && i < o->rows.count; i++)
        r = captures_add(db, &o->rows.rows[i]);
    if (r < 0 || !o->noted)
        return r;
    capture_describe(&o->rows, o->note.text, sizeof o->note.text);
    return audit_add(db, &o->note);
}

static void begin(struct order *o, const struct capture_row *row)
{
    struct dispatch *d = o->dispatch;
    const struct capture_happening h = {.event = CAPTURE_ON_HOST, .now_ms = dispatch_now(d)};
    struct capture_row copy = capture_row_copy(row);
    struct entry *e = dispatch_adopt(d, &copy);
    e->given = false;
    e->dirty = dispatch_move_times(d, &e->row, o->jumped_ms);
    dispatch_publish(d, &e->row);
    /* The host may have come while the row was written, or gone. */
    if (e->row.sent_ms)
        dispatch_give(e, &e->row, CAPTURE_GIVE_START);
    else if (fleet_connected(d->fleet, e->row.host))
        (void)dispatch_event(e, &h);
}

static void on_rows_added(void *arg, int r)
{
    struct order *o = arg;
    o->adding = false;
    if (r >= 0 && o->found.count > 0) {
        answer_again(o);
        return;
    }
    if (r >= 0 && o->id_taken)
        r = ERR_EXISTS;
    if (r == ERR_EXISTS)
        refuse(o, r, "this id was used for another order");
    for (size_t i = 0; r >= 0 && i < o->rows.count; i++)
        begin(o, &o->rows.rows[i]);
    end_order(o, r, &o->rows);
}

static void end_order(struct order *o, int r, const struct capture_list *rows)
{
    list_remove(&o->link);
    if (r < 0)
        o->done(o->arg, r, o->text[0] ? o->text : NULL, NULL);
    else
        o->done(o->arg, rows == &o->found, NULL, rows);
    go_on_with_endings(o);
    capture_list_clear(&o->rows);
    capture_list_clear(&o->found);
    free(o);
}

/* ---- stop and cancel ------------------------------------------------------------------------- */

/* One request to end captures; told when all rows are committed. */
struct ending {
    struct list link; /* in order->endings, while that is being written */
    struct dispatch *dispatch;
    char id[UUID_TEXT];
    bool cancel;
    struct capture_list rows; /* as committed */
    struct wait *waits;       /* one per row */
    size_t waiting;
    int r;
    dispatch_cb done;
    void *arg;
};

static void begin_ending(struct ending *n);
static void on_committed(struct wait *w, int r, const struct capture_row *row);
static int find_any(struct db *db, void *arg); /* in a thread */
static void on_any_found(void *arg, int r);
static void end_ending(struct ending *n, int r, const char *text);

static bool is_meant(const struct entry *e, const char *id)
{
    return str_eq(e->row.id, id) || str_eq(e->row.request, id);
}

static void end_capture(struct ending *n, struct entry *e)
{
    const struct capture_happening h = {.event = n->cancel ? CAPTURE_ON_CANCEL : CAPTURE_ON_STOP,
                                        .now_ms = dispatch_now(n->dispatch)};
    struct wait *w = &n->waits[n->waiting];
    *w = (struct wait){.committed = on_committed, .owner = n};
    list_add(&e->waits, &w->link, w);
    if (dispatch_event(e, &h) & CAPTURE_CHANGED) {
        n->waiting++;
        return;
    }
    list_remove(&w->link);
    dispatch_settle(e);
}

void dispatch_stop(struct dispatch *d, const char *id, bool cancel, dispatch_cb done, void *arg)
{
    struct ending *n = xcalloc(1, sizeof *n);
    n->dispatch = d;
    n->cancel = cancel;
    n->done = done;
    n->arg = arg;
    (void)snprintf(n->id, sizeof n->id, "%s", id);
    n->waits = xcalloc(LIMIT_CAPTURE_TARGETS, sizeof *n->waits);
    n->rows.rows = xcalloc(LIMIT_CAPTURE_TARGETS, sizeof *n->rows.rows);
    begin_ending(n);
}

/* Its order, while that is being looked for or written: nothing of it is at hand yet. */
static struct order *order_of(struct dispatch *d, const char *id)
{
    struct order *o;
    LIST_EACH(o, &d->orders)
    {
        if (o->rows.count > 0 && str_eq(o->rows.rows[0].request, id))
            return o;
    }
    return NULL;
}

static void begin_ending(struct ending *n)
{
    struct dispatch *d = n->dispatch;
    struct order *o = order_of(d, n->id);
    struct entry *e;
    if (o) {
        list_add(&o->endings, &n->link, n);
        return;
    }
    for (size_t i = 0; i < DISPATCH_BUCKETS; i++)
        LIST_EACH(e, &d->entries[i])
        {
            if (is_meant(e, n->id) && n->waiting < LIMIT_CAPTURE_TARGETS)
                end_capture(n, e);
        }
    if (n->waiting == 0)
        store_read(d->store, find_any, on_any_found, n);
}

static void go_on_with_endings(struct order *o)
{
    struct ending *n;
    LIST_EACH(n, &o->endings)
    {
        list_remove(&n->link);
        begin_ending(n);
    }
}

static void on_committed(struct wait *w, int r, const struct capture_row *row)
{
    struct ending *n = w->owner;
    if (r < 0)
        n->r = r;
    else
        n->rows.rows[n->rows.count++] = capture_row_copy(row);
    if (--n->waiting == 0)
        end_ending(n, n->r, NULL);
}

/* Nothing of it is open: has it ended, or was it never? */
static int find_any(struct db *db, void *arg)
{
    const struct ending *n = arg;
    struct capture_row row = {0};
    struct capture_list list = {0};
    const struct capture_filter filter = {.request = n->id, .limit = 1};
    int r = captures_get(db, n->id, &row);
    capture_row_clear(&row);
    if (r != ERR_NOT_FOUND)
        return r;
    r = captures_list(db, &filter, &list);
    bool found = list.count > 0;
    capture_list_clear(&list);
    return r < 0 || found ? r : ERR_NOT_FOUND;
}

static void on_any_found(void *arg, int r)
{
    struct ending *n = arg;
    if (r >= 0)
        end_ending(n, ERR_NOT_RUNNING, "it has ended already");
    else
        end_ending(n, r, r == ERR_NOT_FOUND ? "there is no such capture or order" : NULL);
}

static void end_ending(struct ending *n, int r, const char *text)
{
    n->done(n->arg, r < 0 ? r : 0, text, r < 0 ? NULL : &n->rows);
    capture_list_clear(&n->rows);
    free(n->waits);
    free(n);
}
