#include "agent/agent.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/delivery.h"
#include "agent/link.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/wire/method.h"
#include "lib/wire/msg.h"

enum {
    /* A supervisor answers in milliseconds; one that is being debugged or is adopting a thousand
       apps does not. */
    HELLO_MS = 30000,
    /* For a supervisor that does not read while we end. */
    FLUSH_MS = 1000,
    /* For an agent that is finishing its last write. */
    SPOOL_WAIT_MS = 5000,
};

/* One of the two functions is set. */
struct request {
    const char *method;
    void (*of_captures)(struct captures *cs, const struct msg *m);
    void (*of_link)(struct link *l, const struct msg *m);
    bool large; /* the answer may be */
};

// clang-format off
static const struct request requests[] = {
    {"capture.start",  captures_start,  NULL,        true},
    {"capture.stop",   captures_stop,   NULL,        false},
    {"capture.cancel", captures_cancel, NULL,        false},
    {"capture.list",   captures_list,   NULL,        true},
    {"capture.get",    captures_get,    NULL,        true},
    {"link.set",       NULL,            link_set,    false},
    {"link.status",    NULL,            link_status, false},
    {"link.remove",    NULL,            link_remove, false},
};
// clang-format on

static void on_msg(struct conn *conn, struct msg *m);
static void on_deadline(uv_timer_t *timer);
static void on_conn_closed(struct conn *conn, int reason);

/* ---- opening and closing --------------------------------------------------------------------- */

static void ask_hello(struct agent *a)
{
    AUTOJSON json_t *hello = json_object();
    json_set_int(hello, "version", WIRE_VERSION);
    json_set_string(hello, "program", "proctor-agent");
    (void)conn_request(&a->conn, "hello", "hello", hello, -1);
}

static void say_hello(struct agent *a)
{
    ask_hello(a);
    (void)uv_timer_start(&a->deadline, on_deadline, HELLO_MS, 0);
}

static int open_spool(struct agent *a, const char *home)
{
    int r = captures_open(&a->captures, a->loop, &a->conn, home, SPOOL_WAIT_MS);
    if (r == -EPERM)
        log_err(0, "the folder %s/spool belongs to another user", home);
    else if (r == -EBUSY)
        log_err(0, "another agent works in %s/spool", home);
    else if (r < 0)
        log_err(r, "cannot open the spool in %s", home);
    return r;
}

int agent_open(struct agent *a, uv_loop_t *loop, const char *home, int fd,
               agent_closed_cb on_closed)
{
    *a = (struct agent){.loop = loop, .phase = AGENT_HELLO, .on_closed = on_closed};
    int r = open_spool(a, home);
    if (r < 0) {
        (void)close(fd);
        captures_close(&a->captures);
        return r;
    }
    r = conn_open(&a->conn, loop, fd, on_msg, on_conn_closed, a);
    if (r < 0) {
        log_err(r, "descriptor %d cannot be watched", fd);
        captures_close(&a->captures);
        return r;
    }
    conn_forgive_torn(&a->conn);
    a->delivery = delivery_new(&a->captures);
    a->link = link_new(loop, home, &a->conn, &a->captures, a->delivery);
    (void)uv_timer_init(loop, &a->deadline);
    a->deadline.data = a;
    say_hello(a);
    return 0;
}

/* The link first: what becomes of the captures from now on the console hears from the next agent. */
static void close_parts(struct agent *a)
{
    a->phase = AGENT_CLOSING;
    link_close(a->link);
    captures_close(&a->captures);
}

void agent_close(struct agent *a)
{
    if (a->phase == AGENT_CLOSING)
        return;
    close_parts(a);
    (void)uv_timer_start(&a->deadline, on_deadline, FLUSH_MS, 0);
    conn_close_after_flush(&a->conn);
}

void agent_clear(struct agent *a)
{
    link_free(a->link);
    delivery_free(a->delivery);
    captures_clear(&a->captures);
}

static void on_deadline(uv_timer_t *timer)
{
    struct agent *a = timer->data;
    if (a->phase == AGENT_HELLO) {
        log_err(0, "the supervisor has not answered the hello within %d s", HELLO_MS / 1000);
        a->failed = true;
    }
    conn_close(&a->conn);
}

static void on_conn_closed(struct conn *conn, int reason)
{
    struct agent *a = conn->arg;
    bool gone = reason == UV_EOF || reason == -ECONNRESET || reason == -EPIPE;
    if (gone && a->phase != AGENT_CLOSING)
        log_info("the supervisor is gone");
    if (reason < 0 && !gone) {
        log_err(reason, "the connection to the supervisor broke");
        a->failed = true;
    }
    if (a->phase != AGENT_CLOSING)
        close_parts(a);
    uv_close((uv_handle_t *)&a->deadline, NULL);
    a->on_closed(a);
}

/* ---- messages -------------------------------------------------------------------------------- */

static void break_off(struct agent *a, const char *why, const char *method)
{
    log_err(0, "the supervisor broke the protocol: %s%s%s", why, method ? " " : "",
            method ? method : "");
    a->failed = true;
    conn_close(&a->conn);
}

static void take_hello(struct agent *a, const struct msg *m)
{
    if (m->kind == MSG_ERROR && str_eq(m->id, "hello")) {
        log_err(0, "the supervisor refuses us: %s", m->error_text);
        a->failed = true;
        conn_close(&a->conn);
        return;
    }
    if (m->kind != MSG_RESULT || !str_eq(m->id, "hello")) {
        break_off(a, "something came before the answer to hello", NULL);
        return;
    }
    if (json_get_int(m->result, "version", 0) != WIRE_VERSION) {
        break_off(a, "it answered hello with another version", NULL);
        return;
    }
    (void)uv_timer_stop(&a->deadline);
    a->phase = AGENT_SERVING;
    log_info("serving the captures of this host, spool %s", a->captures.spool.dir);
    captures_resume(&a->captures);
    link_start(a->link);
}

static const struct request *find_request(const char *method)
{
    for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
        if (str_eq(requests[i].method, method))
            return &requests[i];
    return NULL;
}

/* Is it a request that can be carried out?  If not, it is answered. */
static bool may_run(struct agent *a, const struct wire_method *row, const struct request *request,
                    const struct msg *m)
{
    char why[256];
    if (strlen(m->id) > LIMIT_NAME) {
        (void)snprintf(why, sizeof why, "a request's id has at most %u bytes", LIMIT_NAME);
        (void)conn_error(&a->conn, m->id, ERR_INVALID, why, NULL);
        return false;
    }
    if (wire_method_check(row, m->params, why, sizeof why) < 0) {
        (void)conn_error(&a->conn, m->id, ERR_INVALID, why, NULL);
        return false;
    }
    if (request->large && a->conn.out.len > CAPTURES_QUEUE_MUCH) {
        (void)conn_error(&a->conn, m->id, ERR_BUSY, CAPTURES_QUEUE_FULL, NULL);
        return false;
    }
    return true;
}

static void take_request(struct agent *a, const struct msg *m)
{
    const struct wire_method *row = wire_method_find(m->method, WIRE_SUPERVISOR_TO_AGENT);
    const struct request *request = find_request(m->method);
    if (!row || !request || m->fd_count > row->fds_max) {
        break_off(a, "it may not request", m->method);
        return;
    }
    if (!may_run(a, row, request, m))
        return;
    if (request->of_link)
        request->of_link(a->link, m);
    else
        request->of_captures(&a->captures, m);
}

/* Its predecessor may have died before it could answer our hello. */
static void take_restarted(struct agent *a)
{
    log_info("another supervisor goes on");
    if (a->phase == AGENT_HELLO) {
        say_hello(a);
        return;
    }
    ask_hello(a);
    captures_restarted(&a->captures);
    link_restarted(a->link);
}

static void take_notification(struct agent *a, const struct msg *m)
{
    char why[256];
    const struct wire_method *row = wire_method_find(m->method, WIRE_SUPERVISOR_TO_AGENT);
    if (!row || !str_eq(m->method, "progress") || m->fd_count > row->fds_max) {
        break_off(a, "it may not notify of", m->method);
        return;
    }
    if (wire_method_check(row, m->params, why, sizeof why) < 0)
        log_warn(0, "%s, ignoring", why);
    else
        captures_on_progress(&a->captures, m);
}

static void on_msg(struct conn *conn, struct msg *m)
{
    struct agent *a = conn->arg;
    if (a->phase != AGENT_CLOSING && m->kind == MSG_NOTIFICATION &&
        str_eq(m->method, "restarted")) {
        take_restarted(a);
        return;
    }
    switch (a->phase) {
    case AGENT_HELLO:
        take_hello(a, m);
        return;
    case AGENT_CLOSING:
        /* The supervisor asks the next agent again. */
        return;
    case AGENT_SERVING:
        break;
    }
    switch (m->kind) {
    case MSG_REQUEST:
        take_request(a, m);
        return;
    case MSG_NOTIFICATION:
        take_notification(a, m);
        return;
    case MSG_RESULT:
    case MSG_ERROR:
        /* Said again to another supervisor, it changes nothing. */
        if (!str_eq(m->id, "hello") && !link_on_answer(a->link, m))
            captures_on_answer(&a->captures, m);
        return;
    }
}
