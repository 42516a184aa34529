#include "agent/captures.h"

#include <errno.h>
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
    /* Answers that the agent before us may not have acknowledged any more: not more than it can
       have had running. */
    ACK_AGAIN_MAX = RUNNING_MAX,
    /* The supervisor ends a capture within 30 s of its limit. */
    SLACK_MS = 45000,
    GRACE_MS = 10000,
    /* Requests that wait for the next list. */
    LISTS_MAX = 64,
};

static void on_capture_answer(struct capture *c);
static void on_capture_done(struct capture *c);
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
                                     .answer = on_capture_answer,
                                     .done = on_capture_done,
                                     .arg = cs}};
    list_init(&cs->live);
    int r = spool_open(&cs->spool, home, wait_ms);
    if (r < 0)
        return r;
    r = spool_scan(&cs->spool, loop_wall_ms(), on_found, cs);
    if (r == 0)
        spool_retain(&cs->spool, loop_wall_ms());
    return r;
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
}

void captures_close(struct captures *cs)
{
    struct capture *c;
    cs->closing = true;
    LIST_EACH(c, &cs->live)
    capture_close(c);
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

/* The record of a capture that has ended, with its result.  A result that has gone since is said to
 * be missing. */
static void answer_ended(struct captures *cs, const char *request, struct record *r)
{
    int fd = record_has_result(r) ? spool_open_result(&cs->spool, r) : -1;
    if (fd == -ENOENT) {
        log_warn(0, "capture %s has lost its result", r->id);
        record_warn(r, RECORD_RESULT_MISSING);
        (void)spool_save(&cs->spool, r);
        spool_ended(&cs->spool, r);
    }
    if (record_has_result(r) && fd < 0) {
        refuse(cs, request, fd, "the result of capture %s is stored but cannot be opened: %s",
               r->id, err_str(fd));
        return;
    }
    answer(cs, request, r, fd < 0 ? -1 : fd);
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

/* Takes what `r` holds.  One that came too late gets a record, too, so that repeats get the same
 * answer. */
static void start_new(struct captures *cs, const struct msg *m, struct record *r)
{
    if (list_count(&cs->live) >= RUNNING_MAX) {
        refuse(cs, m->id, ERR_BUSY, "%d captures are running, which is the limit: try again later",
               RUNNING_MAX);
        return;
    }
    if (r->not_after_ms < r->created_ms) {
        record_fail(r, err_name(ERR_EXPIRED), NULL, r->created_ms);
        record_end(r, RECORD_EXPIRED, r->created_ms);
    }
    struct capture *c = capture_start(&cs->home, r);
    list_add(&cs->live, &c->link, c);
    attach(cs, c, m);
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
    if (e < 0)
        refuse(cs, m->id, e, "%s", why);
    else
        start_new(cs, m, &r);
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
}

static void on_capture_done(struct capture *c)
{
    struct captures *cs = c->home->arg;
    list_remove(&c->link);
    if (record_ended(&c->record))
        spool_retain(&cs->spool, loop_wall_ms());
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
