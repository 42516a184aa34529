#include "agent/inspector/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/inspector/cdp.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

/* What a session leaves in the process, under a symbol on `process`: a list of timers with the member `turned`, which is set
 * when the event loop has turned since.  It is gone after an ordinary close.
 *
 * Why: while the loop is blocked, SIGUSR1 opens the inspector by an interrupt, and is kept for the loop as well.  When the
 * inspector was closed meanwhile, the loop opens it anew at its next turn (measured on Node 8 to 26): only a timer of the
 * process itself can close it then.  A later session takes the timers of an earlier one away, or they would close it. */
#define NOTE "Symbol.for('proctor.inspector')"
static const char note_expression[] =
    "(function(){var k=" NOTE ",n=process[k];if(n)n.forEach(clearTimeout);n=[];"
    "Object.defineProperty(process,k,{value:n,configurable:true});"
    "setImmediate(function(){n.turned=true});return 1})()";

static const char turned_expression[] = "(process[" NOTE "]||{}).turned?1:0";

/* Answers 1 when the loop turns; otherwise leaves the timers behind.  Node 8 and 9 close by the first timer in any case. */
#define LEAVE_EXPRESSION(needs_timer)                                                              \
    "(function(){var k=" NOTE ",n=process[k]||[],t=n.turned;"                                      \
    "function end(){process._debugEnd()}"                                                          \
    "function later(f,ms){var h=setTimeout(f,ms);n.push(h);h.unref()}"                             \
    "if(t)delete process[k];"                                                                      \
    "if(" needs_timer ")later(function(){end();"                                                   \
    "if(!t)later(function(){end();delete process[k]},1000)},250);"                                 \
    "return t?1:0})()"
static const char leave_expression[] = LEAVE_EXPRESSION("!t");
static const char old_leave_expression[] = LEAVE_EXPRESSION("true");

enum {
    CONNECT_MS = 2000,
    PID_MS = 3000,
    /* Between _debugEnd() and the end of the socket; nearly always a few milliseconds. */
    PORT_CLOSE_MS = 1000,
    /* For the answer to what is left behind; a blocked loop answers as fast. */
    LEAVE_MS = 2000,
    TURN_POLL_MS = 30,
    TURN_POLLS = 10,
    /* For the peer's close frame.  Node 8 closes its port 250 ms after we asked it to; we must be gone by then. */
    DISCONNECT_MS = 100,
    /* For libwebsockets to end a connection that was told to. */
    KILL_MS = 200,
    /* From here on process._debugEnd() may be called from an evaluate; before, that crashes the process. */
    DIRECT_END_MAJOR = 10,
    /* From here on there is NodeRuntime, and an inspector that was opened by proctor does not publish its UUID. */
    NODE_RUNTIME_MAJOR = 12,
};

/* Opening: the steps, in the order in which they run. */
static void on_port_checked(void *arg, int r);
static void connect_socket(struct session *s);
static void on_ws_open(void *arg, int r, int status);
static void on_pid(void *arg, int r, const json_t *result, const char *text);
static void on_noted(void *arg, int r, const json_t *result, const char *text);
static void watch_end(struct session *s);
static void on_watched(void *arg, int r, const json_t *result, const char *text);
static void opened(struct session *s);
static void open_failed(struct session *s, int r, const char *text);

/* While it stands. */
static void on_ws_data(void *arg, const char *data, size_t len, bool final);
static void on_message(struct session *s);
static void on_profile(struct session *s);
static void on_deadline(uv_timer_t *timer);
static void session_broken(struct session *s, int r);

/* Closing: the steps, in the order in which they run. */
static void start_leaving(struct session *s);
static void close_port(struct session *s);
static void ask_for_turn(struct session *s);
static void on_turn_known(void *arg, int r, const json_t *result, const char *text);
static void say_goodbye(struct session *s);
static void on_loop_known(void *arg, int r, const json_t *result, const char *text);
static void end_inspector(struct session *s);
static void disconnect(struct session *s);
static void drop(struct session *s);
static void on_ws_closed(void *arg);
static void session_over(struct session *s);
static void on_timer_closed(uv_handle_t *handle);

static const struct ws_callbacks ws_callbacks = {
    .on_open = on_ws_open,
    .on_data = on_ws_data,
    .on_closed = on_ws_closed,
};

static void arm(struct session *s, unsigned limit_ms)
{
    (void)uv_timer_start(&s->deadline, on_deadline, limit_ms, 0);
}

/* The loop's clock stands still while a callback runs, and writing a large result is one. */
static void arm_from_now(struct session *s, unsigned limit_ms)
{
    uv_update_time(s->deadline.loop);
    arm(s, limit_ms);
}

/* ---- requests -------------------------------------------------------------------------------- */

static int send_request(struct session *s, const char *method, json_t *params)
{
    AUTOBUF struct buf text = BUF_INIT(WS_MESSAGE);
    log_trace("-> %s", method);
    int r = cdp_request(&text, ++s->last_id, method, params);
    return r < 0 ? r : ws_send(&s->ws, text.data, text.len);
}

static void request(struct session *s, const char *method, json_t *params, unsigned limit_ms,
                    session_reply_cb on_reply, void *arg)
{
    AUTOJSON json_t *owned = params;
    int r = send_request(s, method, owned);
    /* Only on a connection that is ending: its end is told in a moment. */
    if (r < 0)
        log_debug("%s was not sent: %s", method, err_str(r));
    s->extract.awaited_id = 0;
    s->on_reply = on_reply;
    s->reply_arg = arg;
    s->limit_ms = limit_ms;
    arm_from_now(s, limit_ms);
}

void session_call(struct session *s, const char *method, json_t *params, unsigned limit_ms,
                  session_reply_cb on_reply)
{
    request(s, method, params, limit_ms, on_reply, s->arg);
}

void session_call_for_profile(struct session *s, const char *method, unsigned limit_ms,
                              session_reply_cb on_reply)
{
    session_call(s, method, NULL, limit_ms, on_reply);
    s->extract.awaited_id = s->last_id;
}

void session_evaluate(struct session *s, const char *expression, unsigned limit_ms,
                      session_reply_cb on_reply)
{
    session_call(s, "Runtime.evaluate", cdp_evaluate_params(expression), limit_ms, on_reply);
}

static void reply(struct session *s, int r, const json_t *result, const char *text)
{
    session_reply_cb on_reply = s->on_reply;
    s->on_reply = NULL;
    s->extract.awaited_id = 0;
    (void)uv_timer_stop(&s->deadline);
    on_reply(s->reply_arg, r, result, text);
}

/* ---- opening --------------------------------------------------------------------------------- */

void session_open(struct session *s, uv_loop_t *loop, struct lws_context *context,
                  const struct session_target *target, const struct session_callbacks *callbacks,
                  void *arg)
{
    *s =
        (struct session){.context = context, .target = *target, .callbacks = callbacks, .arg = arg};
    s->path = xstrdup(target->path);
    s->deadline.data = s;
    (void)uv_timer_init(loop, &s->deadline);
    extract_init(&s->extract, callbacks->on_profile_data, arg);
    /* A port that was opened by the user's own --inspect publishes its UUID. */
    if (target->node_major < NODE_RUNTIME_MAJOR || !target->port_is_ours) {
        connect_socket(s);
        return;
    }
    s->checking =
        port_check_start(&s->check, loop, target->port, CONNECT_MS, on_port_checked, s) == 0;
    if (!s->checking)
        arm(s, 0);
}

static void on_port_checked(void *arg, int r)
{
    struct session *s = arg;
    s->checking = false;
    if (s->closing)
        session_over(s);
    else if (r == 404)
        connect_socket(s);
    else if (r >= 0 || r == ERR_PROTOCOL)
        open_failed(s, ERR_WRONG_PROCESS,
                    "something else than the inspector that was opened answers on its port; "
                    "nothing was sent to it");
    else if (r == UV_ETIMEDOUT)
        open_failed(s, r,
                    "the inspector's port does not answer; the host may be overloaded, try again");
    else
        open_failed(s, ERR_APP_GONE,
                    "the inspector's port is closed: the process has ended or closed it itself");
}

static void connect_socket(struct session *s)
{
    int r = ws_open(&s->ws, s->context, s->target.port, s->path, &ws_callbacks, s);
    s->connected = r == 0;
    arm(s, r == 0 ? CONNECT_MS : 0);
}

static void on_ws_open(void *arg, int r, int status)
{
    struct session *s = arg;
    char text[128];
    s->connected = r == 0;
    if (s->closing) {
        if (r < 0)
            session_over(s);
        return;
    }
    if (r == 0) {
        request(s, "Runtime.evaluate", cdp_evaluate_params("process.pid"), PID_MS, on_pid, s);
        return;
    }
    if (status == 0) {
        open_failed(s, ERR_APP_GONE,
                    "the inspector's port is closed: the process has ended or closed it itself");
        return;
    }
    if (status == 400 && s->target.node_major < DIRECT_END_MAJOR) {
        open_failed(
            s, ERR_BUSY,
            "another inspector client is attached, and this version of Node allows only one: "
            "disconnect it and try again");
        return;
    }
    (void)snprintf(text, sizeof text, "the inspector refused the connection (HTTP status %d)",
                   status);
    open_failed(s, ERR_INSPECTOR, text);
}

static void on_pid(void *arg, int r, const json_t *result, const char *text)
{
    struct session *s = arg;
    if (r == -ETIMEDOUT) {
        open_failed(s, r,
                    "the process did not say its pid within 3 s: its main thread is stuck in "
                    "native code, or the "
                    "host is overloaded");
        return;
    }
    if (r < 0 || cdp_evaluate_int(result) != s->target.pid) {
        open_failed(s, ERR_WRONG_PROCESS,
                    "the inspector on that port belongs to another process; nothing was changed "
                    "in it");
        return;
    }
    s->verified = true;
    if (s->target.port_is_ours)
        request(s, "Runtime.evaluate", cdp_evaluate_params(note_expression), PID_MS, on_noted, s);
    else
        watch_end(s);
}

/* An app may have taken away what the note needs; then its loop counts as turning. */
static void on_noted(void *arg, int r, const json_t *result, const char *text)
{
    struct session *s = arg;
    s->noted = r == 0 && cdp_evaluate_int(result) == 1;
    watch_end(s);
}

static void watch_end(struct session *s)
{
    if (s->target.node_major < NODE_RUNTIME_MAJOR)
        opened(s);
    else
        request(s, "NodeRuntime.notifyWhenWaitingForDisconnect", json_pack("{s:b}", "enabled", 1),
                PID_MS, on_watched, s);
}

/* Without it the supervisor still sees the end coming, on the process's stderr. */
static void on_watched(void *arg, int r, const json_t *result, const char *text)
{
    struct session *s = arg;
    if (r < 0)
        log_debug("the process will not tell when it waits for us: %s", text ? text : err_str(r));
    opened(s);
}

static void opened(struct session *s)
{
    s->callbacks->on_open(s->arg, 0, NULL);
}

static void open_failed(struct session *s, int r, const char *text)
{
    (void)uv_timer_stop(&s->deadline);
    s->on_reply = NULL;
    s->broken = true;
    s->callbacks->on_open(s->arg, r, text);
}

/* ---- what comes ------------------------------------------------------------------------------ */

static void on_deadline(uv_timer_t *timer)
{
    struct session *s = timer->data;
    if (s->closing && s->waits_for_turn) {
        s->waits_for_turn = false;
        ask_for_turn(s);
    } else if (s->closing) {
        if (s->leave == SESSION_CLOSE_PORT)
            disconnect(s);
        else if (s->leave == SESSION_DISCONNECT)
            drop(s);
        else
            session_over(s);
    } else if (s->on_reply) {
        reply(s, -ETIMEDOUT, NULL, NULL);
    } else if (!s->connected) {
        open_failed(s, ERR_APP_GONE,
                    "the inspector's port is closed: the process has ended or closed it itself");
    } else {
        open_failed(s, -ETIMEDOUT,
                    "the inspector did not accept the connection within 2 s; the host may be "
                    "overloaded, try again");
    }
}

static void on_ws_data(void *arg, const char *data, size_t len, bool final)
{
    struct session *s = arg;
    if (s->broken || s->leave == SESSION_DROP)
        return;
    bool awaits_profile = s->extract.awaited_id != 0;
    int found = extract_feed(&s->extract, data, len, final);
    if (found < 0) {
        session_broken(s, found);
        return;
    }
    if (awaits_profile && s->on_reply)
        arm_from_now(s, s->limit_ms);
    if (found == EXTRACT_MESSAGE)
        on_message(s);
    else if (found == EXTRACT_PROFILE)
        on_profile(s);
    else if (found == EXTRACT_SKIPPED)
        log_debug("skipped a message of %llu bytes (%s)", (unsigned long long)s->extract.size,
                  s->extract.method[0] ? s->extract.method : "a late reply");
}

static void on_profile(struct session *s)
{
    if (s->on_reply && s->extract.id == s->last_id)
        reply(s, 0, NULL, NULL);
}

static void on_event(struct session *s, const char *method)
{
    log_trace("<- %s", method);
    if (!s->closing && s->verified && str_eq(method, "NodeRuntime.waitingForDisconnect"))
        s->callbacks->on_exiting(s->arg);
}

static void on_message(struct session *s)
{
    AUTOCDP struct cdp_message m = {0};
    bool ours = s->on_reply && s->extract.id == s->last_id;
    if (cdp_parse(s->extract.message.data, s->extract.message.len, &m) < 0) {
        /* An event may carry text of the app that is no UTF-8. */
        if (ours)
            session_broken(s, ERR_PROTOCOL);
        else
            log_debug("skipped a message that cannot be read (%s)", s->extract.method);
        return;
    }
    if (!ours && m.method)
        on_event(s, m.method);
    if (!ours)
        return;
    /* A profile would have come through on_profile(). */
    if (m.error_text)
        reply(s, ERR_INSPECTOR, NULL, m.error_text);
    else if (s->extract.awaited_id != 0)
        reply(s, ERR_PROTOCOL, NULL, NULL);
    else
        reply(s, 0, m.result, NULL);
}

static void session_broken(struct session *s, int r)
{
    if (s->broken)
        return;
    s->broken = true;
    s->on_reply = NULL;
    (void)uv_timer_stop(&s->deadline);
    if (s->closing)
        drop(s);
    else if (s->verified)
        s->callbacks->on_broken(s->arg, r);
    else if (r == ERR_APP_GONE)
        open_failed(
            s, r, "the process ended or closed its inspector while the connection was being made");
    else
        open_failed(s, r,
                    "what answers on the inspector's port does not speak the inspector's protocol");
}

/* ---- leaving --------------------------------------------------------------------------------- */

void session_close(struct session *s, enum session_leave leave)
{
    if (s->closed || (s->closing && leave <= s->leave))
        return;
    s->closing = true;
    s->leave = leave;
    s->on_reply = NULL;
    start_leaving(s);
}

static void start_leaving(struct session *s)
{
    if (s->checking) {
        s->leave = SESSION_DROP;
        port_check_cancel(&s->check);
    } else if (!s->connected) {
        session_over(s);
    } else if (!s->ws.open || s->broken || s->leave == SESSION_DROP) {
        drop(s);
    } else if (s->leave == SESSION_CLOSE_PORT && s->verified) {
        close_port(s);
    } else {
        disconnect(s);
    }
}

static void close_port(struct session *s)
{
    if (s->noted)
        ask_for_turn(s);
    else
        say_goodbye(s);
}

/* A loop that is only busy turns in a moment: then nothing needs to be left behind. */
static void ask_for_turn(struct session *s)
{
    request(s, "Runtime.evaluate", cdp_evaluate_params(turned_expression), LEAVE_MS, on_turn_known,
            s);
}

static void on_turn_known(void *arg, int r, const json_t *result, const char *text)
{
    struct session *s = arg;
    bool turned = r < 0 || cdp_evaluate_int(result) == 1;
    if (turned || ++s->turn_polls > TURN_POLLS) {
        say_goodbye(s);
        return;
    }
    s->waits_for_turn = true;
    arm_from_now(s, TURN_POLL_MS);
}

static void say_goodbye(struct session *s)
{
    bool old = s->target.node_major < DIRECT_END_MAJOR;
    const char *expression = old ? old_leave_expression : leave_expression;
    if (!s->noted && old)
        expression = "setTimeout(function(){process._debugEnd()},250).unref(),1";
    if (s->noted || old)
        request(s, "Runtime.evaluate", cdp_evaluate_params(expression), LEAVE_MS, on_loop_known, s);
    else
        end_inspector(s);
}

/* The process closes its inspector, and with it our socket.  Called directly this works in a blocked loop too, but crashes
 * Node 8 and 9: there the timer does it when we have gone. */
static void on_loop_known(void *arg, int r, const json_t *result, const char *text)
{
    struct session *s = arg;
    s->loop_blocked = s->noted && r == 0 && cdp_evaluate_int(result) == 0;
    if (s->target.node_major < DIRECT_END_MAJOR)
        disconnect(s);
    else
        end_inspector(s);
}

static void end_inspector(struct session *s)
{
    request(s, "Runtime.evaluate", cdp_evaluate_params("process._debugEnd()"), PORT_CLOSE_MS, NULL,
            NULL);
}

static void disconnect(struct session *s)
{
    s->waits_for_turn = false;
    s->leave = SESSION_DISCONNECT;
    s->on_reply = NULL;
    ws_close(&s->ws);
    arm_from_now(s, DISCONNECT_MS);
}

static void drop(struct session *s)
{
    s->waits_for_turn = false;
    s->leave = SESSION_DROP;
    s->on_reply = NULL;
    ws_kill(&s->ws);
    arm_from_now(s, KILL_MS);
}

static void on_ws_closed(void *arg)
{
    struct session *s = arg;
    s->connected = false;
    if (s->closing)
        session_over(s);
    else
        session_broken(s, ERR_APP_GONE);
}

static void session_over(struct session *s)
{
    if (s->closed)
        return;
    s->closed = true;
    /* Does nothing unless libwebsockets has not ended a connection that it was told to drop. */
    ws_forget(&s->ws);
    uv_close((uv_handle_t *)&s->deadline, on_timer_closed);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct session *s = handle->data;
    extract_clear(&s->extract);
    free(s->path);
    s->callbacks->on_closed(s->arg);
}
