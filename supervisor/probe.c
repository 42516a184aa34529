#include "supervisor/probe.h"

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
#include "lib/base/procfs.h"
#include "lib/base/spawn.h"
#include "lib/base/str.h"
#include "lib/wire/method.h"
#include "lib/wire/msg.h"
#include "supervisor/supervisor.h"

enum { AFTER_END_MS = 2000 };

/* The steps, in the order in which they run. */
static int spawn_probe(pid_t target, int socket_fd, int out_fd, pid_t *ret_pid, int *ret_pidfd);
static void on_msg(struct conn *c, struct msg *m);
static void on_deadline(uv_timer_t *timer);
static void on_conn_closed(struct conn *c, int reason);
static void on_exited(void *arg, struct exit_status status);
static void finish_when_gone(struct probe *p);
static void on_timer_closed(uv_handle_t *handle);

int probe_start(struct supervisor *sup, pid_t pid, json_t *begin, int out_fd,
                probe_phase_cb on_phase, probe_done_cb on_done, void *arg, struct probe **ret_probe)
{
    int pair[2], pidfd;
    pid_t probe_pid;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    int r = spawn_probe(pid, pair[1], out_fd, &probe_pid, &pidfd);
    (void)close(pair[1]);
    if (r < 0) {
        (void)close(pair[0]);
        return r;
    }
    struct probe *p = xcalloc(1, sizeof *p);
    p->on_phase = on_phase;
    p->on_done = on_done;
    p->arg = arg;
    p->begin = json_incref(begin);
    p->process = process_watch(&sup->loop, probe_pid, pidfd, NULL, on_exited, p);
    (void)uv_timer_init(&sup->loop, &p->deadline);
    p->deadline.data = p;
    p->timer_open = true;
    p->conn_open = conn_open(&p->conn, &sup->loop, pair[0], on_msg, on_conn_closed, p) == 0;
    if (!p->conn_open)
        (void)process_signal(p->process, SIGKILL);
    *ret_probe = p;
    return 0;
}

static int spawn_probe(pid_t target, int socket_fd, int out_fd, pid_t *ret_pid, int *ret_pidfd)
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
    probe_limit(p, AFTER_END_MS);
}

static void on_msg(struct conn *c, struct msg *m)
{
    struct probe *p = c->arg;
    char text[200];
    const struct wire_method *method =
        m->method ? wire_method_find(m->method, WIRE_PROBE_TO_SUPERVISOR) : NULL;
    if (!method || wire_method_check(method, m->params, text, sizeof text) < 0) {
        log_err(ERR_PROTOCOL, "probe %d: %s", (int)p->process->pid,
                method ? text : "unknown message");
        conn_close(c);
        return;
    }
    if (str_eq(m->method, "hello"))
        on_hello(p, m);
    else if (str_eq(m->method, "phase"))
        p->on_phase(p->arg, json_get_string(m->params, "phase", ""));
    else if (str_eq(m->method, "end"))
        on_end(p, m->params);
}

/* ---- the end --------------------------------------------------------------------------------- */

void probe_limit(struct probe *p, uint64_t ms)
{
    uv_handle_t *handle = (uv_handle_t *)&p->deadline;
    if (!p->timer_open || (uv_is_active(handle) && uv_timer_get_due_in(&p->deadline) <= ms))
        return;
    (void)uv_timer_start(&p->deadline, on_deadline, ms, 0);
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
    probe_limit(p, AFTER_END_MS);
    finish_when_gone(p);
}

static void on_exited(void *arg, struct exit_status status)
{
    struct probe *p = arg;
    if (status.by_signal || status.code != 0)
        log_warn(0, "probe: ended with %s %d", status.by_signal ? "signal" : "code", status.code);
    p->process = NULL;
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
    p->on_done(p->arg, p->end, p->overdue);
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
