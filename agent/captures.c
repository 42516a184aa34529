#include "agent/captures.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/listing.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/wire/conn.h"
#include "lib/wire/msg.h"

enum {
    /* Captures at the same time.  Each costs a probe in the supervisor's care; a host with more
     * apps than this takes them in turn. */
    RUNNING_MAX = 64,
    /* Of these for the console: people here find room whatever it does. */
    RUNNING_CONSOLE_MAX = 48,
    /* Answers that the agent before us may not have acknowledged any more: not more than it can
       have had running. */
    ACK_AGAIN_MAX = RUNNING_MAX,
    /* The supervisor ends a capture within 30 s of its limit. */
    SLACK_MS = 45000,
    GRACE_MS = 10000,
    /* Requests that wait for the next list. */
    LISTS_MAX = 64,
    /* Captures of the console that it may leave unacknowledged: half of the records that are kept.
       So it cannot fill the disk with what retention may not remove. */
    OWED_MAX = LIMIT_SPOOL_RECORDS / 2,
    /* Records that could not be read are tried again as often. */
    AGAIN_MS = 30000,
};

static void on_capture_changed(struct capture *c);
static void on_capture_answer(struct capture *c);
static void on_capture_done(struct capture *c);
static void on_packed(void *arg, const struct record *r);
static void on_unpacked(void *arg, const char *request, struct record *r, int fd);
static void on_unpacking(void *arg, const char *request);
static void on_again(uv_timer_t *timer);
static void on_listed(struct listing *l, json_t *result);

/* ---- opening and closing --------------------------------------------------------------------- */

static void on_found(void *arg, struct record *r)
{
    struct captures *cs = arg;
    struct capture *c = capture_resume(&cs->home, r);
    log_info("capture %s of %s was left in phase %s", c->record.id, c->record.app,
             record_phase(&c->record));
    list_add(&cs->live, &c->link, c);
}

int captures_open(struct captures *cs, uv_loop_t *loop, struct conn *conn, const char *home,
                  int wait_ms)
{
    *cs = (struct captures){.home = {.loop = loop,
                                     .conn = conn,
                                     .spool = &cs->spool,
                                     .slack_ms = SLACK_MS,
                                     .grace_ms = GRACE_MS,
                                     .changed = on_capture_changed,
                                     .answer = on_capture_answer,
                                     .done = on_capture_done,
                                     .arg = cs}};
    list_init(&cs->live);
    int r = spool_open(&cs->spool, home, wait_ms);
    if (r < 0)
        return r;
    cs->open = true;
    amends_init(&cs->amends, loop, &cs->spool);
    packing_init(&cs->packing, loop, &cs->spool, &cs->amends, on_packed, cs);
    unpacking_init(&cs->unpacking, loop, &cs->spool, on_unpacking, on_unpacked, cs);
    (void)uv_timer_init(loop, &cs->again);
    cs->again.data = cs;
    r = spool_scan(&cs->spool, loop_wall_ms(), on_found, cs);
    if (r == 0)
        captures_retain(cs);
    return r;
}

static void read_again_later(struct captures *cs)
{
    if (cs->spool.unread.count > 0 && !cs->closing)
        (void)uv_timer_start(&cs->again, on_again, AGAIN_MS, 0);
}

static void on_found_again(void *arg, struct record *r)
{
    struct captures *cs = arg;
    on_found(cs, r);
    struct capture *c = cs->live.prev->owner;
    capture_ask(c);
}

static void on_again(uv_timer_t *timer)
{
    struct captures *cs = timer->data;
    AUTOSTRLIST struct strlist ids = {0};
    for (size_t i = 0; i < cs->spool.unread.count; i++)
        strlist_add(&ids, cs->spool.unread.items[i]);
    spool_scan_unread(&cs->spool, on_found_again, cs);
    for (size_t i = 0; i < ids.count; i++) {
        const struct spool_entry *e = spool_find(&cs->spool, ids.items[i]);
        if (e && spool_is_owed(&cs->spool, e) && cs->watch.found)
            cs->watch.found(cs->watch.arg, e->id);
    }
    read_again_later(cs);
    packing_run(&cs->packing);
}

/* An agent that was killed right after it had stored a result could not say so. */
static void ack_again(struct captures *cs)
{
    size_t done = 0;
    for (size_t i = cs->spool.count; i > 0 && done < ACK_AGAIN_MAX; i--) {
        if (!cs->spool.entries[i - 1].ended)
            continue;
        capture_ack(cs->home.conn, cs->spool.entries[i - 1].id);
        done++;
    }
}

void captures_resume(struct captures *cs)
{
    struct capture *c;
    ack_again(cs);
    LIST_EACH(c, &cs->live)
    capture_ask(c);
    packing_run(&cs->packing);
    read_again_later(cs);
}

void captures_restarted(struct captures *cs)
{
    struct capture *c;
    strlist_clear(&cs->list_waiters);
    cs->list_answers = 0;
    LIST_EACH(c, &cs->live)
    capture_ask_again(c);
}

void captures_close(struct captures *cs)
{
    struct capture *c;
    if (!cs->open || cs->closing)
        return;
    cs->closing = true;
    LIST_EACH(c, &cs->live)
    capture_close(c);
    packing_close(&cs->packing);
    unpacking_close(&cs->unpacking);
    uv_close((uv_handle_t *)&cs->again, NULL);
    amends_close(&cs->amends);
}

void captures_clear(struct captures *cs)
{
    strlist_clear(&cs->list_waiters);
    spool_close(&cs->spool);
}

/* ---- answering ------------------------------------------------------------------------------- */

static void refuse(struct captures *cs, const char *request, int error, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static void refuse(struct captures *cs, const char *request, int error, const char *fmt, ...)
{
    AUTOBUF struct buf text = BUF_INIT(RECORD_MESSAGE);
    va_list ap;
    va_start(ap, fmt);
    (void)buf_vaddf(&text, fmt, ap);
    va_end(ap);
    (void)conn_error(cs->home.conn, request, error, buf_str(&text), NULL);
}

static void refuse_journal(struct captures *cs, const char *request, int r)
{
    refuse(cs, request, r, "the capture was not started: its record cannot be written in %s: %s",
           cs->spool.dir, err_str(r));
}

/* Takes `fd` (-1: none). */
static void answer(struct captures *cs, const char *request, const struct record *r, int fd)
{
    AUTOJSON json_t *result = json_object();
    (void)json_object_set_new(result, "record", record_to_json(r));
    (void)conn_result(cs->home.conn, request, result, fd);
}

static void answer_missing(struct captures *cs, const char *request, struct record *r)
{
    log_warn(0, "capture %s has lost its result", r->id);
    captures_lose_result(cs, r->id, -ENOENT);
    record_warn(r, RECORD_RESULT_MISSING);
    answer(cs, request, r, -1);
}

static void refuse_result(struct captures *cs, const char *request, const struct record *r, int e)
{
    refuse(cs, request, e, "the result of capture %s is stored but cannot be opened: %s", r->id,
           err_str(e));
}

/* It is expanded first; on_unpacked() answers. */
static void answer_packed(struct captures *cs, const char *request, struct record *r)
{
    int e = unpacking_add(&cs->unpacking, request, r);
    if (e < 0)
        refuse(cs, request, e, "too many results are being expanded: try again later");
}

/* So that nobody takes us for hung. */
static void on_unpacking(void *arg, const char *request)
{
    struct captures *cs = arg;
    AUTOJSON json_t *progress = json_object();
    json_set_string(progress, "phase", "expanding");
    (void)conn_progress(cs->home.conn, request, progress);
}

static void on_unpacked(void *arg, const char *request, struct record *r, int fd)
{
    struct captures *cs = arg;
    bool damaged = fd == ERR_MISMATCH || fd == ERR_SYNTAX || fd == ERR_TOO_BIG;
    if (fd >= 0) {
        answer(cs, request, r, fd);
    } else if (fd == -ENOENT) {
        answer_missing(cs, request, r);
    } else if (damaged) {
        log_err(fd, "the stored result of capture %s is damaged", r->id);
        captures_lose_result(cs, r->id, fd);
        refuse(cs, request, fd, "the stored result of capture %s is damaged: %s", r->id,
               err_str(fd));
    } else if (fd == -ENOSPC) {
        refuse(cs, request, fd,
               "the result of capture %s is stored, but in %s is no room to expand it to its "
               "%" PRId64 " bytes",
               r->id, cs->spool.dir, r->bytes);
    } else {
        refuse_result(cs, request, r, fd);
    }
}

/* The record of a capture that has ended, with its result.  A result that has gone since is said to
 * be missing.  What `r` holds may be taken. */
static void answer_ended(struct captures *cs, const char *request, struct record *r)
{
    if (!record_has_result(r)) {
        answer(cs, request, r, -1);
        return;
    }
    /* Not what the record says: the other form is there until the index says so, too. */
    const struct spool_entry *e = spool_find(&cs->spool, r->id);
    if (e && e->packed) {
        answer_packed(cs, request, r);
        return;
    }
    int fd = spool_open_result(&cs->spool, r);
    if (fd == -ENOENT)
        answer_missing(cs, request, r);
    else if (fd < 0)
        refuse_result(cs, request, r, fd);
    else
        answer(cs, request, r, fd);
}

static void answer_stored(struct captures *cs, const char *request, const char *id)
{
    char why[RECORD_TEXT];
    AUTORECORD struct record r;
    record_init(&r);
    int e = spool_read(&cs->spool, id, &r, why);
    if (e < 0)
        refuse(cs, request, e, "the record of capture %s cannot be read: %s", id, err_str(e));
    else
        answer_ended(cs, request, &r);
}

/* ---- finding --------------------------------------------------------------------------------- */

static struct capture *find_live(struct captures *cs, const char *id)
{
    struct capture *c;
    LIST_EACH(c, &cs->live)
    if (str_eq(c->record.id, id))
        return c;
    return NULL;
}

/* The live capture that a request is about; NULL when there is none, and then the request is
 * answered. */
static struct capture *need_live(struct captures *cs, const struct msg *m)
{
    const char *id = json_get_string(m->params, "id", "");
    struct capture *c = find_live(cs, id);
    if (c && !c->settling)
        return c;
    if (c || spool_find(&cs->spool, id))
        refuse(cs, m->id, ERR_NOT_RUNNING, "capture %s has ended already", id);
    else
        refuse(cs, m->id, ERR_NOT_FOUND, "there is no capture %s", id);
    return NULL;
}

/* ---- capture.start --------------------------------------------------------------------------- */

static void attach(struct captures *cs, struct capture *c, const struct msg *m)
{
    int r = capture_attach(c, m->id);
    if (r < 0)
        refuse(cs, m->id, r, "too many requests wait for capture %s", c->record.id);
}

/* It is answered when it ends.  When it has ended already and only waits for the disk, at once. */
static void answer_live(struct captures *cs, struct capture *c, const struct msg *m)
{
    if (c->answered)
        answer(cs, m->id, &c->record, -1);
    else
        attach(cs, c, m);
}

static size_t running_for_console(const struct captures *cs)
{
    const struct capture *c;
    size_t count = 0;
    LIST_EACH(c, &cs->live)
    count += c->record.from_console;
    return count;
}

static int refuse_unread(char reterr_text[static RECORD_TEXT])
{
    (void)snprintf(reterr_text, RECORD_TEXT,
                   "there is a record of this capture, and it cannot be read now: try again later");
    return ERR_BUSY;
}

/* Takes what `r` holds.  One that came too late gets a record, too, so that repeats get the same
 * answer.  ERR_BUSY with a sentence. */
static int start_new(struct captures *cs, struct record *r, struct capture **ret_capture,
                     char reterr_text[static RECORD_TEXT])
{
    if (list_count(&cs->live) >= RUNNING_MAX) {
        (void)snprintf(reterr_text, RECORD_TEXT,
                       "%d captures are running, which is the limit: try again later", RUNNING_MAX);
        return ERR_BUSY;
    }
    if (r->from_console && running_for_console(cs) >= RUNNING_CONSOLE_MAX) {
        (void)snprintf(reterr_text, RECORD_TEXT,
                       "%d captures of the console are running here, which is the limit: try again "
                       "later",
                       RUNNING_CONSOLE_MAX);
        return ERR_BUSY;
    }
    if (spool_is_unread(&cs->spool, r->id))
        return refuse_unread(reterr_text);
    if (r->not_after_ms < r->created_ms) {
        record_fail(r, err_name(ERR_EXPIRED), NULL, r->created_ms);
        record_end(r, RECORD_EXPIRED, r->created_ms);
    }
    struct capture *c = capture_start(&cs->home, r);
    list_add(&cs->live, &c->link, c);
    *ret_capture = c;
    return 0;
}

void captures_start(struct captures *cs, const struct msg *m)
{
    char why[RECORD_TEXT];
    const char *id = json_get_string(m->params, "id", "");
    struct capture *c = find_live(cs, id);
    if (c) {
        answer_live(cs, c, m);
        return;
    }
    if (spool_find(&cs->spool, id)) {
        answer_stored(cs, m->id, id);
        return;
    }
    AUTORECORD struct record r;
    record_init(&r);
    int e = record_from_request(m->params, loop_wall_ms(), &r, why);
    if (e == 0)
        e = start_new(cs, &r, &c, why);
    if (e < 0)
        refuse(cs, m->id, e, "%s", why);
    else
        attach(cs, c, m);
}

/* ---- what becomes of captures ---------------------------------------------------------------- */

static bool is_ours(const struct captures *cs, const struct record *r)
{
    return r->from_console && r->host && str_eq(r->host, cs->host);
}

static void tell_watch(struct captures *cs, const struct record *r)
{
    if (is_ours(cs, r) && cs->watch.changed)
        cs->watch.changed(cs->watch.arg, r);
}

static void tell_refused(struct captures *cs, const struct capture *c)
{
    char text[RECORD_TEXT];
    if (!is_ours(cs, &c->record) || !cs->watch.refused)
        return;
    (void)snprintf(text, sizeof text,
                   "the capture was not started: its record cannot be written: %s",
                   err_str(c->error));
    cs->watch.refused(cs->watch.arg, c->record.id, c->error, text);
}

static void on_capture_changed(struct capture *c)
{
    tell_watch(c->home->arg, &c->record);
}

static void on_capture_answer(struct capture *c)
{
    struct captures *cs = c->home->arg;
    if (c->error < 0)
        log_err(c->error, "cannot write a record in %s", cs->spool.dir);
    for (size_t i = 0; i < c->waiters.count; i++)
        if (c->error < 0)
            refuse_journal(cs, c->waiters.items[i], c->error);
        else if (record_ended(&c->record))
            answer_ended(cs, c->waiters.items[i], &c->record);
    if (c->error < 0)
        tell_refused(cs, c);
}

static void on_capture_done(struct capture *c)
{
    struct captures *cs = c->home->arg;
    list_remove(&c->link);
    if (!record_ended(&c->record))
        return;
    captures_retain(cs);
    if (c->stored)
        tell_watch(cs, &c->record);
    packing_run(&cs->packing);
}

static void on_packed(void *arg, const struct record *r)
{
    struct captures *cs = arg;
    if (!record_has_result(r))
        tell_watch(cs, r);
    else if (is_ours(cs, r) && cs->watch.packed)
        cs->watch.packed(cs->watch.arg, r->id);
}

void captures_retain(struct captures *cs)
{
    spool_retain(&cs->spool, loop_wall_ms(), (int64_t)(uv_hrtime() / 1000000));
}

static void on_lost(void *arg, int result, const struct record *r)
{
    if (result == 0)
        tell_watch(arg, r);
}

void captures_lose_result(struct captures *cs, const char *id, int error)
{
    amend_change change = error == -ENOENT       ? amend_missing
                          : error == ERR_TOO_BIG ? amend_too_large
                                                 : amend_damaged;
    amend_start(&cs->amends, id, change, on_lost, cs);
}

/* ---- the other requests ---------------------------------------------------------------------- */

/* What is sent to the supervisor comes before our answer in the same stream, so whoever has the
 * answer can rely on it; only a capture whose record is being written is told later. */
void captures_stop(struct captures *cs, const struct msg *m)
{
    struct capture *c = need_live(cs, m);
    if (c && capture_stop(c) == 0)
        (void)conn_result(cs->home.conn, m->id, NULL, -1);
}

void captures_cancel(struct captures *cs, const struct msg *m)
{
    struct capture *c = need_live(cs, m);
    if (c && capture_cancel(c) == 0)
        (void)conn_result(cs->home.conn, m->id, NULL, -1);
}

void captures_get(struct captures *cs, const struct msg *m)
{
    const char *id = json_get_string(m->params, "id", "");
    struct capture *c = find_live(cs, id);
    if (c && c->settling)
        /* Its file is about to be there. */
        answer_live(cs, c, m);
    else if (c)
        answer(cs, m->id, &c->record, -1);
    else if (spool_find(&cs->spool, id))
        answer_stored(cs, m->id, id);
    else
        refuse(cs, m->id, ERR_NOT_FOUND, "there is no capture %s", id);
}

/* ---- capture.list ---------------------------------------------------------------------------- */

/* One list at a time is read; it answers all who had asked for one when it began. */
static void begin_list(struct captures *cs)
{
    struct listing *l = listing_new(&cs->spool);
    for (size_t i = cs->spool.count; i > 0; i--) {
        const char *id = cs->spool.entries[i - 1].id;
        const struct capture *c = find_live(cs, id);
        listing_add(l, id, c ? record_to_json(&c->record) : NULL);
    }
    cs->listing = l;
    cs->list_answers = cs->list_waiters.count;
    listing_start(l, cs->home.loop, on_listed, cs);
}

void captures_list(struct captures *cs, const struct msg *m)
{
    if (cs->list_waiters.count >= LISTS_MAX) {
        refuse(cs, m->id, ERR_BUSY, "%d requests for the list wait already: try again later",
               LISTS_MAX);
        return;
    }
    strlist_add(&cs->list_waiters, m->id);
    if (!cs->listing)
        begin_list(cs);
}

static void on_listed(struct listing *l, json_t *result)
{
    struct captures *cs = listing_arg(l);
    struct strlist asked = cs->list_waiters;
    cs->list_waiters = (struct strlist){0};
    cs->listing = NULL;
    for (size_t i = 0; i < asked.count; i++)
        if (i >= cs->list_answers)
            strlist_add(&cs->list_waiters, asked.items[i]);
        else if (cs->home.conn->out.len > CAPTURES_QUEUE_MUCH)
            refuse(cs, asked.items[i], ERR_BUSY, CAPTURES_QUEUE_FULL);
        else
            (void)conn_result(cs->home.conn, asked.items[i], result, -1);
    strlist_clear(&asked);
    if (cs->list_waiters.count > 0 && !cs->closing)
        begin_list(cs);
}

/* ---- captures of the console ----------------------------------------------------------------- */

/* May it take on more?  What it has not acknowledged stays, whatever room it takes. */
static int check_owed(const struct captures *cs, char reterr_text[static RECORD_TEXT])
{
    int64_t bytes;
    size_t count = spool_owed(&cs->spool, &bytes);
    if (count < OWED_MAX && bytes < cs->spool.limit_bytes / 2)
        return 0;
    (void)snprintf(reterr_text, RECORD_TEXT,
                   "%zu captures wait for the console to acknowledge them, with %" PRId64
                   " MiB of results, and this host keeps no more",
                   count, bytes >> 20);
    return ERR_BUSY;
}

static int refuse_foreign(char reterr_text[static RECORD_TEXT])
{
    (void)snprintf(reterr_text, RECORD_TEXT, "the id belongs to another capture");
    return ERR_EXISTS;
}

int captures_start_for_console(struct captures *cs, const json_t *message,
                               char reterr_text[static RECORD_TEXT])
{
    const char *id = json_get_string(message, "id", "");
    if (captures_live_for_console(cs, id) || captures_find_for_console(cs, id))
        return 0;
    if (find_live(cs, id) || spool_find(&cs->spool, id))
        return refuse_foreign(reterr_text);
    struct capture *c;
    AUTORECORD struct record r;
    record_init(&r);
    int e = record_from_console(message, cs->host, loop_wall_ms(), &r, reterr_text);
    if (e == 0)
        e = check_owed(cs, reterr_text);
    if (e == 0)
        e = start_new(cs, &r, &c, reterr_text);
    return e;
}

/* The capture to end, if it is the console's; else an error. */
static int need_for_console(struct captures *cs, const char *id, struct capture **ret_capture)
{
    struct capture *c = find_live(cs, id);
    if (c && is_ours(cs, &c->record)) {
        *ret_capture = c;
        return 0;
    }
    return captures_find_for_console(cs, id) ? ERR_NOT_RUNNING : ERR_NOT_FOUND;
}

int captures_stop_for_console(struct captures *cs, const char *id)
{
    struct capture *c;
    int r = need_for_console(cs, id, &c);
    return r < 0 ? r : capture_stop(c);
}

int captures_cancel_for_console(struct captures *cs, const char *id)
{
    struct capture *c;
    int r = need_for_console(cs, id, &c);
    return r < 0 ? r : capture_cancel(c);
}

const struct record *captures_live_for_console(struct captures *cs, const char *id)
{
    const struct capture *c = find_live(cs, id);
    return c && is_ours(cs, &c->record) ? &c->record : NULL;
}

const struct spool_entry *captures_find_for_console(struct captures *cs, const char *id)
{
    const struct spool_entry *e = spool_find(&cs->spool, id);
    return e && spool_is_ours(&cs->spool, e) && !find_live(cs, id) ? e : NULL;
}

static bool deliver(struct record *r, void *arg)
{
    r->delivered = true;
    return true;
}

void captures_belong(struct captures *cs, const char *host)
{
    struct capture *c;
    (void)snprintf(cs->host, sizeof cs->host, "%s", host ? host : "");
    spool_belong(&cs->spool, host);
    LIST_EACH(c, &cs->live)
    if (c->record.from_console && !is_ours(cs, &c->record))
        (void)capture_cancel(c);
}

void captures_mark_delivered(struct captures *cs, const char *id, amend_cb done, void *arg)
{
    amend_start(&cs->amends, id, deliver, done, arg);
}

/* ---- what the supervisor says ---------------------------------------------------------------- */

/* Splits the id of one of our requests, "<capture id>:<verb>". */
static bool split_request(const char *request, char ret_id[static UUID_TEXT], const char **ret_verb)
{
    if (strlen(request) <= UUID_TEXT || request[UUID_TEXT - 1] != ':')
        return false;
    memcpy(ret_id, request, UUID_TEXT - 1);
    ret_id[UUID_TEXT - 1] = '\0';
    *ret_verb = request + UUID_TEXT;
    return true;
}

void captures_on_progress(struct captures *cs, const struct msg *m)
{
    char id[UUID_TEXT];
    const char *verb;
    struct capture *c = NULL;
    if (split_request(json_get_string(m->params, "id", ""), id, &verb) && str_eq(verb, "start"))
        c = find_live(cs, id);
    if (c)
        capture_on_progress(c, m->params);
}

void captures_on_answer(struct captures *cs, const struct msg *m)
{
    char id[UUID_TEXT];
    const char *verb;
    if (!split_request(m->id, id, &verb)) {
        log_debug("an answer to nothing we asked, ignoring");
        return;
    }
    if (!str_eq(verb, "start")) {
        /* A stop may well meet a capture that has just ended. */
        if (m->kind == MSG_ERROR)
            log_debug("capture %s: %s: %s", id, verb, m->error_text);
        return;
    }
    struct capture *c = find_live(cs, id);
    if (c)
        capture_on_answer(c, m);
    else if (spool_find(&cs->spool, id))
        /* It came after we had given up. */
        capture_ack(cs->home.conn, id);
}
