#include "supervisor/probe.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/procfs.h"
#include "lib/base/spawn.h"
#include "lib/base/str.h"
#include "lib/wire/method.h"
#include "lib/wire/msg.h"
#include "supervisor/kept_json.h"
#include "supervisor/supervisor.h"

enum { AFTER_END_MS = 2000 };

/* The steps, in the order in which they run. */
static int spawn_probe(pid_t target, int socket_fd, int out_fd, bool outlives_us, pid_t *ret_pid,
                       int *ret_pidfd);
static void on_msg(struct conn *c, struct msg *m);
static void on_deadline(uv_timer_t *timer);
static void on_conn_closed(struct conn *c, int reason);
static void on_exited(void *arg, struct exit_status status);
static void finish_when_gone(struct probe *p);
static void on_timer_closed(uv_handle_t *handle);

static struct probe *probe_new(struct supervisor *sup, const char *id, json_t *begin,
                               const struct probe_watch *watch)
{
    struct probe *p = xcalloc(1, sizeof *p);
    p->sup = sup;
    (void)snprintf(p->id, sizeof p->id, "%s", id ? id : "");
    p->watch = *watch;
    p->begin = json_incref(begin);
    (void)uv_timer_init(&sup->loop, &p->deadline);
    p->deadline.data = p;
    p->timer_open = true;
    return p;
}

static void drop_kept(struct probe *p, const char *what)
{
    if (p->id[0])
        keep_drop(&p->sup->keep, "c/%s.%s", p->id, what);
}

/* Takes the socket; the keeper has a copy of it when the probe has an id. */
static void open_conn(struct probe *p, int fd, bool restarted)
{
    p->conn_open =
        conn_open_peeking(&p->conn, &p->sup->loop, fd, restarted, on_msg, on_conn_closed, p) == 0;
    if (p->conn_open)
        return;
    drop_kept(p, "sock");
    if (p->process)
        (void)process_signal(p->process, SIGKILL);
}

/* The socket is stored before it is used: whoever finds it without a pidfd knows that no order was given over it. */
static int start_stored(struct supervisor *sup, const char *id, pid_t pid, int out_fd,
                        const int pair[2], pid_t *ret_pid, int *ret_pidfd)
{
    int r = id ? keep_store(&sup->keep, pair[0], "c/%s.sock", id) : 0;
    if (r < 0)
        return r;
    r = spawn_probe(pid, pair[1], out_fd, id != NULL, ret_pid, ret_pidfd);
    if (r == 0 && id && keep_store(&sup->keep, *ret_pidfd, "c/%s.pid", id) < 0)
        log_warn(0, "probe %d cannot be kept for another supervisor", (int)*ret_pid);
    if (r < 0 && id)
        keep_drop(&sup->keep, "c/%s.sock", id);
    return r;
}

int probe_start(struct supervisor *sup, const char *id, pid_t pid, json_t *begin, int out_fd,
                const struct probe_watch *watch, struct probe **ret_probe)
{
    int pair[2], pidfd;
    pid_t probe_pid;
    /* What an earlier capture has opened is closed in safe mode, too. */
    if (sup->safe && !str_eq(json_get_string(begin, "kind", ""), "close"))
        return ERR_SAFE_MODE;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    int r = start_stored(sup, id, pid, out_fd, pair, &probe_pid, &pidfd);
    (void)close(pair[1]);
    if (r < 0) {
        (void)close(pair[0]);
        return r;
    }
    struct probe *p = probe_new(sup, id, begin, watch);
    p->process = process_watch(&sup->loop, probe_pid, pidfd, NULL, on_exited, p);
    open_conn(p, pair[0], false);
    *ret_probe = p;
    return 0;
}

/* What can be there of a probe: socket and pidfd (it lives, or has ended and was not reaped); one of them (it ends, and
 * that much was done already); with no pidfd and no known pid it never got an order, and ends by itself. */
struct probe *probe_adopt(struct supervisor *sup, const char *id, pid_t pid, json_t *begin,
                          json_t *end, const struct probe_watch *watch)
{
    int sock = keep_take(&sup->keep, "c/%s.sock", id);
    int pidfd = keep_take(&sup->keep, "c/%s.pid", id);
    if (pidfd < 0 && pid <= 0) {
        keep_drop(&sup->keep, "c/%s.sock", id);
        if (sock >= 0)
            (void)close(sock);
        return NULL;
    }
    struct probe *p = probe_new(sup, id, begin, watch);
    p->end = json_incref(end);
    if (pidfd >= 0) {
        pid_t now = kept_pid(pidfd);
        p->process = process_adopt(&sup->loop, now > 0 ? now : pid, pidfd, NULL, on_exited, p);
    }
    if (sock >= 0)
        open_conn(p, sock, true);
    if (end || sock < 0)
        probe_limit(p, AFTER_END_MS);
    finish_when_gone(p);
    return p;
}

static int spawn_probe(pid_t target, int socket_fd, int out_fd, bool outlives_us, pid_t *ret_pid,
                       int *ret_pidfd)
{
    AUTOFREE char *file = path_sibling("proctor-probe");
    char *argv[] = {(char *)"proctor-probe", NULL};
    uid_t uid;
    gid_t gid;
    int r = procfs_ids(target, &uid, &gid);
    if (r < 0)
        return r;
    AUTOSTRLIST struct strlist env = {0};
    supervisor_child_environment(&env);
    const struct spawn s = {
        .file = file,
        .argv = argv,
        .envp = env.items,
        .cwd = "/",
        .fds = {-1, -1, STDERR_FILENO, socket_fd, out_fd},
        .fd_count = 5,
        .new_session = true,
        .set_ids = geteuid() == 0 && uid != 0,
        .uid = uid,
        .gid = gid,
        .dies_with_us = !outlives_us,
    };
    enum spawn_step step;
    r = spawn_start(&s, ret_pid, ret_pidfd, &step);
    if (r < 0)
        log_err(r, "%s: %s", file, spawn_step_text(step));
    return r;
}

static void on_hello(struct probe *p, const struct msg *m)
{
    AUTOJSON json_t *answer = json_object();
    json_set_int(answer, "version", WIRE_VERSION);
    json_set_string(answer, "program", "proctord");
    json_set_string(answer, "release", PROCTOR_VERSION);
    json_set_int(answer, "pid", getpid());
    (void)conn_result(&p->conn, m->id, answer, -1);
    (void)conn_notify(&p->conn, "begin", p->begin);
}

static void on_end(struct probe *p, json_t *params)
{
    json_decref(p->end);
    p->end = json_incref(params);
    if (p->watch.on_end)
        p->watch.on_end(p->watch.arg, params);
    probe_limit(p, AFTER_END_MS);
}

static void on_msg(struct conn *c, struct msg *m)
{
    struct probe *p = c->arg;
    char text[200];
    const struct wire_method *method =
        m->method ? wire_method_find(m->method, WIRE_PROBE_TO_SUPERVISOR) : NULL;
    if (!method || wire_method_check(method, m->params, text, sizeof text) < 0) {
        log_err(ERR_PROTOCOL, "probe %d: %s", (int)probe_pid(p), method ? text : "unknown message");
        conn_close(c);
        return;
    }
    if (str_eq(m->method, "hello"))
        on_hello(p, m);
    else if (str_eq(m->method, "phase"))
        p->watch.on_phase(p->watch.arg, json_get_string(m->params, "phase", ""));
    else if (str_eq(m->method, "end"))
        on_end(p, m->params);
}

pid_t probe_pid(const struct probe *p)
{
    return p->process ? p->process->pid : 0;
}

/* ---- the end --------------------------------------------------------------------------------- */

void probe_limit(struct probe *p, uint64_t ms)
{
    uv_handle_t *handle = (uv_handle_t *)&p->deadline;
    if (!p->timer_open || (uv_is_active(handle) && uv_timer_get_due_in(&p->deadline) <= ms))
        return;
    (void)uv_timer_start(&p->deadline, on_deadline, ms, 0);
}

int64_t probe_deadline_ms(const struct probe *p)
{
    const uv_timer_t *timer = &p->deadline;
    bool set = p->timer_open && uv_is_active((const uv_handle_t *)timer);
    return set ? (int64_t)(uv_now(timer->loop) + uv_timer_get_due_in(timer)) : 0;
}

/* Goes on in on_exited(). */
static void on_deadline(uv_timer_t *timer)
{
    struct probe *p = timer->data;
    if (!p->process)
        return;
    p->overdue = true;
    log_warn(0, "probe %d: did not end in time, killed", (int)p->process->pid);
    (void)process_signal(p->process, SIGKILL);
}

static void on_conn_closed(struct conn *c, int reason)
{
    struct probe *p = c->arg;
    p->conn_open = false;
    drop_kept(p, "sock");
    probe_limit(p, AFTER_END_MS);
    finish_when_gone(p);
}

static void on_exited(void *arg, struct exit_status status)
{
    struct probe *p = arg;
    if (status.by_signal || status.code != 0)
        log_warn(0, "probe: ended with %s %d", status.by_signal ? "signal" : "code", status.code);
    p->process = NULL;
    drop_kept(p, "pid");
    finish_when_gone(p);
}

/* The connection is read to its end, so that a last message is not lost; then both are gone. */
static void finish_when_gone(struct probe *p)
{
    if (p->process || p->conn_open || !p->timer_open)
        return;
    p->timer_open = false;
    uv_close((uv_handle_t *)&p->deadline, on_timer_closed);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct probe *p = handle->data;
    p->watch.on_done(p->watch.arg, p->end, p->overdue);
    json_decref(p->begin);
    json_decref(p->end);
    free(p);
}

/* ---- orders ---------------------------------------------------------------------------------- */

void probe_stop(struct probe *p, const char *reason)
{
    AUTOJSON json_t *params = json_object();
    json_set_string(params, "reason", reason);
    if (p->conn_open)
        (void)conn_notify(&p->conn, "stop", params);
}

void probe_cancel(struct probe *p)
{
    if (p->conn_open)
        (void)conn_notify(&p->conn, "cancel", NULL);
}

void probe_leave_open(struct probe *p)
{
    if (p->conn_open)
        (void)conn_notify(&p->conn, "leave_open", NULL);
}
