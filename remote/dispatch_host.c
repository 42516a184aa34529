/* dispatch_host.c -- what hosts tell about captures: records, unknown ids, results. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "remote/dispatch_private.h"
#include "remote/foreign.h"
#include "remote/store/store.h"

void dispatch_host_open(struct dispatch *d, const char *host)
{
    const struct capture_happening h = {.event = CAPTURE_ON_HOST, .now_ms = loop_wall_ms()};
    struct entry *e;
    for (size_t i = 0; i < DISPATCH_BUCKETS; i++)
        LIST_EACH(e, &d->entries[i])
    if (str_eq(e->row.host, host))
        (void)dispatch_event(e, &h);
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

/* ---- records --------------------------------------------------------------------------------- */

/* A record of a capture that is not at hand: settled long ago, or none. */
struct lookup {
    struct dispatch *dispatch;
    char host[UUID_TEXT];
    char id[UUID_TEXT];
    struct capture_record record;
    struct capture_row row;
    dispatch_verdict_cb later;  /* of records */
    dispatch_blob_cb blob_done; /* of results */
    void *arg;
};

static int read_row(struct db *db, void *arg)
{
    struct lookup *l = arg;
    return captures_get(db, l->id, &l->row);
}

static struct lookup *look_up(struct dispatch *d, const char *host, const char *id,
                              store_done_cb done, void *arg)
{
    struct lookup *l = xcalloc(1, sizeof *l);
    l->dispatch = d;
    l->arg = arg;
    (void)snprintf(l->host, sizeof l->host, "%s", host);
    (void)snprintf(l->id, sizeof l->id, "%s", id);
    store_read(d->store, read_row, done, l);
    return l;
}

static void lookup_free(struct lookup *l)
{
    capture_record_clear(&l->record);
    capture_row_clear(&l->row);
    free(l);
}

static void take(struct entry *e, const struct capture_record *r)
{
    const struct capture_happening h = {
        .event = capture_event_of(r), .now_ms = loop_wall_ms(), .record = r};
    (void)dispatch_event(e, &h);
}

/* Found in the store, or not: `r` is the store's. */
static int take_found(struct lookup *l, int r, char *reterr_text, size_t size)
{
    struct dispatch *d = l->dispatch;
    struct entry *e = dispatch_find(d, l->id);
    if (!e && r == ERR_NOT_FOUND) {
        dispatch_ack(d, l->host, l->id);
        return 0;
    }
    if (!e && r < 0) {
        (void)snprintf(reterr_text, size, "capture %s cannot be looked up now: %s", l->id,
                       err_str(r));
        return r;
    }
    r = check_record(e ? &e->row : &l->row, l->host, &l->record, reterr_text, size);
    if (r < 0)
        return r;
    if (!e && d->closing)
        return 0;
    if (!e && capture_standing(&l->row) == STANDING_SETTLED) {
        if (l->record.state > CAPTURE_RUNNING)
            dispatch_ack(d, l->host, l->id);
        return 0;
    }
    take(e ? e : dispatch_adopt(d, &l->row), &l->record);
    return 0;
}

static void on_record_looked_up(void *arg, int r)
{
    struct lookup *l = arg;
    char text[DISPATCH_TEXT] = "";
    r = take_found(l, r, text, sizeof text);
    l->later(l->arg, r, text);
    lookup_free(l);
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
        struct lookup *l = look_up(d, host, r.id, on_record_looked_up, arg);
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

int dispatch_take_unknown(struct dispatch *d, const char *host, const char *id, const char *code,
                          const char *text, char *reterr_text, size_t size)
{
    char clean[RECORD_MESSAGE_MAX + 1];
    struct entry *e = dispatch_find(d, id);
    if (!e) {
        log_debug("the host %s knows nothing of capture %s, which is not open", host, id);
        return 0;
    }
    int r = check_owner(&e->row, host, reterr_text, size);
    if (r < 0)
        return r;
    foreign_copy(clean, sizeof clean, text);
    const struct capture_happening h = {.event = CAPTURE_ON_UNKNOWN,
                                        .now_ms = loop_wall_ms(),
                                        .code = clean_code(code),
                                        .text = clean};
    (void)dispatch_event(e, &h);
    return 0;
}

/* ---- results --------------------------------------------------------------------------------- */

static int judge_blob(const struct lookup *l, const struct capture_row *row, char *reterr_text,
                      size_t size)
{
    int r = check_owner(row, l->host, reterr_text, size);
    if (r < 0)
        return r;
    if (row->has_profile) {
        (void)snprintf(reterr_text, size, "the result of capture %s is here", row->id);
        return ERR_EXISTS;
    }
    if (capture_standing(row) == STANDING_OWED)
        return 0;
    (void)snprintf(reterr_text, size, "capture %s has no result to bring: it is %s", row->id,
                   row->state);
    return ERR_INVALID;
}

static void on_blob_looked_up(void *arg, int r)
{
    struct lookup *l = arg;
    struct dispatch *d = l->dispatch;
    char text[DISPATCH_TEXT] = "";
    struct entry *e = dispatch_find(d, l->id);
    if (e || r == 0)
        r = judge_blob(l, e ? &e->row : &l->row, text, sizeof text);
    else
        (void)snprintf(text, sizeof text,
                       r == ERR_NOT_FOUND ? "there is no capture %s"
                                          : "capture %s cannot be looked up now",
                       l->id);
    /* It changes when the result is here. */
    if (r == 0 && !e && !d->closing)
        e = dispatch_adopt(d, &l->row);
    l->blob_done(l->arg, r, text, r == 0 ? (e ? &e->row : &l->row) : NULL);
    lookup_free(l);
}

void dispatch_expects_blob(struct dispatch *d, const char *host, const char *capture,
                           dispatch_blob_cb done, void *arg)
{
    struct lookup *l = look_up(d, host, capture, on_blob_looked_up, arg);
    l->blob_done = done;
}

void dispatch_blob_stored(struct dispatch *d, const char *host, const char *capture)
{
    struct entry *e = dispatch_find(d, capture);
    if (!e) {
        dispatch_ack(d, host, capture);
        return;
    }
    const struct capture_happening h = {.event = CAPTURE_ON_STORED, .now_ms = loop_wall_ms()};
    (void)dispatch_event(e, &h);
}

void dispatch_blob_lost(struct dispatch *d, const char *capture, int error, const char *text)
{
    struct entry *e = dispatch_find(d, capture);
    if (!e)
        return;
    const struct capture_happening h = {
        .event = CAPTURE_ON_LOST, .now_ms = loop_wall_ms(), .code = err_name(error), .text = text};
    (void)dispatch_event(e, &h);
}
