#include "agent/inspector/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <signal.h>
#include <stdio.h>
#include <sys/time.h>
#include <unistd.h>
#include <uv.h>

#include "agent/inspector/capture.h"
#include "agent/inspector/ws.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "lib/wire/conn.h"
#include "lib/wire/method.h"
#include "lib/wire/msg.h"

enum {
    CONTROL_FD = 3,
    RESULT_FD = 4,
    BEGIN_MS = 10000, /* the supervisor sends `begin` right after it has started us */
    EXIT_MS = 400,    /* for our own clean-up, once everything has been said */
};

#define HELLO_ID "hello"

struct probe {
    uv_loop_t loop;
    uv_timer_t begin_limit; /* ->data is the probe */
    struct conn conn;
    struct lws_context *context;
    struct capture *capture; /* NULL before `begin` and after the end */
    bool greeted;            /* `hello` was answered */
    bool begun;
    bool end_sent;
    bool conn_open;
    int status;
};

/* The steps, in the order in which they run. */
static void on_message(struct conn *conn, struct msg *m);
static void on_hello(struct probe *p, const struct msg *m);
static void on_notification(struct probe *p, const struct msg *m);
static void on_begin(struct probe *p, const json_t *params);
static void on_phase(void *arg, enum capture_phase phase);
static void on_end(void *arg, const struct capture_end *end);
static void on_conn_closed(struct conn *conn, int reason);
static void on_begin_limit(uv_timer_t *timer);

/* ---- messages from the supervisor ------------------------------------------------------------ */

static void on_message(struct conn *conn, struct msg *m)
{
    struct probe *p = conn->arg;
    /* Another supervisor: it says again what its predecessor may have been about to say. */
    if (m->kind == MSG_NOTIFICATION && str_eq(m->method, "restarted"))
        log_debug("another supervisor goes on");
    else if (!p->greeted)
        on_hello(p, m);
    else if (m->kind == MSG_RESULT && str_eq(m->id, HELLO_ID))
        log_debug("the answer to our hello came twice");
    else if (m->kind == MSG_NOTIFICATION)
        on_notification(p, m);
    else
        conn_close(conn);
}

static void on_hello(struct probe *p, const struct msg *m)
{
    if (m->kind == MSG_ERROR) {
        log_err(m->error, "the supervisor refused us: %s", m->error_text);
        conn_close(&p->conn);
        return;
    }
    if (m->kind != MSG_RESULT || !str_eq(m->id, HELLO_ID) ||
        json_get_int(m->result, "version", 0) != WIRE_VERSION) {
        log_err(ERR_PROTOCOL, "the supervisor did not answer our hello");
        conn_close(&p->conn);
        return;
    }
    p->greeted = true;
}

static int check(const struct msg *m, char *reterr_text, size_t size)
{
    const struct wire_method *method = wire_method_find(m->method, WIRE_SUPERVISOR_TO_PROBE);
    if (!method)
        return ERR_PROTOCOL;
    return wire_method_check(method, m->params, reterr_text, size);
}

static void on_notification(struct probe *p, const struct msg *m)
{
    char text[256] = "no such message";
    int r = check(m, text, sizeof text);
    if (r == 0 && str_eq(m->method, "begin") && p->begun) {
        log_debug("'begin' came twice");
        return;
    }
    if (r == 0 && !str_eq(m->method, "begin") && !p->begun) {
        (void)snprintf(text, sizeof text, "not allowed now");
        r = ERR_PROTOCOL;
    }
    if (r < 0) {
        log_err(r, "message '%s' from the supervisor: %s", m->method, text);
        conn_close(&p->conn);
        return;
    }
    if (!p->begun)
        on_begin(p, m->params);
    else if (!p->capture)
        log_debug("'%s' came after the end", m->method);
    else if (str_eq(m->method, "stop"))
        capture_stop(p->capture, stop_reason_from_name(json_get_string(m->params, "reason", NULL)));
    else if (str_eq(m->method, "cancel"))
        capture_cancel(p->capture);
    else if (str_eq(m->method, "leave_open"))
        capture_leave_open(p->capture);
}

static void on_begin(struct probe *p, const json_t *params)
{
    struct capture_order order = {
        .kind = json_get_string(params, "kind", ""),
        .pid = (pid_t)json_get_int(params, "pid", 0),
        .port = (unsigned)json_get_int(params, "port", 0),
        .path = json_get_string(params, "path", ""),
        .node_major = (int)json_get_int(params, "node_major", 0),
        .duration_ms = json_get_int(params, "duration_ms", 0),
        .interval_us = json_get_int(params, "interval_us", 0),
        .interval_bytes = json_get_int(params, "interval_bytes", 0),
        .close = json_get_bool(params, "close", false),
    };
    p->begun = true;
    uv_close((uv_handle_t *)&p->begin_limit, NULL);
    struct capture_end refused = {.state = CAPTURE_FAILED, .start_pause_us = -1, .measured_us = -1};
    refused.error = capture_start(&p->loop, p->context, &order, RESULT_FD, on_phase, on_end, p,
                                  &p->capture, &refused.message);
    if (refused.error < 0)
        on_end(p, &refused);
}

/* ---- messages to the supervisor -------------------------------------------------------------- */

static void on_phase(void *arg, enum capture_phase phase)
{
    struct probe *p = arg;
    AUTOJSON json_t *params = json_object();
    json_set_string(params, "phase", capture_phase_name(phase));
    (void)conn_notify(&p->conn, "phase", params);
}

static json_t *end_to_json(const struct capture_end *end)
{
    json_t *params = json_object();
    json_set_string(params, "state", capture_state_name(end->state));
    json_set_string(params, "phase", capture_phase_name(end->phase));
    json_set_int(params, "bytes", (int64_t)end->bytes);
    if (end->start_pause_us >= 0)
        json_set_int(params, "start_pause_us", end->start_pause_us);
    if (end->measured_us >= 0)
        json_set_int(params, "measured_us", end->measured_us);
    if (end->state == CAPTURE_FAILED) {
        json_set_string(params, "error", err_name(end->error));
        json_set_string(params, "message", end->message);
    }
    if (end->loop_blocked)
        json_set_bool(params, "loop_blocked", true);
    json_set_string(params, "reason", stop_reason_name(end->reason));
    return params;
}

static void on_end(void *arg, const struct capture_end *end)
{
    struct probe *p = arg;
    p->capture = NULL;
    log_info("%s in phase %s, %llu bytes%s%s", capture_state_name(end->state),
             capture_phase_name(end->phase), (unsigned long long)end->bytes,
             end->message ? ": " : "", end->message ? end->message : "");
    if (!p->conn_open) {
        uv_stop(&p->loop);
        return;
    }
    AUTOJSON json_t *params = end_to_json(end);
    p->end_sent = conn_notify(&p->conn, "end", params) == 0;
    conn_close_after_flush(&p->conn);
}

/* ---- start and end --------------------------------------------------------------------------- */

/* After our own closing, or because the supervisor has gone: then nobody waits for a result. */
static void on_conn_closed(struct conn *conn, int reason)
{
    struct probe *p = conn->arg;
    p->conn_open = false;
    if (p->end_sent && reason == 0)
        p->status = 0;
    if (p->capture) {
        log_warn(reason, "the supervisor has gone, dropping the capture");
        capture_drop(p->capture);
        return;
    }
    uv_stop(&p->loop);
}

static void on_begin_limit(uv_timer_t *timer)
{
    struct probe *p = timer->data;
    log_err(UV_ETIMEDOUT, "the supervisor did not say what to do");
    conn_close(&p->conn);
}

static int say_hello(struct probe *p)
{
    AUTOJSON json_t *params = json_object();
    json_set_int(params, "version", WIRE_VERSION);
    json_set_string(params, "program", "proctor-probe");
    return conn_request(&p->conn, HELLO_ID, "hello", params, -1);
}

static int start(struct probe *p)
{
    p->context = ws_context_new(&p->loop);
    if (!p->context) {
        log_err(0, "libwebsockets cannot run on libuv here: is the package libwebsockets-evlib-uv "
                   "installed?");
        return ERR_UNSUPPORTED;
    }
    int r = conn_open(&p->conn, &p->loop, CONTROL_FD, on_message, on_conn_closed, p);
    if (r < 0) {
        log_err(r, "descriptor %d is no control connection; this program is started by proctord",
                CONTROL_FD);
        return r;
    }
    p->conn_open = true;
    conn_forgive_torn(&p->conn);
    (void)uv_timer_start(&p->begin_limit, on_begin_limit, BEGIN_MS, 0);
    return say_hello(p);
}

static int exit_status = 1;

static void on_exit_limit(int signal)
{
    _exit(exit_status);
}

/* Everything has been said; a library that does not come to its end must not keep us. */
static void start_exit_limit(int status)
{
    struct itimerval after = {.it_value = {.tv_usec = EXIT_MS * 1000}};
    exit_status = status;
    (void)signal(SIGALRM, on_exit_limit);
    (void)setitimer(ITIMER_REAL, &after, NULL);
}

static void stop_exit_limit(void)
{
    struct itimerval never = {0};
    (void)setitimer(ITIMER_REAL, &never, NULL);
}

int probe_run(void)
{
    struct probe p = {.status = 1};
    /* Before anything that opens descriptors of its own. */
    if (fcntl(CONTROL_FD, F_GETFL) < 0 || fcntl(RESULT_FD, F_GETFL) < 0) {
        log_err(-errno,
                "descriptors %d and %d are not both open; this program is started by proctord",
                CONTROL_FD, RESULT_FD);
        return p.status;
    }
    int r = uv_loop_init(&p.loop);
    if (r < 0) {
        log_err(r, "cannot make an event loop");
        return p.status;
    }
    p.begin_limit.data = &p;
    (void)uv_timer_init(&p.loop, &p.begin_limit);
    if (start(&p) == 0)
        (void)uv_run(&p.loop, UV_RUN_DEFAULT);
    start_exit_limit(p.status);
    if (!uv_is_closing((uv_handle_t *)&p.begin_limit))
        uv_close((uv_handle_t *)&p.begin_limit, NULL);
    if (p.context)
        ws_context_free(p.context, &p.loop);
    r = loop_end(&p.loop);
    stop_exit_limit();
    log_debug("everything is closed (%d)", r);
    return p.status;
}
