/* dispatch_host.c -- what hosts tell about captures: records, unknown ids, results. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "remote/dispatch_private.h"
#include "remote/fleet.h"
#include "remote/foreign.h"
#include "remote/store/store.h"

/* ---- hosts that come, and that are revoked --------------------------------------------------- */

/* What has ended is not in memory: it is read from the store, a page at a time. */
struct sweep {
    struct dispatch *dispatch;
    char host[UUID_TEXT];   /* "": all that are revoked */
    char before[UUID_TEXT]; /* "": the first page */
    bool revoked;
    uint64_t forgets;
    struct capture_list rows;
};

/* The steps, in the order in which they run. */
static void begin_page(struct sweep *s);
static int read_page(struct db *db, void *arg); /* in a thread */
static void on_page(void *arg, int r);
static void happen_to(struct dispatch *d, struct capture_row *row, bool revoked);

static void sweep(struct dispatch *d, const char *host, bool revoked)
{
    struct sweep *s = xcalloc(1, sizeof *s);
    s->dispatch = d;
    s->revoked = revoked;
    (void)snprintf(s->host, sizeof s->host, "%s", host);
    begin_page(s);
}

static void begin_page(struct sweep *s)
{
    s->forgets = s->dispatch->forgets;
    store_read(s->dispatch->store, read_page, on_page, s);
}

static int read_page(struct db *db, void *arg)
{
    struct sweep *s = arg;
    const struct capture_filter filter = {.host = s->host[0] ? s->host : NULL,
                                          .before = s->before[0] ? s->before : NULL,
                                          .open_only = true,
                                          .ended_only = true,
                                          .revoked_only = !s->host[0],
                                          .limit = LIMIT_PAGE_ROWS};
    return captures_list(db, &filter, &s->rows);
}

static bool goes_on(const struct sweep *s)
{
    const struct dispatch *d = s->dispatch;
    return !d->closing && (s->revoked || fleet_connected(d->fleet, s->host));
}

static void on_page(void *arg, int r)
{
    struct sweep *s = arg;
    struct dispatch *d = s->dispatch;
    size_t count = s->rows.count;
    if (r < 0)
        log_warn(r, "cannot read which captures are open, ignoring");
    for (size_t i = 0; i < count && goes_on(s); i++) {
        struct capture_row *row = &s->rows.rows[i];
        (void)snprintf(s->before, sizeof s->before, "%s", row->id);
        /* One that is at hand has had it, and one that was a moment ago may be read as it was
         * before: its host tells it again by itself. */
        if (!dispatch_find(d, row->id) && !dispatch_stale(d, row->id, s->forgets))
            happen_to(d, row, s->revoked);
    }
    capture_list_clear(&s->rows);
    if (count == LIMIT_PAGE_ROWS && goes_on(s))
        begin_page(s);
    else
        free(s);
}

static struct capture_happening no_results(const struct capture_row *row, int64_t now_ms,
                                           char *text, size_t size)
{
    (void)snprintf(text, size, "the agent of host %s brings no results", row->host_name);
    return (struct capture_happening){.event = CAPTURE_ON_NO_RESULTS,
                                      .now_ms = now_ms,
                                      .code = err_name(ERR_UNSUPPORTED),
                                      .text = text};
}

/* Takes the row. */
static void happen_to(struct dispatch *d, struct capture_row *row, bool revoked)
{
    char text[DISPATCH_TEXT];
    struct capture_happening h = {.event = CAPTURE_ON_HOST, .now_ms = dispatch_now(d)};
    bool owed = capture_standing(row) == STANDING_OWED;
    if (revoked)
        h = dispatch_revocation(d, row->host_name, text, sizeof text);
    else if (owed && !dispatch_takes(d, row->host, "blob"))
        h = no_results(row, h.now_ms, text, sizeof text);
    (void)dispatch_event(dispatch_adopt(d, row), &h);
}

void dispatch_host_open(struct dispatch *d, const char *host)
{
    char text[DISPATCH_TEXT];
    struct capture_happening h = {.event = CAPTURE_ON_HOST, .now_ms = dispatch_now(d)};
    struct entry *e;
    if (!dispatch_takes(d, host, "capture")) {
        const struct host_row *row = fleet_get(d->fleet, host);
        (void)snprintf(text, sizeof text, "the agent of host %s takes no captures",
                       row ? row->name : host);
        h.event = CAPTURE_ON_NO_CAPTURES;
        h.code = err_name(ERR_UNSUPPORTED);
        h.text = text;
    }
    for (size_t i = 0; i < DISPATCH_BUCKETS; i++)
        LIST_EACH(e, &d->entries[i])
        {
            if (str_eq(e->row.host, host))
                (void)dispatch_event(e, &h);
        }
    sweep(d, host, false);
}

void dispatch_host_revoked(struct dispatch *d, const char *host)
{
    struct entry *e;
    char text[DISPATCH_TEXT];
    for (size_t i = 0; i < DISPATCH_BUCKETS; i++)
        LIST_EACH(e, &d->entries[i])
        {
            if (!str_eq(e->row.host, host))
                continue;
            const struct capture_happening h =
                dispatch_revocation(d, e->row.host_name, text, sizeof text);
            (void)dispatch_event(e, &h);
        }
    sweep(d, host, true);
}

void dispatch_end_revoked(struct dispatch *d)
{
    sweep(d, "", true);
}

/* ---- whose it is ----------------------------------------------------------------------------- */

static int check_owner(const struct capture_row *row, const char *host, char *reterr_text,
                       size_t size)
{
    if (str_eq(row->host, host))
        return 0;
    (void)snprintf(reterr_text, size, "capture %s belongs to another host", row->id);
    return ERR_DENIED;
}

/* A host's own capture, but told as another: what it profiled is not what was asked for. */
static int check_record(const struct capture_row *row, const char *host,
                        const struct capture_record *r, char *reterr_text, size_t size)
{
    int e = check_owner(row, host, reterr_text, size);
    if (e < 0)
        return e;
    if (str_eq(row->app, r->app) && str_eq(row->kind, r->kind) && row->instance == r->instance)
        return 0;
    (void)snprintf(reterr_text, size, "capture %s was asked of another app, instance or kind",
                   row->id);
    return ERR_DENIED;
}

/* ---- what is not at hand --------------------------------------------------------------------- */

/* A capture that has ended, or that is none, and what was told of it. */
struct lookup {
    struct dispatch *dispatch;
    char host[UUID_TEXT];
    char id[UUID_TEXT];
    uint64_t forgets;
    struct capture_row row;
    void (*found)(struct lookup *l, int r); /* `r`: the store's; `row` may be at hand meanwhile */
    struct capture_record record;
    /* UNKNOWN, STORED, LOST */
    struct capture_happening happening;
    char code[CAPTURE_WORD];
    char *text;
    bool anew;
    dispatch_verdict_cb later;  /* of records and unknown ones */
    dispatch_blob_cb blob_done; /* of results */
    void *arg;
};

static int read_row(struct db *db, void *arg)
{
    struct lookup *l = arg;
    return captures_get(db, l->id, &l->row);
}

static void lookup_free(struct lookup *l)
{
    capture_record_clear(&l->record);
    capture_row_clear(&l->row);
    free(l->text);
    free(l);
}

static void read_it(struct lookup *l);

static void on_looked_up(void *arg, int r)
{
    struct lookup *l = arg;
    bool old = r == 0 && dispatch_stale(l->dispatch, l->id, l->forgets);
    if (old && !dispatch_find(l->dispatch, l->id)) {
        capture_row_clear(&l->row);
        read_it(l);
        return;
    }
    l->found(l, r);
    lookup_free(l);
}

static void read_it(struct lookup *l)
{
    l->forgets = l->dispatch->forgets;
    store_read(l->dispatch->store, read_row, on_looked_up, l);
}

static struct lookup *look_up(struct dispatch *d, const char *host, const char *id,
                              void (*found)(struct lookup *l, int r), void *arg)
{
    struct lookup *l = xcalloc(1, sizeof *l);
    l->dispatch = d;
    l->found = found;
    l->arg = arg;
    (void)snprintf(l->host, sizeof l->host, "%s", host);
    (void)snprintf(l->id, sizeof l->id, "%s", id);
    read_it(l);
    return l;
}

/* The row at hand, or the one that was found. */
static const struct capture_row *row_of(const struct lookup *l)
{
    const struct entry *e = dispatch_find(l->dispatch, l->id);
    return e ? &e->row : &l->row;
}

/* The entry, made of the row that was found when there is none. */
static struct entry *entry_of(struct lookup *l)
{
    struct entry *e = dispatch_find(l->dispatch, l->id);
    return e ? e : dispatch_adopt(l->dispatch, &l->row);
}

/* Neither in memory nor in the store: 1.  Else 0, or the store's error with a sentence. */
static int is_none(const struct lookup *l, int r, char *reterr_text, size_t size)
{
    if (r == 0 || dispatch_find(l->dispatch, l->id))
        return 0;
    if (r == ERR_NOT_FOUND)
        return 1;
    (void)snprintf(reterr_text, size, "capture %s cannot be looked up now: %s", l->id, err_str(r));
    return r;
}

/* ---- records --------------------------------------------------------------------------------- */

static void take(struct entry *e, const struct capture_record *r)
{
    struct dispatch *d = e->dispatch;
    char text[DISPATCH_TEXT];
    const struct capture_happening h = {
        .event = capture_event_of(r), .now_ms = dispatch_now(d), .record = r};
    (void)dispatch_event(e, &h);
    e = dispatch_find(d, r->id);
    if (!e || capture_standing(&e->row) != STANDING_OWED || dispatch_takes(d, e->row.host, "blob"))
        return;
    const struct capture_happening lost = no_results(&e->row, h.now_ms, text, sizeof text);
    (void)dispatch_event(e, &lost);
}

static int take_found(struct lookup *l, int r, char *reterr_text, size_t size)
{
    r = is_none(l, r, reterr_text, size);
    if (r == 1)
        dispatch_ack(l->dispatch, l->host, l->id);
    if (r != 0)
        return r < 0 ? r : 0;
    r = check_record(row_of(l), l->host, &l->record, reterr_text, size);
    if (r == 0 && !l->dispatch->closing)
        take(entry_of(l), &l->record);
    return r;
}

static void on_record_found(struct lookup *l, int r)
{
    char text[DISPATCH_TEXT] = "";
    r = take_found(l, r, text, sizeof text);
    l->later(l->arg, r, text);
}

int dispatch_take_record(struct dispatch *d, const char *host, const json_t *record,
                         char *reterr_text, size_t size, dispatch_verdict_cb later, void *arg)
{
    AUTOCAPTURERECORD struct capture_record r = {0};
    int e = capture_record_take(record, &r, reterr_text, size);
    if (e < 0)
        return e;
    struct entry *known = dispatch_find(d, r.id);
    if (!known) {
        struct lookup *l = look_up(d, host, r.id, on_record_found, arg);
        l->later = later;
        l->record = r;
        r.facts = NULL;
        return 1;
    }
    e = check_record(&known->row, host, &r, reterr_text, size);
    if (e == 0)
        take(known, &r);
    return e;
}

/* ---- what it does not know ------------------------------------------------------------------- */

/* A name as ours are, for it will stand among them. */
static const char *clean_code(const char *code)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    size_t len = strlen(code);
    bool fits = len >= 1 && len < CAPTURE_WORD && strspn(code, letters) == len;
    return fits ? code : err_name(ERR_FAILED);
}

static void keep_sentence(struct lookup *l, enum capture_event event, const char *code,
                          const char *text)
{
    (void)snprintf(l->code, sizeof l->code, "%s", code);
    l->text = xstrdup_null(text);
    l->happening = (struct capture_happening){.event = event, .code = l->code, .text = l->text};
}

static void happen(struct entry *e, struct capture_happening *h)
{
    h->now_ms = dispatch_now(e->dispatch);
    (void)dispatch_event(e, h);
}

static int unknown_found(struct lookup *l, int r, char *reterr_text, size_t size)
{
    r = is_none(l, r, reterr_text, size);
    if (r == 1)
        log_debug("the host %s knows nothing of capture %s, which is none", l->host, l->id);
    if (r != 0)
        return r < 0 ? r : 0;
    r = check_owner(row_of(l), l->host, reterr_text, size);
    if (r == 0 && !l->dispatch->closing)
        happen(entry_of(l), &l->happening);
    return r;
}

static void on_unknown_found(struct lookup *l, int r)
{
    char text[DISPATCH_TEXT] = "";
    r = unknown_found(l, r, text, sizeof text);
    l->later(l->arg, r, text);
}

int dispatch_take_unknown(struct dispatch *d, const char *host, const char *id, const char *code,
                          const char *text, char *reterr_text, size_t size,
                          dispatch_verdict_cb later, void *arg)
{
    char clean[RECORD_MESSAGE_MAX + 1];
    struct entry *e = dispatch_find(d, id);
    foreign_copy(clean, sizeof clean, text);
    if (!e) {
        struct lookup *l = look_up(d, host, id, on_unknown_found, arg);
        l->later = later;
        keep_sentence(l, CAPTURE_ON_UNKNOWN, clean_code(code), clean);
        return 1;
    }
    int r = check_owner(&e->row, host, reterr_text, size);
    struct capture_happening h = {
        .event = CAPTURE_ON_UNKNOWN, .code = clean_code(code), .text = clean};
    if (r == 0)
        happen(e, &h);
    return r;
}

/* ---- results --------------------------------------------------------------------------------- */

static int judge_blob(const struct lookup *l, const struct capture_row *row, char *reterr_text,
                      size_t size)
{
    int r = check_owner(row, l->host, reterr_text, size);
    if (r < 0)
        return r;
    if (row->was_stored) {
        (void)snprintf(reterr_text, size, "the result of capture %s has come already", row->id);
        return ERR_EXISTS;
    }
    if (capture_standing(row) == STANDING_OWED)
        return 0;
    (void)snprintf(reterr_text, size, "capture %s has no result to bring: it is %s", row->id,
                   row->state);
    return ERR_INVALID;
}

static void on_blob_found(struct lookup *l, int r)
{
    char text[DISPATCH_TEXT] = "";
    r = is_none(l, r, text, sizeof text);
    if (r == 1) {
        (void)snprintf(text, sizeof text, "there is no capture %s", l->id);
        r = ERR_NOT_FOUND;
    }
    if (r == 0)
        r = judge_blob(l, row_of(l), text, sizeof text);
    l->blob_done(l->arg, r, text, r == 0 ? row_of(l) : NULL);
}

void dispatch_expects_blob(struct dispatch *d, const char *host, const char *capture,
                           dispatch_blob_cb done, void *arg)
{
    struct lookup *l = look_up(d, host, capture, on_blob_found, arg);
    l->blob_done = done;
}

static void on_happened_found(struct lookup *l, int r)
{
    struct dispatch *d = l->dispatch;
    char text[DISPATCH_TEXT];
    if (is_none(l, r, text, sizeof text) != 0) {
        /* Its row was removed: its host need not keep it either. */
        if (r == ERR_NOT_FOUND)
            dispatch_ack(d, l->host, l->id);
        return;
    }
    if (d->closing)
        return;
    struct entry *e = entry_of(l);
    /* profiles_add() has settled the row: there is nothing to write that would tell of it. */
    if (l->anew && capture_standing(&e->row) == STANDING_SETTLED)
        dispatch_publish(d, &e->row);
    happen(e, &l->happening);
}

void dispatch_blob_stored(struct dispatch *d, const char *host, const char *capture, bool anew)
{
    struct entry *e = dispatch_find(d, capture);
    struct capture_happening h = {.event = CAPTURE_ON_STORED};
    if (e) {
        happen(e, &h);
        return;
    }
    struct lookup *l = look_up(d, host, capture, on_happened_found, NULL);
    l->happening = h;
    l->anew = anew;
}

void dispatch_blob_lost(struct dispatch *d, const char *host, const char *capture, int error,
                        const char *text)
{
    struct entry *e = dispatch_find(d, capture);
    struct capture_happening h = {.event = CAPTURE_ON_LOST, .code = err_name(error), .text = text};
    if (e) {
        happen(e, &h);
        return;
    }
    struct lookup *l = look_up(d, host, capture, on_happened_found, NULL);
    keep_sentence(l, CAPTURE_ON_LOST, h.code, text);
}
