#include "agent/inspector/capture.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/inspector/kind.h"
#include "agent/inspector/result_file.h"
#include "agent/inspector/session.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

enum {
    ENABLE_MS = 5000,
    START_MS =
        30000, /* V8 logs all code of the app first; a large one on a loaded host takes its time */
    RESULT_MS = 30000,
    CLEAN_UP_MS = 2000,
    /* A process that is about to end waits for us, and its supervisor gives us 2 s. */
    LEAVE_MS = 1900,
    /* For the whole capture, besides its duration and a second per MB received. */
    SPARE_MS = 30000,
};

struct capture {
    struct session session;
    struct result_file file;
    struct capture_order order;
    const struct kind *kind;
    uv_timer_t duration; /* of the measurement; all timers: ->data is the capture */
    uv_timer_t limit;    /* of the whole capture */
    uv_timer_t leave;    /* of a process that is about to end */
    unsigned open_timers;
    uint64_t begun_ns, start_ns, running_ns;
    enum stop_reason app_ends; /* why the process is about to end, or STOP_NONE */
    bool stop_asked;           /* before the profiler runs */
    bool leave_open;           /* do not close the port */
    bool idle_started;         /* the idle notifier runs and must be stopped */
    bool complete;             /* the whole result is in the file */
    char message[512];
    struct capture_end end;
    capture_phase_cb on_phase;
    capture_done_cb done; /* exactly once, from the loop */
    void *arg;
};

/* The steps, in the order in which they run. */
static void on_open(void *arg, int r, const char *text);
static void close_only(struct capture *c);
static void start_idle_notifier(struct capture *c);
static void on_idle_started(void *arg, int r, const json_t *result, const char *text);
static void enable(struct capture *c);
static void on_enabled(void *arg, int r, const json_t *result, const char *text);
static void on_interval_set(void *arg, int r, const json_t *result, const char *text);
static void start_profiler(struct capture *c);
static void on_started(void *arg, int r, const json_t *result, const char *text);
static void on_duration(uv_timer_t *timer);
static void stop_profiler(struct capture *c, enum stop_reason reason);
static int on_profile_data(void *arg, const char *data, size_t len);
static void on_stopped(void *arg, int r, const json_t *result, const char *text);
static void clean_up(struct capture *c);
static void on_idle_stopped(void *arg, int r, const json_t *result, const char *text);
static void disable(struct capture *c);
static void on_disabled(void *arg, int r, const json_t *result, const char *text);
static void leave(struct capture *c);
static void on_closed(void *arg);
static void on_timer_closed(uv_handle_t *handle);

/* From any step. */
static void on_limit(uv_timer_t *timer);
static void on_leave_limit(uv_timer_t *timer);
static void on_exiting(void *arg);
static void on_broken(void *arg, int r);
static void decide(struct capture *c, enum capture_state state);
static void fail(struct capture *c, int r, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static const struct session_callbacks session_callbacks = {
    .on_open = on_open,
    .on_profile_data = on_profile_data,
    .on_exiting = on_exiting,
    .on_broken = on_broken,
    .on_closed = on_closed,
};

/* ---- words ----------------------------------------------------------------------------------- */

#define X(value, name) [value] = name,
static const char *const phase_names[] = {CAPTURE_PHASES(X)};
static const char *const state_names[] = {CAPTURE_STATES(X)};
static const char *const reason_names[] = {STOP_REASONS(X)};
#undef X

const char *capture_phase_name(enum capture_phase phase)
{
    return phase_names[phase];
}

const char *capture_state_name(enum capture_state state)
{
    return state_names[state];
}

const char *stop_reason_name(enum stop_reason reason)
{
    return reason_names[reason];
}

enum stop_reason stop_reason_from_name(const char *name)
{
    if (!name)
        return STOP_REQUESTED;
    for (size_t i = STOP_REQUESTED; i < ARRAY_SIZE(reason_names); i++)
        if (str_eq(reason_names[i], name))
            return (enum stop_reason)i;
    return STOP_NONE;
}

/* ---- small helpers --------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int64_t us_since(uint64_t then_ns)
{
    return (int64_t)((now_ns() - then_ns) / 1000);
}

static bool app_must_go(enum stop_reason reason)
{
    return reason == STOP_APP_EXIT || reason == STOP_APP_STOP;
}

static bool decided(const struct capture *c)
{
    return c->end.state != CAPTURE_UNDECIDED;
}

static void enter(struct capture *c, enum capture_phase phase)
{
    log_debug("%s -> %s", capture_phase_name(c->end.phase), capture_phase_name(phase));
    c->end.phase = phase;
    c->on_phase(c->arg, phase);
}

static unsigned duration_ms(const struct capture *c)
{
    int64_t asked = c->order.duration_ms;
    return asked > 0 && asked <= LIMIT_CAPTURE_LONGEST_MS ? (unsigned)asked
                                                          : LIMIT_CAPTURE_DURATION_MS;
}

static void start_timer(uv_timer_t *timer, uv_timer_cb on_timer, uint64_t after_ms)
{
    uv_update_time(timer->loop);
    (void)uv_timer_start(timer, on_timer, after_ms, 0);
}

/* A step went wrong: the sentence for it. */
static void step_failed(struct capture *c, int r, const char *method, unsigned limit_ms,
                        const char *text)
{
    if (r == -ETIMEDOUT)
        fail(c, r,
             "the process did not answer %s within %u s: its main thread is stuck in native code, "
             "or the host is "
             "overloaded",
             method, limit_ms / 1000);
    else if (r == ERR_INSPECTOR)
        fail(c, r, "the inspector refused %s: %.200s", method, text);
    else
        fail(c, r, "the inspector's answer to %s cannot be understood", method);
}

/* ---- start ----------------------------------------------------------------------------------- */

static bool is_path(const char *path)
{
    return path[strspn(
               path, "/0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_")] == '\0';
}

static void init_timer(struct capture *c, uv_loop_t *loop, uv_timer_t *timer)
{
    timer->data = c;
    (void)uv_timer_init(loop, timer);
    c->open_timers++;
}

int capture_start(uv_loop_t *loop, struct lws_context *context, const struct capture_order *order,
                  int fd, capture_phase_cb on_phase, capture_done_cb done, void *arg,
                  struct capture **ret_capture, const char **reterr_text)
{
    const struct kind *kind = kind_find(order->kind);
    if (!kind) {
        *reterr_text = "this probe has no such kind of capture";
        return ERR_UNSUPPORTED;
    }
    if (!is_path(order->path)) {
        *reterr_text = "the inspector's path has characters that no such path has";
        return ERR_INVALID;
    }
    struct capture *c = xcalloc(1, sizeof *c);
    c->order = *order;
    c->order.kind = kind->name;
    c->order.path = NULL;
    c->kind = kind;
    c->on_phase = on_phase;
    c->done = done;
    c->arg = arg;
    c->begun_ns = now_ns();
    c->end.start_pause_us = c->end.measured_us = -1;
    result_file_init(&c->file, fd, LIMIT_RESULT);
    init_timer(c, loop, &c->duration);
    init_timer(c, loop, &c->limit);
    init_timer(c, loop, &c->leave);
    start_timer(&c->limit, on_limit, duration_ms(c) + SPARE_MS);
    struct session_target target = {
        .pid = order->pid,
        .port = order->port,
        .path = order->path,
        .node_major = order->node_major,
        .port_is_ours = order->close,
    };
    session_open(&c->session, loop, context, &target, &session_callbacks, c);
    *ret_capture = c;
    return 0;
}

static void on_open(void *arg, int r, const char *text)
{
    struct capture *c = arg;
    if (decided(c))
        leave(c);
    else if (r < 0)
        fail(c, r, "%s", text);
    else if (c->kind->enable)
        start_idle_notifier(c);
    else
        close_only(c);
}

static void close_only(struct capture *c)
{
    decide(c, CAPTURE_DONE);
    leave(c);
}

static void start_idle_notifier(struct capture *c)
{
    if (!kind_needs_idle_notifier(c->kind, c->order.node_major)) {
        enable(c);
        return;
    }
    c->idle_started = true;
    session_evaluate(&c->session,
                     "process._startProfilerIdleNotifier&&process._startProfilerIdleNotifier(),1",
                     ENABLE_MS, on_idle_started);
}

/* Without it idle time is counted as (program): worse, but a profile. */
static void on_idle_started(void *arg, int r, const json_t *result, const char *text)
{
    struct capture *c = arg;
    if (r < 0)
        log_debug("no idle notifier: %s", text ? text : err_str(r));
    enable(c);
}

static void enable(struct capture *c)
{
    session_call(&c->session, c->kind->enable, NULL, ENABLE_MS, on_enabled);
}

static void on_enabled(void *arg, int r, const json_t *result, const char *text)
{
    struct capture *c = arg;
    if (r < 0)
        step_failed(c, r, c->kind->enable, ENABLE_MS, text);
    else if (c->kind->set_interval)
        session_call(&c->session, c->kind->set_interval, c->kind->interval_params(&c->order),
                     ENABLE_MS, on_interval_set);
    else
        start_profiler(c);
}

static void on_interval_set(void *arg, int r, const json_t *result, const char *text)
{
    struct capture *c = arg;
    if (r < 0)
        step_failed(c, r, c->kind->set_interval, ENABLE_MS, text);
    else
        start_profiler(c);
}

static void start_profiler(struct capture *c)
{
    enter(c, PHASE_START);
    c->start_ns = now_ns();
    session_call(&c->session, c->kind->start, c->kind->start_params(&c->order), START_MS,
                 on_started);
}

static void on_started(void *arg, int r, const json_t *result, const char *text)
{
    struct capture *c = arg;
    if (r < 0) {
        step_failed(c, r, c->kind->start, START_MS, text);
        return;
    }
    c->running_ns = now_ns();
    c->end.start_pause_us = us_since(c->start_ns);
    enter(c, PHASE_RUNNING);
    if (c->stop_asked)
        stop_profiler(c, STOP_REQUESTED);
    else
        start_timer(&c->duration, on_duration, duration_ms(c));
}

/* ---- stop and result ------------------------------------------------------------------------- */

static void on_duration(uv_timer_t *timer)
{
    stop_profiler(timer->data, STOP_NONE);
}

static void stop_profiler(struct capture *c, enum stop_reason reason)
{
    (void)uv_timer_stop(&c->duration);
    c->end.measured_us = us_since(c->running_ns);
    if (app_must_go(reason))
        c->end.reason = reason;
    enter(c, PHASE_STOPPING);
    session_call_for_profile(&c->session, c->kind->stop, RESULT_MS, on_stopped);
}

static int on_profile_data(void *arg, const char *data, size_t len)
{
    struct capture *c = arg;
    /* Cancelled or failed: the rest of a message that is on its way. */
    if (decided(c))
        return 0;
    if (c->end.phase == PHASE_STOPPING)
        enter(c, PHASE_SENDING);
    int r = result_file_add(&c->file, data, len);
    if (r == ERR_TOO_BIG)
        fail(c, r, "the result is larger than the %llu bytes that a result may have", LIMIT_RESULT);
    else if (r < 0)
        fail(c, r, "cannot write the result: %s", err_str(r));
    return 0;
}

static void on_stopped(void *arg, int r, const json_t *result, const char *text)
{
    struct capture *c = arg;
    if (r == ERR_INSPECTOR && c->kind->busy_text && str_starts(text, c->kind->busy_text)) {
        fail(c, ERR_BUSY,
             "another inspector client used the sampling heap profiler of this process, which has "
             "only one, "
             "and took its data");
        return;
    }
    if (r < 0) {
        step_failed(c, r, c->kind->stop, RESULT_MS, text);
        return;
    }
    c->complete = true;
    decide(c, c->end.reason == STOP_NONE ? CAPTURE_DONE : CAPTURE_PARTIAL);
    clean_up(c);
}

/* ---- ending ---------------------------------------------------------------------------------- */

static void decide(struct capture *c, enum capture_state state)
{
    c->end.state = state;
    (void)uv_timer_stop(&c->duration);
}

static void record_failure(struct capture *c, int r, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

static void record_failure(struct capture *c, int r, const char *fmt, va_list ap)
{
    decide(c, CAPTURE_FAILED);
    (void)vsnprintf(c->message, sizeof c->message, fmt, ap);
    c->end.error = r;
    c->end.message = c->message;
    c->end.reason = r == ERR_APP_GONE ? c->app_ends : STOP_NONE;
}

/* The first failure counts.  What the process was made to do ends with the connection; only a process that answers is
 * asked to clean up first. */
static void fail(struct capture *c, int r, const char *fmt, ...)
{
    if (decided(c))
        return;
    va_list ap;
    va_start(ap, fmt);
    record_failure(c, r, fmt, ap);
    va_end(ap);
    if (r == ERR_INSPECTOR || r == ERR_BUSY)
        clean_up(c);
    else
        leave(c);
}

/* After a result, a refusal or a cancel: leaves the process as it was.  Goes on whatever is answered.  A process that is
 * about to end is not held up with it. */
static void clean_up(struct capture *c)
{
    if (c->app_ends || !c->session.verified)
        leave(c);
    else if (c->idle_started)
        session_evaluate(&c->session,
                         "process._stopProfilerIdleNotifier&&process._stopProfilerIdleNotifier(),1",
                         CLEAN_UP_MS, on_idle_stopped);
    else
        disable(c);
}

static void on_idle_stopped(void *arg, int r, const json_t *result, const char *text)
{
    disable(arg);
}

/* This ends a profiler that still runs, too. */
static void disable(struct capture *c)
{
    session_call(&c->session, c->kind->disable, NULL, CLEAN_UP_MS, on_disabled);
}

static void on_disabled(void *arg, int r, const json_t *result, const char *text)
{
    leave(arg);
}

/* Called again when there is a reason to hurry. */
static void leave(struct capture *c)
{
    bool close_port = c->order.close && !c->leave_open && !c->app_ends;
    session_close(&c->session, close_port ? SESSION_CLOSE_PORT : SESSION_DISCONNECT);
}

/* The process is free; now the result may take its time to reach the disk. */
static void on_closed(void *arg)
{
    struct capture *c = arg;
    int r = c->complete ? result_file_sync(&c->file) : 0;
    if (r < 0) {
        c->complete = false;
        c->end.state = CAPTURE_FAILED;
        c->end.error = r;
        c->end.message = c->message;
        (void)snprintf(c->message, sizeof c->message, "cannot write the result: %s", err_str(r));
    }
    if (!c->complete)
        result_file_drop(&c->file);
    c->end.bytes = c->file.bytes;
    c->end.loop_blocked = c->session.loop_blocked;
    uv_close((uv_handle_t *)&c->duration, on_timer_closed);
    uv_close((uv_handle_t *)&c->limit, on_timer_closed);
    uv_close((uv_handle_t *)&c->leave, on_timer_closed);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct capture *c = handle->data;
    if (--c->open_timers > 0)
        return;
    c->done(c->arg, &c->end);
    free(c);
}

/* ---- from any step --------------------------------------------------------------------------- */

/* The limit grows with what has come. */
static void on_limit(uv_timer_t *timer)
{
    struct capture *c = timer->data;
    int64_t allowed_ms =
        (int64_t)duration_ms(c) + SPARE_MS + (int64_t)(c->file.bytes / 1000000) * 1000;
    int64_t left_ms = allowed_ms - us_since(c->begun_ns) / 1000;
    if (left_ms > 0)
        start_timer(timer, on_limit, (uint64_t)left_ms);
    else if (decided(c))
        leave(c);
    else
        fail(c, -ETIMEDOUT,
             "the capture was not over %d s after its time and was given up; the host may be "
             "overloaded",
             SPARE_MS / 1000);
}

static void on_exiting(void *arg)
{
    capture_stop(arg, STOP_APP_EXIT);
}

static void on_leave_limit(uv_timer_t *timer)
{
    struct capture *c = timer->data;
    fail(c, ERR_APP_GONE,
         "the process was about to end and did not hand over its profile within 2 s");
    session_close(&c->session, SESSION_DROP);
}

static const char *gone_text(enum capture_phase phase)
{
    switch (phase) {
    case PHASE_OPEN:
    case PHASE_START:
        return "the process ended before the profiler ran";
    case PHASE_RUNNING:
        return "the process ended while the profiler was running (its data went with it)";
    case PHASE_STOPPING:
    case PHASE_SENDING:
        return "the process ended before it had sent the whole result";
    }
    return "";
}

static void on_broken(void *arg, int r)
{
    struct capture *c = arg;
    if (r == ERR_APP_GONE)
        fail(c, r, "%s", gone_text(c->end.phase));
    else
        fail(c, r, "the inspector sent something that cannot be understood");
    leave(c);
}

void capture_stop(struct capture *c, enum stop_reason reason)
{
    if (app_must_go(reason) && c->app_ends == STOP_NONE) {
        c->app_ends = reason;
        start_timer(&c->leave, on_leave_limit, LEAVE_MS);
    }
    if (decided(c)) {
        if (app_must_go(reason))
            leave(c);
    } else if (c->end.phase == PHASE_RUNNING) {
        stop_profiler(c, reason);
    } else if (c->end.phase < PHASE_RUNNING && app_must_go(reason)) {
        fail(c, ERR_APP_GONE, "the process was about to end before the profiler ran");
    } else {
        c->stop_asked = true;
    }
}

void capture_cancel(struct capture *c)
{
    /* Once all is closed the result stands. */
    if (c->end.state == CAPTURE_CANCELLED || c->end.state == CAPTURE_FAILED || c->session.closed ||
        !c->kind->enable)
        return;
    bool leaving = decided(c);
    c->complete = false;
    c->end.reason = STOP_NONE;
    decide(c, CAPTURE_CANCELLED);
    /* Before that on_open() goes on: only then can the port be closed. */
    if (!leaving && c->session.verified)
        clean_up(c);
}

void capture_leave_open(struct capture *c)
{
    c->leave_open = true;
}

void capture_drop(struct capture *c)
{
    if (!decided(c))
        decide(c, CAPTURE_CANCELLED);
    /* Nobody else is left to close the port; the session's own limits keep this short. */
    bool close_port = c->order.close && !c->leave_open && !c->app_ends && c->session.verified;
    session_close(&c->session, close_port ? SESSION_CLOSE_PORT : SESSION_DROP);
}
