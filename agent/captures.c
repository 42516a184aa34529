#include "agent/captures.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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
    /* The longest list; below LIMIT_CONTROL_LINE, with room for what is around it. */
    LIST_BYTES = 3 << 20,
    /* Lists above this leave the heap in pieces that are worth giving back. */
    LIST_BYTES_MUCH = 256 << 10,
};

static void on_capture_done(struct capture *c);

/* ---- opening and closing
 * ------------------------------------------------------------------------------------------- */

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
    LIST_EACH(c, &cs->live)
    capture_close(c);
}

void captures_clear(struct captures *cs)
{
    spool_close(&cs->spool);
}

/* ---- answering
 * -----------------------------------------------------------------------------------------------------
 */

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

/* ---- finding
 * -------------------------------------------------------------------------------------------------------
 */

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

/* ---- capture.start
 * -------------------------------------------------------------------------------------------------
 */

static void attach(struct captures *cs, struct capture *c, const struct msg *m)
{
    int r = capture_attach(c, m->id);
    if (r < 0)
        refuse(cs, m->id, r, "too many requests wait for capture %s", c->record.id);
}

static void refuse_journal(struct captures *cs, const struct msg *m, int r)
{
    log_err(r, "cannot write a record in %s", cs->spool.dir);
    refuse(cs, m->id, r, "the capture was not started: its record cannot be written in %s: %s",
           cs->spool.dir, err_str(r));
}

/* Too late: the record says so, and repeats get the same answer. */
static void start_expired(struct captures *cs, const struct msg *m, struct record *r)
{
    int64_t now_ms = loop_wall_ms();
    record_fail(r, err_name(ERR_EXPIRED), NULL, now_ms);
    record_end(r, RECORD_EXPIRED, now_ms);
    int e = spool_create_ended(&cs->spool, r);
    if (e < 0) {
        refuse_journal(cs, m, e);
        return;
    }
    answer(cs, m->id, r, -1);
    spool_retain(&cs->spool, now_ms);
}

/* Takes what `r` holds. */
static void start_new(struct captures *cs, const struct msg *m, struct record *r)
{
    struct capture *c;
    if (list_count(&cs->live) >= RUNNING_MAX) {
        refuse(cs, m->id, ERR_BUSY, "%d captures are running, which is the limit: try again later",
               RUNNING_MAX);
        return;
    }
    int e = capture_start(&cs->home, r, &c);
    if (e < 0) {
        refuse_journal(cs, m, e);
        return;
    }
    list_add(&cs->live, &c->link, c);
    attach(cs, c, m);
}

void captures_start(struct captures *cs, const struct msg *m)
{
    char why[RECORD_TEXT];
    const char *id = json_get_string(m->params, "id", "");
    struct capture *c = find_live(cs, id);
    if (c) {
        attach(cs, c, m);
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
    else if (r.not_after_ms < r.created_ms)
        start_expired(cs, m, &r);
    else
        start_new(cs, m, &r);
}

static void on_capture_done(struct capture *c)
{
    struct captures *cs = c->home->arg;
    list_remove(&c->link);
    if (!record_ended(&c->record))
        return;
    for (size_t i = 0; i < c->waiters.count; i++)
        answer_ended(cs, c->waiters.items[i], &c->record);
    spool_retain(&cs->spool, loop_wall_ms());
}

/* ---- the other requests
 * -------------------------------------------------------------------------------------------- */

/* What was sent to the supervisor comes before our answer in the same stream, so whoever has the
 * answer can rely on it. */
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
        attach(cs, c, m);
    else if (c)
        answer(cs, m->id, &c->record, -1);
    else if (spool_find(&cs->spool, id))
        answer_stored(cs, m->id, id);
    else
        refuse(cs, m->id, ERR_NOT_FOUND, "there is no capture %s", id);
}

/* The record as JSON, from memory or from its file; NULL when it cannot be read. */
static json_t *list_one(struct captures *cs, const char *id)
{
    char why[RECORD_TEXT];
    const struct capture *c = find_live(cs, id);
    if (c)
        return record_to_json(&c->record);
    AUTORECORD struct record r;
    record_init(&r);
    int e = spool_read(&cs->spool, id, &r, why);
    if (e == 0)
        return record_to_json(&r);
    log_warn(e, "cannot read the record of capture %s, leaving it out of the list", id);
    return NULL;
}

/* An answer is one line and has a limit; what is left out is the oldest, and the answer says how
 * many that are. */
void captures_list(struct captures *cs, const struct msg *m)
{
    AUTOJSON json_t *result = json_object();
    json_t *list = json_array();
    size_t bytes = 0;
    size_t i = cs->spool.count;
    (void)json_object_set_new(result, "captures", list);
    for (; i > 0 && bytes < LIST_BYTES; i--) {
        json_t *record = list_one(cs, cs->spool.entries[i - 1].id);
        if (!record)
            continue;
        bytes += json_dumpb(record, NULL, 0, JSON_COMPACT) + 1;
        (void)json_array_append_new(list, record);
    }
    if (i > 0)
        json_set_int(result, "left_out", (int64_t)i);
    (void)conn_result(cs->home.conn, m->id, result, -1);
    if (bytes > LIST_BYTES_MUCH) {
        json_array_clear(list);
        (void)malloc_trim(0);
    }
}

/* ---- what the supervisor says
 * -------------------------------------------------------------------------------------- */

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
