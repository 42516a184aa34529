#include "agent/capture.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/wire/conn.h"
#include "lib/wire/msg.h"

/* Requests that wait for one capture: a console, a shell or two, and their repeats after a lost
 * connection. */
enum { WAITERS_MAX = 16 };

/* An end that cannot be stored is tried again after a second, then after twice as long each time.
 */
enum { RETRY_MIN_MS = 1000, RETRY_MAX_MS = 30000 };

/* The steps, in the order in which they run. */
static void write_journal(uv_work_t *work); /* in a thread */
static void on_journaled(uv_work_t *work, int status);
static void ask(struct capture *c, int fd);
static void on_watchdog(uv_timer_t *timer);
static void settle(struct capture *c);
static void write_files(uv_work_t *work); /* in a thread */
static void on_written(uv_work_t *work, int status);
static void keep_unsaved(struct capture *c, int r);
static void on_retry(uv_timer_t *timer);
static void end(struct capture *c);
static void on_closed(uv_handle_t *handle);

static const char *request_id(const char *id, const char *verb,
                              char space[static CAPTURE_REQUEST_ID])
{
    (void)snprintf(space, CAPTURE_REQUEST_ID, "%s:%s", id, verb);
    return space;
}

/* A request that needs no more than the capture's id. */
static void tell(struct conn *conn, const char *id, const char *verb, const char *method)
{
    char space[CAPTURE_REQUEST_ID];
    AUTOJSON json_t *params = json_object();
    json_set_string(params, "id", id);
    (void)conn_request(conn, request_id(id, verb, space), method, params, -1);
}

void capture_ack(struct conn *conn, const char *id)
{
    tell(conn, id, "ack", "probe.ack");
}

/* ---- beginning ------------------------------------------------------------------------------- */

static struct capture *capture_new(struct capture_home *home, struct record *r)
{
    struct capture *c = xcalloc(1, sizeof *c);
    c->home = home;
    c->record = *r;
    record_init(r);
    (void)uv_timer_init(home->loop, &c->watchdog);
    c->watchdog.data = c;
    c->work.data = c;
    c->fd = -1;
    return c;
}

/* Has a thread do something with the files that the record stands for. */
static void write_in_thread(struct capture *c, uv_work_cb write, uv_after_work_cb after)
{
    int r = spool_files_init(&c->files, c->home->spool, &c->record);
    if (r == 0)
        r = uv_queue_work(c->home->loop, &c->work, write, after);
    /* A record has less than LIMIT_CAPTURE_RECORD bytes, and queueing cannot fail. */
    assert(r == 0);
    c->writing = true;
}

static int has_written(struct capture *c, int status)
{
    c->writing = false;
    spool_files_clear(&c->files);
    return status < 0 ? status : c->written;
}

static void watch(struct capture *c, int64_t ms)
{
    (void)uv_timer_start(&c->watchdog, on_watchdog, (uint64_t)ms, 0);
}

/* From its beginning until the watchdog bites. */
static int64_t allowed_ms(const struct capture *c)
{
    int64_t limit_ms = c->record.duration_ms;
    if (limit_ms == RECORD_UNKNOWN)
        limit_ms =
            LIMIT_CAPTURE_LONGEST_MS; /* the supervisor knows the policy's, and ends it earlier */
    return limit_ms + c->home->slack_ms;
}

struct capture *capture_start(struct capture_home *home, struct record *r)
{
    struct capture *c = capture_new(home, r);
    if (record_ended(&c->record))
        settle(c);
    else
        write_in_thread(c, write_journal, on_journaled);
    return c;
}

static void write_journal(uv_work_t *work)
{
    struct capture *c = work->data;
    c->written = spool_begin_write(&c->files, &c->fd);
}

static void on_journaled(uv_work_t *work, int status)
{
    struct capture *c = work->data;
    c->error = has_written(c, status);
    if (c->error == 0)
        spool_begun(c->home->spool, &c->record);
    if (c->error < 0 || c->leaving) {
        end(c);
        return;
    }
    watch(c, allowed_ms(c));
    ask(c, TAKE_FD(c->fd));
    c->home->changed(c);
    if (c->stop_wanted)
        (void)capture_stop(c);
    if (c->cancel_wanted)
        (void)capture_cancel(c);
}

struct capture *capture_resume(struct capture_home *home, struct record *r)
{
    struct capture *c = capture_new(home, r);
    c->resumed = true;
    return c;
}

void capture_ask(struct capture *c)
{
    int64_t allowed = allowed_ms(c);
    int64_t rest = c->record.created_ms + allowed - loop_wall_ms();
    /* The wall clock may have been set in between. */
    rest = rest > allowed ? allowed : rest;
    watch(c, rest < c->home->grace_ms ? c->home->grace_ms : rest);
    ask(c, -1);
}

/* Takes `fd`. */
static void ask(struct capture *c, int fd)
{
    char space[CAPTURE_REQUEST_ID];
    AUTOJSON json_t *params = record_to_request(&c->record);
    log_debug("capture %s: %s", c->record.id,
              fd < 0 ? "asking what became of it" : "asking for it");
    c->asked = true;
    (void)conn_request(c->home->conn, request_id(c->record.id, "start", space), "probe.start",
                       params, fd);
}

void capture_ask_again(struct capture *c)
{
    strlist_clear(&c->waiters);
    if (!c->asked || c->settling)
        return;
    c->asked_again = true;
    ask(c, -1);
    if (c->cancel_wanted || c->timed_out)
        tell(c->home->conn, c->record.id, "cancel", "probe.cancel");
    else if (c->stop_wanted)
        tell(c->home->conn, c->record.id, "stop", "probe.stop");
}

static void send_progress(struct capture *c)
{
    if (c->record.phase_count == 0 || c->waiters.count == 0)
        return;
    const struct record_phase *last = &c->record.phases[c->record.phase_count - 1];
    AUTOJSON json_t *params = json_object();
    json_set_string(params, "phase", last->name);
    json_set_int(params, "at_ms", last->at_ms);
    (void)conn_progress(c->home->conn, c->waiters.items[c->waiters.count - 1], params);
}

int capture_attach(struct capture *c, const char *request)
{
    struct strlist all = {0};
    for (size_t i = 0; i < c->waiters.count; i++)
        if (!str_eq(c->waiters.items[i], request))
            strlist_add(&all, c->waiters.items[i]);
    if (all.count == WAITERS_MAX) {
        strlist_clear(&all);
        return ERR_BUSY;
    }
    strlist_add(&all, request);
    strlist_clear(&c->waiters);
    c->waiters = all;
    /* Whoever comes late sees at once how far it is. */
    if (!c->settling)
        send_progress(c);
    return 0;
}

/* ---- while it runs --------------------------------------------------------------------------- */

void capture_on_progress(struct capture *c, const json_t *params)
{
    if (c->settling || !record_progress(&c->record, params, loop_wall_ms()))
        return;
    log_debug("capture %s: %s", c->record.id, record_phase(&c->record));
    int r = spool_save(c->home->spool, &c->record);
    if (r < 0)
        log_warn(r, "cannot note phase %s of capture %s, ignoring", record_phase(&c->record),
                 c->record.id);
    send_progress(c);
    c->home->changed(c);
}

/* The watchdog bites after `ms` at the latest. */
static void hurry(struct capture *c, int64_t ms)
{
    if (uv_timer_get_due_in(&c->watchdog) > (uint64_t)ms)
        watch(c, ms);
}

int capture_stop(struct capture *c)
{
    if (c->settling)
        return ERR_NOT_RUNNING;
    c->stop_wanted = true;
    if (!c->asked)
        return 0;
    hurry(c, c->home->slack_ms);
    tell(c->home->conn, c->record.id, "stop", "probe.stop");
    return 0;
}

int capture_cancel(struct capture *c)
{
    if (c->settling)
        return ERR_NOT_RUNNING;
    c->cancel_wanted = true;
    if (!c->asked)
        return 0;
    hurry(c, c->home->grace_ms);
    tell(c->home->conn, c->record.id, "cancel", "probe.cancel");
    return 0;
}

static void fail(struct capture *c, int error, const char *message)
{
    record_fail(&c->record, err_name(error), message, loop_wall_ms());
}

static void fail_timed_out(struct capture *c)
{
    AUTOFREE char *message =
        xasprintf("the capture did not end within %" PRId64 " s of its limit; it was in phase %s",
                  c->home->slack_ms / 1000, record_phase(&c->record));
    fail(c, -ETIMEDOUT, message);
}

/* First the supervisor is asked to cancel it; when that is not answered either, it is given up. */
static void on_watchdog(uv_timer_t *timer)
{
    struct capture *c = timer->data;
    if (c->cancel_wanted) {
        record_end(&c->record, RECORD_CANCELLED, loop_wall_ms());
        settle(c);
        return;
    }
    if (c->timed_out) {
        fail_timed_out(c);
        settle(c);
        return;
    }
    log_warn(0, "capture %s is over its time in phase %s, cancelling", c->record.id,
             record_phase(&c->record));
    c->timed_out = true;
    watch(c, c->home->grace_ms);
    tell(c->home->conn, c->record.id, "cancel", "probe.cancel");
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void fail_agent_gone(struct capture *c)
{
    AUTOFREE char *message =
        c->record.phase_count == 0
            ? xstrdup("the agent was restarted while the capture was queued")
            : xasprintf("the agent was restarted while the capture was in phase %s",
                        record_phase(&c->record));
    fail(c, ERR_AGENT_GONE, message);
}

static void fail_lost(struct capture *c)
{
    AUTOFREE char *message =
        xasprintf("the supervisor was restarted while the capture was in phase "
                  "%s, and does not know it any more",
                  record_phase(&c->record));
    fail(c, ERR_PROBE_GONE, message);
}

static void take_error(struct capture *c, const struct msg *m)
{
    if (c->asked_again && m->error == ERR_NOT_FOUND && !c->cancel_wanted &&
        c->record.phase_count > 0) {
        fail_lost(c);
        return;
    }
    if (c->resumed && m->error == ERR_NOT_FOUND) {
        fail_agent_gone(c);
        return;
    }
    if (m->error == ERR_CANCELLED || c->cancel_wanted) {
        record_end(&c->record, RECORD_CANCELLED, loop_wall_ms());
        return;
    }
    if (c->record.phase_count == 0)
        (void)record_enter(&c->record, "open", loop_wall_ms());
    /* A name we do not know goes on as it is. */
    const char *name = json_get_string(m->error_data, "name", err_name(m->error));
    record_fail(&c->record, name, m->error_text, loop_wall_ms());
}

/* The supervisor says there is a result; what counts is the file. */
static void check_result(struct capture *c)
{
    struct record *r = &c->record;
    int64_t size = spool_part_size(c->home->spool, r->id);
    if (size < 0) {
        AUTOFREE char *message = xasprintf("the result cannot be stored: %s", err_str((int)size));
        fail(c, (int)size, message);
        return;
    }
    if (size == 0) {
        record_fail(r, r->error_name ? r->error_name : err_name(ERR_FAILED),
                    r->error_message ? r->error_message : "the capture ended without a result",
                    loop_wall_ms());
        return;
    }
    if (r->bytes != RECORD_UNKNOWN && r->bytes != size) {
        log_warn(0, "capture %s: the result should have %" PRId64 " bytes and has %" PRId64, r->id,
                 r->bytes, size);
        record_warn(r, RECORD_SIZE_DIFFERS);
    }
    r->bytes = size;
    (void)record_enter(r, "stored", loop_wall_ms());
}

static void take_result(struct capture *c, const json_t *answer)
{
    int r = record_answer(&c->record, answer, loop_wall_ms());
    if (r < 0) {
        fail(c, r, "the supervisor's answer names no state that a capture can end in");
        return;
    }
    if (c->timed_out && !c->cancel_wanted && c->record.state == RECORD_CANCELLED)
        fail_timed_out(c);
    /* Cancel means that the result is not wanted, also when it came first, nor why there is none.
     */
    if (c->cancel_wanted)
        record_end(&c->record, RECORD_CANCELLED, loop_wall_ms());
    if (record_has_result(&c->record))
        check_result(c);
}

void capture_on_answer(struct capture *c, const struct msg *m)
{
    if (c->settling) {
        log_debug("capture %s: a second answer, ignoring", c->record.id);
        return;
    }
    if (m->kind == MSG_ERROR)
        take_error(c, m);
    else
        take_result(c, m->result);
    settle(c);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* The record has ended: from here on it is not changed while the thread writes it. */
static void settle(struct capture *c)
{
    assert(record_ended(&c->record));
    c->settling = true;
    if (!record_has_result(&c->record))
        c->record.bytes = RECORD_UNKNOWN;
    (void)uv_timer_stop(&c->watchdog);
    write_in_thread(c, write_files, on_written);
}

static void write_files(uv_work_t *work)
{
    struct capture *c = work->data;
    c->written = spool_end_write(&c->files);
}

static void on_written(uv_work_t *work, int status)
{
    struct capture *c = work->data;
    int r = has_written(c, status);
    if (r < 0 && record_has_result(&c->record)) {
        AUTOFREE char *message =
            xasprintf("the result cannot be stored in the spool: %s", err_str(r));
        log_err(r, "capture %s: cannot store the result", c->record.id);
        record_leave(&c->record, "stored");
        fail(c, r, message);
        settle(c);
        return;
    }
    if (r < 0) {
        keep_unsaved(c, r);
        return;
    }
    if (c->unsaved)
        log_info("capture %s: how it ended is stored at last", c->record.id);
    c->stored = true;
    end(c);
}

static void answer(struct capture *c)
{
    if (c->answered)
        return;
    c->answered = true;
    c->home->answer(c);
}

/* What became of it is decided, whether or not the disk takes it.  Until it does, the supervisor
 * keeps its answer for the next agent, too. */
static void keep_unsaved(struct capture *c, int r)
{
    bool first = !c->unsaved;
    c->unsaved = true;
    if (first || c->leaving)
        log_err(r, "capture %s: cannot store how it ended, %s", c->record.id,
                c->leaving ? "leaving it to the next agent" : "trying again");
    if (c->leaving) {
        end(c);
        return;
    }
    /* One that came too late is not known there yet. */
    if (!spool_find(c->home->spool, c->record.id))
        spool_begun(c->home->spool, &c->record);
    c->retry_ms = first ? RETRY_MIN_MS : c->retry_ms * 2;
    if (c->retry_ms > RETRY_MAX_MS)
        c->retry_ms = RETRY_MAX_MS;
    (void)uv_timer_start(&c->watchdog, on_retry, (uint64_t)c->retry_ms, 0);
    answer(c);
}

static void on_retry(uv_timer_t *timer)
{
    settle(timer->data);
}

static void end(struct capture *c)
{
    if (c->closing)
        return;
    c->closing = true;
    uv_close((uv_handle_t *)&c->watchdog, on_closed);
}

static void tell_end(struct capture *c)
{
    log_info("capture %s of %s (%s): %s", c->record.id, c->record.app,
             record_kind_name(c->record.kind), record_state_name(c->record.state));
    spool_ended(c->home->spool, &c->record);
    if (record_has_result(&c->record))
        send_progress(c);
    if (c->asked)
        capture_ack(c->home->conn, c->record.id);
}

static void on_closed(uv_handle_t *handle)
{
    struct capture *c = handle->data;
    if (c->stored)
        tell_end(c);
    answer(c);
    c->home->done(c);
    record_clear(&c->record);
    strlist_clear(&c->waiters);
    if (c->fd >= 0)
        (void)close(c->fd);
    free(c);
}

void capture_close(struct capture *c)
{
    if (c->leaving)
        return;
    c->leaving = true;
    if (c->writing)
        return;
    if (c->unsaved)
        settle(c);
    else
        end(c);
}
