#include "supervisor/agent_link.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/spawn.h"
#include "lib/base/str.h"
#include "lib/base/uuid.h"
#include "lib/wire/method.h"
#include "lib/wire/msg.h"
#include "supervisor/captures.h"
#include "supervisor/control.h"
#include "supervisor/kept_json.h"
#include "supervisor/log_tail.h"
#include "supervisor/safe_mode.h"
#include "supervisor/supervisor.h"
#include "supervisor/views.h"

enum {
    BACKOFF_MIN_MS = 20,
    BACKOFF_MAX_MS = 5000,
    STABLE_MS = 10000,   /* an agent that lived this long starts the back-off anew */
    PATIENCE_MS = 15000, /* a request is refused when there has been no agent for so long */
    RELAYS_MAX = 1000,
    END_MS = 3000,
    ANSWER_MS = 15000,   /* for hello, for short requests, and for the first sign of a capture */
    LINK_SET_MS = 40000, /* enrolment goes over the network, and so does the first connection */
    LINK_REMOVE_MS = 10000,
    WATCH_MS = 1000,
};

struct relay {
    struct list link;
    struct peer *peer; /* when it goes, so does this */
    char *peer_id;
    char id[UUID_TEXT]; /* ours, towards the agent */
    char *method;
    json_t *params;
    /* An answer or progress is due by then; 0: not waiting, or the agent has shown that it works on it. */
    int64_t due_ms;
    bool sent;   /* to the agent that is there */
    bool blamed; /* an agent was replaced because of it */
};

/* The steps, in the order in which they run. */
static bool adopt_agent(struct agent_link *a);
static int spawn_agent(struct agent_link *a);
static void on_msg(struct conn *c, struct msg *m);
static void on_conn_closed(struct conn *c, int reason);
static void on_exited(void *arg, struct exit_status status);
static void try_later(struct agent_link *a);
static void on_timer(uv_timer_t *timer);
static void on_watch(uv_timer_t *timer);

static int64_t now_ms(const struct agent_link *a)
{
    return (int64_t)uv_now(&a->sup->loop);
}

void agent_link_init(struct agent_link *a, struct supervisor *sup)
{
    *a = (struct agent_link){.sup = sup, .backoff_ms = BACKOFF_MIN_MS};
    list_init(&a->relays);
    (void)uv_timer_init(&sup->loop, &a->timer);
    (void)uv_timer_init(&sup->loop, &a->watchdog);
    a->timer.data = a->watchdog.data = a;
    (void)uv_timer_start(&a->watchdog, on_watch, WATCH_MS, WATCH_MS);
}

/* ---- starting and restarting ----------------------------------------------------------------- */

/* What the next supervisor must know. */
static void keep(const struct agent_link *a)
{
    AUTOJSON json_t *j = json_object();
    json_set_int(j, "pid", agent_link_pid(a));
    json_set_bool(j, "greeted", a->greeted);
    json_set_int(j, "started_ms", a->started_ms);
    json_set_int(j, "backoff_ms", a->backoff_ms);
    kept_json_put(&a->sup->keep, j, "agent.json");
}

void agent_link_start(struct agent_link *a)
{
    if (adopt_agent(a))
        return;
    if (a->sup->safe) {
        log_warn(0, "no agent is started, since the supervisor only watches now");
        return;
    }
    a->started_ms = now_ms(a);
    a->hello_due_ms = a->started_ms + ANSWER_MS;
    int r = spawn_agent(a);
    if (r < 0) {
        log_err(r, "the agent cannot be started");
        try_later(a);
    }
}

static void watch_agent(struct agent_link *a, struct process *process, int sock, bool restarted)
{
    a->process = process;
    a->conn_open =
        conn_open_peeking(&a->conn, &a->sup->loop, sock, restarted, on_msg, on_conn_closed, a) == 0;
    if (a->conn_open)
        return;
    keep_drop(&a->sup->keep, "agent.sock");
    (void)process_signal(a->process, SIGKILL);
}

/* Its records and captures survive this, as any death of the agent; the next one is of the version that is installed now. */
static void replace_agent(struct agent_link *a)
{
    log_info("the agent makes room for one of the new version");
    a->leaving = true;
    (void)process_signal(a->process, SIGTERM);
    (void)uv_timer_start(&a->timer, on_timer, END_MS, 0);
}

/* One whose pidfd was not stored has not been told anything: without its socket it ends by itself. */
static bool adopt_agent(struct agent_link *a)
{
    struct keep_link *k = &a->sup->keep;
    AUTOJSON json_t *kept = kept_json_get(k, "agent.json");
    int sock = keep_take(k, "agent.sock");
    int pidfd = keep_take(k, "agent.pid");
    int64_t backoff_ms = json_get_int(kept, "backoff_ms", a->backoff_ms);
    if (backoff_ms > BACKOFF_MIN_MS && backoff_ms <= BACKOFF_MAX_MS)
        a->backoff_ms = (unsigned)backoff_ms;
    if (sock < 0 || pidfd < 0) {
        keep_drop(k, "agent.*");
        if (sock >= 0)
            (void)close(sock);
        if (pidfd >= 0)
            (void)close(pidfd);
        return false;
    }
    pid_t pid = kept_pid(pidfd);
    if (pid <= 0)
        pid = (pid_t)json_get_int(kept, "pid", 0);
    a->started_ms = json_get_int(kept, "started_ms", now_ms(a));
    a->greeted = json_get_bool(kept, "greeted", false);
    a->hello_due_ms = now_ms(a) + ANSWER_MS;
    watch_agent(a, process_adopt(&a->sup->loop, pid, pidfd, NULL, on_exited, a), sock, true);
    log_info("agent %d goes on", (int)pid);
    if (k->flags & KEEP_UPGRADED)
        replace_agent(a);
    return true;
}

static int spawn_agent(struct agent_link *a)
{
    int pair[2], pidfd;
    pid_t pid;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    AUTOFREE char *file = path_sibling("proctor-agent");
    char *argv[] = {(char *)"proctor-agent", (char *)"--home", a->sup->home, NULL};
    AUTOSTRLIST struct strlist env = {0};
    supervisor_child_environment(&env);
    const struct spawn s = {.file = file,
                            .argv = argv,
                            .envp = env.items,
                            .cwd = "/",
                            .fds = {-1, -1, STDERR_FILENO, pair[1]},
                            .fd_count = 4,
                            .new_session = true};
    enum spawn_step step;
    struct keep_link *k = &a->sup->keep;
    int r = keep_store(k, pair[0], "agent.sock");
    if (r == 0)
        r = spawn_start(&s, &pid, &pidfd, &step);
    (void)close(pair[1]);
    if (r < 0) {
        keep_drop(k, "agent.sock");
        (void)close(pair[0]);
        return r;
    }
    if (keep_store(k, pidfd, "agent.pid") < 0)
        log_warn(0, "the agent cannot be kept for another supervisor");
    watch_agent(a, process_watch(&a->sup->loop, pid, pidfd, NULL, on_exited, a), pair[0], false);
    keep(a);
    log_info("agent started, pid %d", (int)pid);
    return 0;
}

static void on_conn_closed(struct conn *c, int reason)
{
    struct agent_link *a = c->arg;
    struct relay *relay;
    a->conn_open = a->greeted = a->met = false;
    keep_drop(&a->sup->keep, "agent.sock");
    LIST_EACH(relay, &a->relays)
    relay->sent = false;
    /* An agent that closed its only connection, or broke it, is of no use any more. */
    if (a->process && !a->ending && !a->leaving)
        (void)process_signal(a->process, SIGKILL);
    if (!a->process)
        try_later(a);
}

static void on_exited(void *arg, struct exit_status status)
{
    struct agent_link *a = arg;
    a->process = NULL;
    keep_drop(&a->sup->keep, "agent.pid");
    if (!a->ending && !a->leaving)
        log_warn(0, "agent: %s, starting another", exit_status_text(&status));
    a->leaving = false;
    if (a->conn_open)
        conn_close(&a->conn);
    else
        try_later(a);
}

static void try_later(struct agent_link *a)
{
    if (a->ending) {
        supervisor_agent_gone(a->sup);
        return;
    }
    if (a->down_since_ms == 0)
        a->down_since_ms = now_ms(a);
    if (now_ms(a) - a->started_ms > STABLE_MS)
        a->backoff_ms = BACKOFF_MIN_MS;
    (void)uv_timer_start(&a->timer, on_timer, a->backoff_ms, 0);
    a->backoff_ms = a->backoff_ms * 2 < BACKOFF_MAX_MS ? a->backoff_ms * 2 : BACKOFF_MAX_MS;
    keep(a);
}

static void relay_free(struct relay *relay)
{
    list_remove(&relay->link);
    free(relay->peer_id);
    free(relay->method);
    json_decref(relay->params);
    free(relay);
}

static void fail_relays(struct agent_link *a)
{
    struct relay *relay;
    LIST_EACH(relay, &a->relays)
    {
        peer_error(relay->peer, relay->peer_id, ERR_AGENT_GONE,
                   "the agent does not start; see proctor.log");
        relay_free(relay);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct agent_link *a = timer->data;
    if (a->ending || a->leaving) {
        if (a->process)
            (void)process_signal(a->process, SIGKILL);
        return;
    }
    if (a->down_since_ms && now_ms(a) - a->down_since_ms > PATIENCE_MS)
        fail_relays(a);
    agent_link_start(a);
}

/* A request that two agents did not answer is not sent to a third. */
static void give_up(struct relay *relay)
{
    log_err(0, "two agents did not answer a %s, it is given up", relay->method);
    peer_error(relay->peer, relay->peer_id, ERR_AGENT_GONE,
               "the agent does not answer this request, and was replaced; see proctor.log");
    relay_free(relay);
}

/* Is it to be replaced?  Each request is a reason once. */
static bool is_overdue(struct agent_link *a)
{
    struct relay *relay;
    bool overdue = false;
    int64_t now = now_ms(a);
    if (!a->met)
        return now > a->hello_due_ms;
    LIST_EACH(relay, &a->relays)
    {
        if (!relay->due_ms || now <= relay->due_ms)
            continue;
        if (relay->blamed) {
            give_up(relay);
            continue;
        }
        relay->blamed = overdue = true;
    }
    return overdue;
}

/* Its records and the captures it runs survive this, as any death of the agent. */
static void on_watch(uv_timer_t *timer)
{
    struct agent_link *a = timer->data;
    if (a->ending || !a->process || !is_overdue(a))
        return;
    log_err(0, "the agent does not answer and is replaced");
    (void)process_signal(a->process, SIGKILL);
    a->hello_due_ms = now_ms(a) + ANSWER_MS;
    a->greeted = a->met = false;
}

void agent_link_end(struct agent_link *a)
{
    a->ending = true;
    fail_relays(a);
    (void)uv_timer_stop(&a->timer);
    if (!a->process)
        return;
    (void)process_signal(a->process, SIGTERM);
    (void)uv_timer_start(&a->timer, on_timer, END_MS, 0);
}

bool agent_link_gone(const struct agent_link *a)
{
    return !a->process && !a->conn_open;
}

pid_t agent_link_pid(const struct agent_link *a)
{
    return a->process ? a->process->pid : 0;
}

/* ---- messages -------------------------------------------------------------------------------- */

static int64_t answer_ms(const char *method)
{
    if (str_eq(method, "link.set"))
        return LINK_SET_MS;
    return str_eq(method, "link.remove") ? LINK_REMOVE_MS : ANSWER_MS;
}

static void send_relay(struct agent_link *a, struct relay *relay)
{
    if (relay->sent)
        return;
    relay->sent = true;
    relay->due_ms = now_ms(a) + answer_ms(relay->method);
    (void)conn_request(&a->conn, relay->id, relay->method, relay->params, -1);
}

static void on_hello(struct agent_link *a, const struct msg *m)
{
    struct relay *relay;
    AUTOJSON json_t *answer = json_object();
    json_set_int(answer, "version", WIRE_VERSION);
    json_set_string(answer, "program", "proctord");
    json_set_string(answer, "release", PROCTOR_VERSION);
    json_set_int(answer, "pid", getpid());
    (void)conn_result(&a->conn, m->id, answer, -1);
    a->greeted = a->met = true;
    a->down_since_ms = 0;
    keep(a);
    LIST_EACH(relay, &a->relays)
    send_relay(a, relay);
}

static void send_host(struct agent_link *a, const char *request_id)
{
    AUTOJSON json_t *answer = view_host(a->sup);
    (void)conn_result(&a->conn, request_id, answer, -1);
}

static void send_log(struct agent_link *a, const struct msg *m)
{
    char text[400];
    int error;
    AUTOJSON json_t *answer = log_tail_view(a->sup, m->params, &error, text, sizeof text);
    if (answer)
        (void)conn_result(&a->conn, m->id, answer, -1);
    else
        (void)conn_error(&a->conn, m->id, error, text, NULL);
}

/* probe.stop, probe.cancel, probe.ack */
static void on_order(struct agent_link *a, const struct msg *m)
{
    struct captures *cs = &a->sup->captures;
    const char *id = json_get_string(m->params, "id", "");
    int r;
    if (str_eq(m->method, "probe.stop"))
        r = captures_stop(cs, id);
    else if (str_eq(m->method, "probe.cancel"))
        r = captures_cancel(cs, id);
    else
        r = captures_ack(cs, id);
    if (r < 0)
        (void)conn_error(&a->conn, m->id, r, "no such capture runs", NULL);
    else
        (void)conn_result(&a->conn, m->id, NULL, -1);
}

static void on_request(struct agent_link *a, struct msg *m)
{
    if (str_eq(m->method, "host.list"))
        send_host(a, m->id);
    else if (str_eq(m->method, "log.tail"))
        send_log(a, m);
    else if (str_eq(m->method, "probe.start"))
        captures_start(&a->sup->captures, m->id, m->params, msg_take_fd(m));
    else
        on_order(a, m);
}

static struct relay *find_relay(struct agent_link *a, const char *id)
{
    struct relay *relay;
    LIST_EACH(relay, &a->relays)
    if (str_eq(relay->id, id))
        return relay;
    return NULL;
}

static void on_answer(struct agent_link *a, struct msg *m)
{
    struct relay *relay = find_relay(a, m->id);
    if (!relay)
        return;
    if (m->kind == MSG_RESULT)
        peer_result(relay->peer, relay->peer_id, m->result, msg_take_fd(m));
    else
        peer_error(relay->peer, relay->peer_id, m->error, m->error_text);
    relay_free(relay);
}

static void on_progress(struct agent_link *a, const struct msg *m)
{
    struct relay *relay = find_relay(a, json_get_string(m->params, "id", ""));
    if (!relay)
        return;
    relay->due_ms = 0;
    peer_progress(relay->peer, relay->peer_id, m->params);
}

static void on_msg(struct conn *c, struct msg *m)
{
    struct agent_link *a = c->arg;
    if (!m->method) {
        on_answer(a, m);
        return;
    }
    char text[200];
    const struct wire_method *method = wire_method_find(m->method, WIRE_AGENT_TO_SUPERVISOR);
    bool hello = str_eq(m->method, "hello");
    if (!method || (!hello && !a->greeted) ||
        wire_method_check(method, m->params, text, sizeof text) < 0) {
        log_err(ERR_PROTOCOL, "agent: message %s", m->method);
        conn_close(c);
        return;
    }
    if (hello)
        on_hello(a, m);
    else if (m->kind == MSG_NOTIFICATION)
        on_progress(a, m);
    else
        on_request(a, m);
}

void agent_link_relay(struct agent_link *a, struct peer *peer, const char *peer_id,
                      const char *method, json_t *params)
{
    if (!a->process && safe_mode_refuses(peer, peer_id))
        return;
    if (list_count(&a->relays) >= RELAYS_MAX) {
        peer_error(peer, peer_id, ERR_BUSY, "too many requests to the agent wait for an answer");
        return;
    }
    struct relay *relay = xcalloc(1, sizeof *relay);
    relay->peer = peer;
    relay->peer_id = xstrdup(peer_id);
    relay->method = xstrdup(method);
    relay->params = json_incref(params);
    uuid_make(relay->id);
    list_add(&a->relays, &relay->link, relay);
    if (a->met)
        send_relay(a, relay);
}

void agent_link_forget_peer(struct agent_link *a, struct peer *peer)
{
    struct relay *relay;
    LIST_EACH(relay, &a->relays)
    if (relay->peer == peer)
        relay_free(relay);
}

void agent_link_progress(struct agent_link *a, const char *id, json_t *params)
{
    if (a->met)
        (void)conn_progress(&a->conn, id, params);
}

void agent_link_result(struct agent_link *a, const char *id, json_t *result)
{
    if (a->met)
        (void)conn_result(&a->conn, id, result, -1);
}

void agent_link_error(struct agent_link *a, const char *id, int error, const char *text)
{
    if (a->greeted)
        (void)conn_error(&a->conn, id, error, text, NULL);
}
