#include "agent/delivery.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "agent/captures.h"
#include "agent/listing.h"
#include "agent/record.h"
#include "agent/spool.h"
#include "agent/transfer.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/base/uuid.h"

enum {
    /* Records that are read at once, and told before the socket has taken what is queued: they are
       small next to LIMIT_CHANNEL_QUEUE, whatever is in them. */
    BATCH = 16,
    UNTAKEN_MAX = 32,
    /* A console that refuses a result for now is asked again no sooner, whatever it says, and after twice as long each time; the
       first time later when it was our descriptor table that was full. */
    RETRY_MIN_MS = 1000,
    RETRY_MAX_MS = 300000,
    RETRY_OURS_MS = 5000,
    /* A result that gets no further for so long makes room for the others, and is begun again later.
       A console that is gone is found out sooner, by the uplink. */
    STALLED_MS = 120000,
    STALLED_LOOK_MS = 10000,
    STALLED_RETRY_MS = 60000,
};

/* A capture of the console whose end it has not acknowledged. */
struct owed {
    struct list link;
    char id[UUID_TEXT];
    bool to_tell;            /* the record is to be told */
    bool being_read;         /* for that */
    bool ended;              /* told so on this connection */
    bool has_result;         /* and that there is one */
    bool settled;            /* the result is there, or was given up on this connection */
    bool refused;            /* the console wants the result never */
    bool acknowledged;       /* and that is being noted */
    uint64_t not_before;     /* on the loop's clock: the next try */
    int64_t retry_ms;        /* the least wait of the next time; 0: it was not put off yet */
    struct sending *sending; /* NULL: its result is not on its way */
};

/* A result on its way. */
struct sending {
    struct list link;
    struct delivery *owner;
    struct owed *owed;
    uint32_t blob;
    struct transfer *transfer;
    json_t *end; /* the fields of blob.end; NULL: it was sent */
    uint64_t moved_at;
};

struct delivery {
    struct captures *cs;
    uv_loop_t *loop;
    struct delivery_channel channel;
    bool open;
    bool moved; /* something was acknowledged on this connection */
    bool freed;
    struct list owed;    /* of struct owed, the oldest first */
    struct list sending; /* of struct sending, in the order in which they get their turn */
    uint32_t blobs;      /* numbers used on this connection */
    unsigned untaken;    /* records told since the socket last took something */
    unsigned users;      /* threads and amendments that will come back */
    bool listing;
    struct strlist listed; /* ids of the records that are being read */
    uv_timer_t *retry;     /* both NULL while closed */
    uv_timer_t *stalled;
};

static void on_changed(void *arg, const struct record *r);
static void on_packed(void *arg, const char *id);
static void on_found(void *arg, const char *id);
static void on_refused(void *arg, const char *id, int error, const char *text);
static void on_told(struct listing *l, json_t *result);
static void on_marked(void *arg, int result, const struct record *r);
static void on_retry(uv_timer_t *timer);
static void on_stalled(uv_timer_t *timer);
static void on_ready(void *arg, int result);
static void begin_blobs(struct delivery *d);

/* ---- what is owed ---------------------------------------------------------------------------- */

static struct owed *owed_find(struct delivery *d, const char *id)
{
    /* The newest are those that are spoken of. */
    for (struct list *l = d->owed.prev; l != &d->owed; l = l->prev) {
        struct owed *o = l->owner;
        if (str_eq(o->id, id))
            return o;
    }
    return NULL;
}

static struct owed *owed_get(struct delivery *d, const char *id)
{
    struct owed *o = owed_find(d, id);
    if (o)
        return o;
    o = xcalloc(1, sizeof *o);
    (void)snprintf(o->id, sizeof o->id, "%s", id);
    list_add(&d->owed, &o->link, o);
    return o;
}

static void sending_end(struct sending *s)
{
    list_remove(&s->link);
    s->owed->sending = NULL;
    transfer_free(s->transfer);
    json_decref(s->end);
    free(s);
}

static void owed_drop(struct owed *o)
{
    if (o->sending)
        sending_end(o->sending);
    list_remove(&o->link);
    free(o);
}

/* ---- opening and closing --------------------------------------------------------------------- */

struct delivery *delivery_new(struct captures *cs)
{
    struct delivery *d = xcalloc(1, sizeof *d);
    d->cs = cs;
    d->loop = cs->home.loop;
    list_init(&d->owed);
    list_init(&d->sending);
    cs->watch = (struct captures_watch){.arg = d,
                                        .changed = on_changed,
                                        .found = on_found,
                                        .packed = on_packed,
                                        .refused = on_refused};
    return d;
}

static void drop_all(struct delivery *d)
{
    struct owed *o;
    LIST_EACH(o, &d->owed)
    owed_drop(o);
}

/* What comes back from a thread finds it, so the last of them frees it. */
static void free_unused(struct delivery *d)
{
    if (d->freed && d->users == 0)
        free(d);
}

void delivery_free(struct delivery *d)
{
    if (!d)
        return;
    delivery_close(d);
    drop_all(d);
    d->cs->watch = (struct captures_watch){0};
    d->freed = true;
    free_unused(d);
}

static uv_timer_t *timer_new(struct delivery *d)
{
    uv_timer_t *timer = xcalloc(1, sizeof *timer);
    (void)uv_timer_init(d->loop, timer);
    timer->data = d;
    return timer;
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle);
}

static void timer_end(uv_timer_t **timer)
{
    uv_close((uv_handle_t *)*timer, on_timer_closed);
    *timer = NULL;
}

void delivery_close(struct delivery *d)
{
    struct sending *s;
    if (!d->open)
        return;
    d->open = false;
    LIST_EACH(s, &d->sending)
    sending_end(s);
    timer_end(&d->retry);
    timer_end(&d->stalled);
}

/* ---- telling records ------------------------------------------------------------------------- */

static void tell_unknown(struct delivery *d, const char *id, int error, const char *text)
{
    AUTOJSON json_t *fields = json_object();
    json_set_string(fields, "id", id);
    json_set_string(fields, "code", err_name(error));
    json_set_string(fields, "text", text);
    d->channel.send(d->channel.arg, "capture.unknown", fields);
}

static void tell_not_found(struct delivery *d, const char *id)
{
    AUTOFREE char *text = xasprintf("there is no capture %s", id);
    tell_unknown(d, id, ERR_NOT_FOUND, text);
}

/* Takes `record`. */
static void tell_record(struct delivery *d, struct owed *o, json_t *record)
{
    AUTOJSON json_t *fields = json_object();
    const struct spool_entry *e = captures_find_for_console(d->cs, o->id);
    o->to_tell = false;
    o->ended = json_object_get(record, "ended_ms") != NULL;
    o->has_result = e && e->result_bytes != RECORD_UNKNOWN;
    (void)json_object_set_new(fields, "record", record_for_console(record));
    d->channel.send(d->channel.arg, "capture", fields);
    d->untaken++;
}

/* An end that is not on disk yet might be another one after a crash: on_changed() comes when it is. */
static void tell_live(struct delivery *d, struct owed *o, const struct record *r)
{
    o->to_tell = false;
    if (!record_ended(r))
        tell_record(d, o, record_to_json(r));
}

/* Those whose records are in memory are told at once, the others are read first, a few at a time.
 * The rest comes when the socket has taken these. */
static void tell_more(struct delivery *d)
{
    struct owed *o;
    struct listing *l = NULL;
    size_t count = 0;
    if (!d->open || d->listing)
        return;
    LIST_EACH(o, &d->owed)
    {
        if (count == BATCH || d->untaken + count >= UNTAKEN_MAX)
            break;
        if (!o->to_tell)
            continue;
        const struct record *live = captures_live_for_console(d->cs, o->id);
        if (live) {
            tell_live(d, o, live);
            continue;
        }
        l = l ? l : listing_new(&d->cs->spool);
        listing_add(l, o->id, NULL);
        strlist_add(&d->listed, o->id);
        o->being_read = true;
        count++;
    }
    if (l) {
        d->listing = true;
        d->users++;
        listing_start(l, d->loop, on_told, d);
    }
    /* For what comes after these. */
    if (d->untaken > 0)
        d->channel.wake(d->channel.arg);
}

/* Is it still to be told as it was read?  It may have changed, and been told, since; or the
 * connection is another one, for which it will be read again. */
static struct owed *still_owed(struct delivery *d, const char *id)
{
    struct owed *o = d->open ? owed_find(d, id) : NULL;
    return o && o->being_read && o->to_tell ? o : NULL;
}

/* What was to be read and is not among what came. */
static void tell_lost(struct delivery *d)
{
    for (size_t i = 0; i < d->listed.count; i++) {
        struct owed *o = owed_find(d, d->listed.items[i]);
        if (!o)
            continue;
        bool lost = d->open && o->being_read && o->to_tell;
        o->being_read = false;
        if (!lost)
            continue;
        /* One that is there and cannot be read is tried again on the next connection. */
        o->to_tell = false;
        if (captures_find_for_console(d->cs, o->id))
            continue;
        tell_not_found(d, o->id);
        owed_drop(o);
    }
}

static void on_told(struct listing *l, json_t *result)
{
    struct delivery *d = listing_arg(l);
    size_t i;
    json_t *record;
    d->listing = false;
    d->users--;
    json_array_foreach(json_object_get(result, "captures"), i, record)
    {
        struct owed *o = still_owed(d, json_get_string(record, "id", ""));
        if (o)
            tell_record(d, o, json_incref(record));
    }
    tell_lost(d);
    strlist_clear(&d->listed);
    if (d->freed) {
        free_unused(d);
        return;
    }
    begin_blobs(d);
    tell_more(d);
}

static void tell(struct delivery *d, struct owed *o)
{
    o->to_tell = true;
    /* What is being read may be older. */
    o->being_read = false;
    tell_more(d);
}

void delivery_open(struct delivery *d, const struct delivery_channel *channel)
{
    struct owed *o;
    delivery_close(d);
    d->channel = *channel;
    d->open = true;
    d->moved = false;
    d->blobs = 0;
    d->untaken = 0;
    d->retry = timer_new(d);
    d->stalled = timer_new(d);
    LIST_EACH(o, &d->owed)
    {
        o->to_tell = true;
        o->being_read = o->ended = o->has_result = o->settled = false;
        o->not_before = 0;
    }
    tell_more(d);
}

/* ---- what becomes of captures ---------------------------------------------------------------- */

static void on_changed(void *arg, const struct record *r)
{
    struct delivery *d = arg;
    struct owed *o = r->delivered ? owed_find(d, r->id) : owed_get(d, r->id);
    if (!d->open || !o)
        return;
    tell_record(d, o, record_to_json(r));
    begin_blobs(d);
}

static void on_found(void *arg, const char *id)
{
    struct delivery *d = arg;
    struct owed *o = owed_get(d, id);
    if (d->open)
        tell(d, o);
}

static void on_packed(void *arg, const char *id)
{
    begin_blobs(arg);
}

static void on_refused(void *arg, const char *id, int error, const char *text)
{
    struct delivery *d = arg;
    struct owed *o = owed_find(d, id);
    if (o)
        owed_drop(o);
    if (d->open)
        tell_unknown(d, id, error, text);
}

void delivery_belong(struct delivery *d, const char *host)
{
    const struct spool *s = &d->cs->spool;
    /* Without a console there may still be something that runs for the last one. */
    if (host && str_eq(d->cs->host, host))
        return;
    drop_all(d);
    captures_belong(d->cs, host);
    for (size_t i = 0; i < s->count; i++)
        if (spool_is_ours(s, &s->entries[i]) && !s->entries[i].delivered)
            (void)owed_get(d, s->entries[i].id);
}

bool delivery_has_moved(const struct delivery *d)
{
    return d->moved;
}

/* ---- results: beginning ---------------------------------------------------------------------- */

/* The timer bites when the first of those that wait may be tried again. */
static void wait_for_retry(struct delivery *d)
{
    const struct owed *o;
    uint64_t now = uv_now(d->loop), first = UINT64_MAX;
    LIST_EACH(o, &d->owed)
    if (o->not_before > now && o->not_before < first)
        first = o->not_before;
    if (first != UINT64_MAX)
        (void)uv_timer_start(d->retry, on_retry, first - now, 0);
}

static void put_off(struct delivery *d, struct owed *o, int64_t ms)
{
    int64_t least_ms = o->retry_ms ? o->retry_ms : RETRY_MIN_MS;
    int64_t wait_ms = ms > least_ms ? ms : least_ms;
    o->not_before = uv_now(d->loop) + (uint64_t)wait_ms;
    o->retry_ms = least_ms * 2 < RETRY_MAX_MS ? least_ms * 2 : RETRY_MAX_MS;
    wait_for_retry(d);
}

static void on_retry(uv_timer_t *timer)
{
    struct delivery *d = timer->data;
    begin_blobs(d);
    wait_for_retry(d);
}

static json_t *end_fields(uint32_t blob, const struct record *r)
{
    json_t *fields = json_object();
    json_set_int(fields, "blob", blob);
    json_set_int(fields, "stored_bytes", r->stored_bytes);
    json_set_int(fields, "bytes", r->bytes);
    json_set_string(fields, "sha256", r->sha256);
    json_set_string(fields, "stored_sha256", r->stored_sha256);
    return fields;
}

/* Takes `fd`. */
static void begin_blob(struct delivery *d, struct owed *o, const struct record *r, int fd)
{
    struct sending *s = xcalloc(1, sizeof *s);
    *s = (struct sending){.owner = d, .owed = o, .blob = ++d->blobs, .moved_at = uv_now(d->loop)};
    s->transfer = transfer_new(d->loop, fd, (uint64_t)r->stored_bytes, on_ready, s);
    s->end = end_fields(s->blob, r);
    o->sending = s;
    if (list_empty(&d->sending))
        (void)uv_timer_start(d->stalled, on_stalled, STALLED_LOOK_MS, STALLED_LOOK_MS);
    list_add(&d->sending, &s->link, s);
    AUTOJSON json_t *fields = json_object();
    json_set_int(fields, "blob", s->blob);
    json_set_string(fields, "id", o->id);
    json_set_int(fields, "stored_bytes", r->stored_bytes);
    json_set_string(fields, "stored_sha256", r->stored_sha256);
    d->channel.send(d->channel.arg, "blob.begin", fields);
}

/* The file cannot be opened: it has gone, is another one, or there are no descriptors left. */
static void cannot_begin(struct delivery *d, struct owed *o, int error)
{
    if (!o->retry_ms)
        log_warn(error, "cannot send the result of capture %s", o->id);
    if (error != -ENOENT && error != ERR_MISMATCH) {
        put_off(d, o, RETRY_OURS_MS);
        return;
    }
    o->settled = true;
    captures_lose_result(d->cs, o->id, error);
}

static void try_to_begin(struct delivery *d, struct owed *o, enum record_kind kind)
{
    char why[RECORD_TEXT];
    AUTORECORD struct record r;
    record_init(&r);
    int e = spool_read(&d->cs->spool, o->id, &r, why);
    /* A record that says otherwise than the index is just being changed. */
    if (e == 0 && (!record_packed(&r) || !record_has_result(&r)))
        e = ERR_BUSY;
    if (e < 0) {
        if (!o->retry_ms)
            log_warn(e, "cannot read the record of capture %s", o->id);
        put_off(d, o, RETRY_OURS_MS);
        return;
    }
    if (r.stored_bytes > (int64_t)LIMIT_BLOB_STORED || r.bytes > (int64_t)LIMIT_RESULT) {
        log_warn(0, "the result of capture %s is larger than what a console takes", o->id);
        o->settled = true;
        captures_lose_result(d->cs, o->id, ERR_TOO_BIG);
        return;
    }
    int fd = spool_open_packed(&d->cs->spool, o->id, kind, r.stored_bytes);
    if (fd < 0)
        cannot_begin(d, o, fd);
    else
        begin_blob(d, o, &r, fd);
}

static bool may_begin(const struct delivery *d, const struct owed *o)
{
    return o->ended && o->has_result && !o->settled && !o->refused && !o->acknowledged &&
           !o->sending && o->not_before <= uv_now(d->loop);
}

/* As many as may be under way, the oldest first. */
static void begin_blobs(struct delivery *d)
{
    struct owed *o;
    if (!d->open || !d->channel.takes_blobs)
        return;
    size_t count = list_count(&d->sending);
    LIST_EACH(o, &d->owed)
    {
        if (count >= LIMIT_CHANNEL_BLOBS)
            return;
        if (!may_begin(d, o))
            continue;
        const struct spool_entry *e = captures_find_for_console(d->cs, o->id);
        if (e && e->packed && e->result_bytes != RECORD_UNKNOWN)
            try_to_begin(d, o, e->kind);
        count += o->sending != NULL;
    }
}

/* ---- results: on their way ------------------------------------------------------------------- */

static void on_ready(void *arg, int result)
{
    struct sending *s = arg;
    struct delivery *d = s->owner;
    if (result == 0) {
        d->channel.wake(d->channel.arg);
        return;
    }
    struct owed *o = s->owed;
    if (!o->retry_ms)
        log_err(result, "cannot read the result of capture %s", o->id);
    sending_end(s);
    if (result == ERR_MISMATCH) {
        o->settled = true;
        captures_lose_result(d->cs, o->id, result);
    } else {
        /* A disk that fails now is no reason to lose what is on it. */
        put_off(d, o, RETRY_OURS_MS);
    }
    begin_blobs(d);
}

static void on_stalled(uv_timer_t *timer)
{
    struct delivery *d = timer->data;
    struct sending *s;
    LIST_EACH(s, &d->sending)
    {
        struct owed *o = s->owed;
        if (uv_now(d->loop) - s->moved_at < STALLED_MS)
            continue;
        log_warn(0, "the console has not taken anything of the result of capture %s for %d s",
                 o->id, STALLED_MS / 1000);
        sending_end(s);
        put_off(d, o, STALLED_RETRY_MS);
    }
    if (list_empty(&d->sending))
        (void)uv_timer_stop(timer);
    begin_blobs(d);
}

/* After its last piece, which has been handed out before. */
static void send_end(struct sending *s)
{
    if (!s->end || !transfer_all_sent(s->transfer))
        return;
    AUTOJSON json_t *fields = TAKE(s->end);
    s->owner->channel.send(s->owner->channel.arg, "blob.end", fields);
}

size_t delivery_chunk(struct delivery *d, uint8_t frame[static BLOB_HEADER + BLOB_CHUNK])
{
    struct sending *s;
    if (!d->open)
        return 0;
    if (d->untaken > 0) {
        d->untaken = 0;
        tell_more(d);
    }
    LIST_EACH(s, &d->sending)
    send_end(s);
    LIST_EACH(s, &d->sending)
    {
        size_t len = transfer_chunk(s->transfer, s->blob, frame);
        if (len == 0)
            continue;
        /* The others first, before its next one. */
        list_remove(&s->link);
        list_add(&d->sending, &s->link, s);
        return len;
    }
    return 0;
}

/* ---- what the console says ------------------------------------------------------------------- */

/* The record as it stands, also of what was acknowledged: whoever asks has lost track. */
static void tell_again(struct delivery *d, const char *id)
{
    if (captures_live_for_console(d->cs, id) || captures_find_for_console(d->cs, id))
        tell(d, owed_get(d, id));
    else
        tell_not_found(d, id);
}

static void take_start(struct delivery *d, const char *id, const json_t *message)
{
    char why[RECORD_TEXT];
    bool known = captures_live_for_console(d->cs, id) || captures_find_for_console(d->cs, id);
    int r = captures_start_for_console(d->cs, message, why);
    if (r < 0)
        tell_unknown(d, id, r, why);
    else if (known)
        tell_again(d, id);
    else
        (void)owed_get(d, id);
}

static void ended_or_unknown(struct delivery *d, const char *id, int result)
{
    if (result == ERR_NOT_RUNNING)
        tell_again(d, id);
    else if (result < 0)
        tell_not_found(d, id);
}

static void take_stop(struct delivery *d, const char *id, const json_t *message)
{
    ended_or_unknown(d, id, captures_stop_for_console(d->cs, id));
}

static void take_cancel(struct delivery *d, const char *id, const json_t *message)
{
    ended_or_unknown(d, id, captures_cancel_for_console(d->cs, id));
}

static void take_get(struct delivery *d, const char *id, const json_t *message)
{
    tell_again(d, id);
}

struct mark {
    struct delivery *owner;
    char id[UUID_TEXT];
};

/* Once, and the connection is over. */
static void misfit(struct delivery *d, const char *what)
{
    AUTOFREE char *text = xasprintf("the console has sent what does not fit: %s", what);
    d->channel.break_off(d->channel.arg, ERR_PROTOCOL, text);
}

static void take_ack(struct delivery *d, const char *id, const json_t *message)
{
    struct owed *o = owed_find(d, id);
    const struct spool_entry *e = captures_find_for_console(d->cs, id);
    if (captures_live_for_console(d->cs, id)) {
        misfit(d, "an acknowledgement of a capture that has not ended");
        return;
    }
    if (!o || !e || !e->ended || o->acknowledged) {
        log_debug("the console acknowledges capture %s, which %s", id,
                  !o   ? "is not owed to it"
                  : !e ? "has not ended"
                       : "it has acknowledged already");
        return;
    }
    if (e->delivered) {
        owed_drop(o);
        begin_blobs(d);
        return;
    }
    if (o->sending)
        sending_end(o->sending);
    o->acknowledged = true;
    d->moved = true;
    struct mark *m = xcalloc(1, sizeof *m);
    m->owner = d;
    memcpy(m->id, o->id, UUID_TEXT);
    d->users++;
    captures_mark_delivered(d->cs, id, on_marked, m);
    begin_blobs(d);
}

static void on_marked(void *arg, int result, const struct record *r)
{
    AUTOFREE struct mark *m = arg;
    struct delivery *d = m->owner;
    d->users--;
    struct owed *o = owed_find(d, m->id);
    if (o && (result == 0 || result == -ENOENT))
        owed_drop(o);
    else if (o)
        /* Told again on the next connection, and acknowledged again. */
        o->acknowledged = false;
    if (d->freed)
        free_unused(d);
    else
        captures_retain(d->cs);
}

static void take_go(struct sending *s, const json_t *message)
{
    if (transfer_go(s->transfer, (uint64_t)json_get_int(message, "offset", 0)) < 0)
        misfit(s->owner, "a blob.go that is past the end or the second one");
    else
        s->owner->channel.wake(s->owner->channel.arg);
}

static void take_blob_ack(struct sending *s, const json_t *message)
{
    int r = transfer_ack(s->transfer, (uint64_t)json_get_int(message, "offset", 0));
    if (r < 0) {
        misfit(s->owner, "a blob.ack of what was not sent, or was acknowledged before");
        return;
    }
    s->owner->moved |= r > 0;
    s->owner->channel.wake(s->owner->channel.arg);
}

static void take_done(struct sending *s, const json_t *message)
{
    struct delivery *d = s->owner;
    if (s->end) {
        misfit(d, "a blob.done before the blob.end");
        return;
    }
    log_debug("the console has the result of capture %s", s->owed->id);
    d->moved = true;
    s->owed->settled = true;
    sending_end(s);
    begin_blobs(d);
}

static void take_refused(struct sending *s, const json_t *message)
{
    struct delivery *d = s->owner;
    struct owed *o = s->owed;
    int64_t retry_ms = json_get_int(message, "retry_ms", -1);
    if (!o->retry_ms || retry_ms < 0)
        log_warn(0, "the console does not take the result of capture %s%s: %s", o->id,
                 retry_ms < 0 ? "" : " for now", json_get_string(message, "text", ""));
    sending_end(s);
    if (retry_ms < 0)
        o->refused = true;
    else
        put_off(d, o, retry_ms);
    begin_blobs(d);
}

static const struct {
    const char *type;
    void (*take)(struct delivery *d, const char *id, const json_t *message);
} capture_takers[] = {
    {"capture.start", take_start}, {"capture.stop", take_stop}, {"capture.cancel", take_cancel},
    {"capture.get", take_get},     {"capture.ack", take_ack},
};

static const struct {
    const char *type;
    void (*take)(struct sending *s, const json_t *message);
} blob_takers[] = {
    {"blob.go", take_go},
    {"blob.ack", take_blob_ack},
    {"blob.done", take_done},
    {"blob.refused", take_refused},
};

static struct sending *find_sending(struct delivery *d, int64_t blob)
{
    struct sending *s;
    LIST_EACH(s, &d->sending)
    if (s->blob == blob)
        return s;
    return NULL;
}

static void take_of_blob(struct delivery *d, const char *type, const json_t *message)
{
    int64_t blob = json_get_int(message, "blob", 0);
    struct sending *s = find_sending(d, blob);
    if (blob > d->blobs) {
        misfit(d, "a word about a result that was not begun");
        return;
    }
    if (!s) {
        log_debug("%s for blob %lld, which is over", type, (long long)blob);
        return;
    }
    s->moved_at = uv_now(d->loop);
    for (size_t i = 0; i < ARRAY_SIZE(blob_takers); i++)
        if (str_eq(blob_takers[i].type, type)) {
            blob_takers[i].take(s, message);
            return;
        }
}

void delivery_take(struct delivery *d, const char *type, const json_t *message)
{
    if (!d->open)
        return;
    if (str_starts(type, "blob.")) {
        take_of_blob(d, type, message);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(capture_takers); i++)
        if (str_eq(capture_takers[i].type, type)) {
            capture_takers[i].take(d, json_get_string(message, "id", ""), message);
            return;
        }
}
