#include "supervisor/inspector.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ecosystem/spec.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/procfs.h"
#include "lib/base/uuid.h"
#include "supervisor/app.h"
#include "supervisor/inspector_keep.h"
#include "supervisor/instance.h"
#include "supervisor/safe_mode.h"
#include "supervisor/supervisor.h"

enum {
    POLL_MS = 20,
    UPTIME_MIN_MS = 200, /* before, SIGUSR1 kills a Node process */
    GATE_MS = 5000,
    LINE_MS = 3000,
    CLOSE_MS = 1500,
    LEFT_OPEN_POLL_MS = 500,
    LINGER_MS = 1000,
    CLOSE_AGAIN_POLLS = 10, /* of LEFT_OPEN, between two tries to close a port */
    CHECK_POLL_MS = 40,
    LINE_AGAIN_MS = 1000, /* at least, after another supervisor's signal */
    PORTS_EVERY_MS =
        50, /* reading who listens where is dear, and an app can print lines at any rate */
    GUESSES_MAX = 3,
};

/* The steps, in the order in which they run. */
static void remember_old_ports(struct inspector *i);
static void on_timer(uv_timer_t *timer);
static void gate(struct inspector *i);
static void send_signal(struct inspector *i);
static void line_overdue(struct inspector *i);
static void opened(struct inspector *i, int r, const char *text);
static void check(struct inspector *i);
static bool children_listen(struct inspector *i);
static void close_again(struct inspector *i, pid_t pid, unsigned port, const char *path);
static void close_unasked(struct inspector *i);
static void on_always_opened(void *arg, int r, const char *text);
static void mend_left_open(struct inspector *i);
static void linger(struct inspector *i);
static void rest(struct inspector *i);

static enum stderr_answer confirm_line(void *arg, unsigned port, const char *path, bool urgent);
static void see_line(void *arg, enum inspector_line kind, unsigned port, const char *path);

static int64_t loop_ms(const struct inspector *i)
{
    return (int64_t)uv_now(i->timer.loop);
}

static void set_state(struct inspector *i, enum inspector_state state, int64_t wait_ms,
                      unsigned every_ms)
{
    static const char *const names[] = {"closed",    "gate",    "signalled", "open",     "checking",
                                        "left open", "reopens", "silent",    "lingering"};
    log_debug("%s: inspector: %s -> %s", instance_name(i->instance), names[i->state], names[state]);
    i->state = state;
    i->deadline_ms = loop_ms(i) + wait_ms;
    inspector_keep(i);
    if (every_ms > 0)
        (void)uv_timer_start(&i->timer, on_timer, every_ms, every_ms);
    else
        (void)uv_timer_stop(&i->timer);
}

/* stderr is looked at while any port may be open. */
static int watch(struct inspector *i)
{
    bool may_be_open = i->state != INSPECTOR_CLOSED || i->user_port || i->instance->user_opens;
    inspector_keep(i);
    return logstream_watch(&i->instance->err, may_be_open);
}

void inspector_init(struct inspector *i, struct instance *instance, uv_loop_t *loop)
{
    *i = (struct inspector){.instance = instance};
    (void)uv_timer_init(loop, &i->timer);
    i->timer.data = i;
    stderr_lines_init(&instance->err.lines, confirm_line, see_line, i);
}

void inspector_close(struct inspector *i, uv_close_cb on_closed)
{
    keep_drop(&i->instance->sup->keep, "i%d.inspector", i->instance->pm_id);
    uv_close((uv_handle_t *)&i->timer, on_closed);
}

void inspector_process_started(struct inspector *i, bool user_opens)
{
    stderr_lines_init(&i->instance->err.lines, confirm_line, see_line, i);
    i->user_port = 0;
    i->silent_pid = i->signalled_pid = i->catching_pid = 0;
    i->line_due = false;
    i->old_port_count = i->port_count = 0;
    i->keep_open = i->sent = i->unsure = false;
    i->child_count = 0;
    inspector_keep(i);
    if (user_opens && logstream_watch(&i->instance->err, true) < 0)
        log_warn(0, "%s: the lines of its own inspector cannot be taken out of its stderr",
                 instance_name(i->instance));
}

void inspector_process_gone(struct inspector *i)
{
    i->user_port = 0;
    i->ours = false;
    i->reopens = false;
    i->child_count = 0;
    switch (i->state) {
    case INSPECTOR_GATE:
    case INSPECTOR_SIGNALLED:
        opened(i, ERR_APP_GONE, "the process ended before its inspector was open");
        break;
    case INSPECTOR_CHECKING:
        check(i);
        break;
    case INSPECTOR_OPEN:
    case INSPECTOR_LEFT_OPEN:
    case INSPECTOR_REOPENS:
    case INSPECTOR_SILENT:
    case INSPECTOR_LINGERING:
    case INSPECTOR_CLOSED:
        rest(i);
        break;
    }
}

/* ---- another supervisor ---------------------------------------------------------------------- */

static void restore_state(struct inspector *i)
{
    int64_t left_ms = i->deadline_ms - loop_ms(i);
    left_ms = left_ms > 0 ? left_ms : 0;
    switch (i->state) {
    case INSPECTOR_GATE:
        set_state(i, INSPECTOR_GATE, left_ms, POLL_MS);
        break;
    case INSPECTOR_SIGNALLED:
        /* Its line may be in the pipe since. */
        i->unsure = !i->sent;
        set_state(i, INSPECTOR_SIGNALLED, left_ms > LINE_AGAIN_MS ? left_ms : LINE_AGAIN_MS,
                  POLL_MS);
        break;
    case INSPECTOR_CHECKING:
        set_state(i, INSPECTOR_CHECKING, CLOSE_MS, CHECK_POLL_MS);
        break;
    case INSPECTOR_LEFT_OPEN:
        i->polls = CLOSE_AGAIN_POLLS - 1;
        set_state(i, INSPECTOR_LEFT_OPEN, 0, LEFT_OPEN_POLL_MS);
        break;
    case INSPECTOR_LINGERING:
        set_state(i, INSPECTOR_LINGERING, 0, LINGER_MS);
        break;
    case INSPECTOR_OPEN:
    case INSPECTOR_REOPENS:
    case INSPECTOR_SILENT:
    case INSPECTOR_CLOSED:
        set_state(i, i->state, 0, 0);
        break;
    }
}

/* Whoever was closing them has ended with the supervisor. */
static void close_children_again(struct inspector *i)
{
    if (!children_listen(i))
        return;
    for (unsigned n = 0; n < i->child_count; n++)
        close_again(i, i->children[n].pid, i->children[n].port, i->children[n].path);
}

void inspector_restore(struct inspector *i)
{
    bool same;
    stderr_lines_init(&i->instance->err.lines, confirm_line, see_line, i);
    uv_update_time(i->timer.loop);
    if (inspector_read_kept(i, &same)) {
        bool opening = i->state == INSPECTOR_GATE || i->state == INSPECTOR_SIGNALLED;
        if (i->keep_open && opening) {
            i->on_opened = on_always_opened;
            i->arg = i;
        }
        restore_state(i);
        if (same)
            close_children_again(i);
        else
            inspector_process_gone(i);
    }
    if (watch(i) < 0)
        log_warn(0, "%s: the lines of its inspector cannot be taken out of its stderr",
                 instance_name(i->instance));
}

void inspector_resume_open(struct inspector *i, pid_t pid, inspector_opened_cb done, void *arg)
{
    bool opening = i->state == INSPECTOR_GATE || i->state == INSPECTOR_SIGNALLED;
    bool open = i->state == INSPECTOR_OPEN;
    if (i->pid != pid || (!opening && !open)) {
        inspector_open(i, pid, done, arg);
        return;
    }
    i->on_opened = done;
    i->arg = arg;
    if (open)
        (void)uv_timer_start(&i->timer, on_timer, 0, 0);
}

/* Nobody has asked for it any more. */
static void close_unasked(struct inspector *i)
{
    close_again(i, i->pid, i->port, i->path);
    set_state(i, INSPECTOR_LEFT_OPEN, 0, LEFT_OPEN_POLL_MS);
}

void inspector_close_leftover(struct inspector *i)
{
    if (i->on_opened)
        return;
    if (i->state == INSPECTOR_GATE)
        linger(i);
    else if (i->state == INSPECTOR_OPEN && i->ours)
        close_unasked(i);
}

/* ---- opening --------------------------------------------------------------------------------- */

void inspector_open(struct inspector *i, pid_t pid, inspector_opened_cb done, void *arg)
{
    bool under_way = i->state == INSPECTOR_GATE || i->state == INSPECTOR_SIGNALLED;
    i->on_opened = done;
    i->arg = arg;
    if (under_way && i->pid == pid) /* "profiling": "always" has begun it */
        return;
    bool same_port =
        i->state == INSPECTOR_LEFT_OPEN && i->pid == pid && procfs_listens(pid, i->port) == 1;
    i->pid = pid;
    i->clients = 0;
    i->reopens = i->unsure = false;
    i->ours = same_port;
    i->instance->err.lines.attached = 0;
    i->instance->err.lines.attach_expected = 0;
    if (!same_port)
        i->port = 0;
    set_state(i, INSPECTOR_GATE, GATE_MS, POLL_MS);
    if (i->signalled_pid != pid)
        remember_old_ports(i);
    (void)watch(i);
    if (same_port)
        (void)uv_timer_start(&i->timer, on_timer, 0, POLL_MS);
}

bool inspector_abort(struct inspector *i, const void *arg)
{
    if (i->state != INSPECTOR_GATE || i->arg != arg || !i->on_opened)
        return false;
    i->on_opened = NULL;
    if (i->port && i->ours)
        set_state(i, INSPECTOR_LEFT_OPEN, 0, LEFT_OPEN_POLL_MS);
    else
        linger(i);
    return true;
}

/* ---- always ---------------------------------------------------------------------------------- */

static void on_always_opened(void *arg, int r, const char *text)
{
    struct inspector *i = arg;
    if (r < 0)
        log_warn(0, "%s: profiling \"always\": %s", instance_name(i->instance), text);
}

void inspector_open_always(struct inspector *i)
{
    i->keep_open = true;
    if (i->state == INSPECTOR_CLOSED || i->state == INSPECTOR_LINGERING)
        inspector_open(i, instance_pid(i->instance), on_always_opened, i);
}

/* ---- the gates ------------------------------------------------------------------------------- */

static void on_timer(uv_timer_t *timer)
{
    struct inspector *i = timer->data;
    switch (i->state) {
    case INSPECTOR_GATE:
        gate(i);
        break;
    case INSPECTOR_SIGNALLED:
        if (loop_ms(i) >= i->deadline_ms)
            line_overdue(i);
        break;
    case INSPECTOR_CHECKING:
    case INSPECTOR_LEFT_OPEN:
        check(i);
        break;
    case INSPECTOR_LINGERING:
        rest(i);
        break;
    case INSPECTOR_OPEN:
        if (i->on_opened)
            opened(i, 0, NULL);
        break;
    case INSPECTOR_REOPENS:
    case INSPECTOR_SILENT:
    case INSPECTOR_CLOSED:
        (void)uv_timer_stop(&i->timer);
        break;
    }
}

/* The user's own --inspect: nothing is to be opened, and nothing closed at the end. */
static bool use_users_port(struct inspector *i)
{
    if (i->user_port == 0 || i->pid != instance_pid(i->instance))
        return false;
    i->port = i->user_port;
    memcpy(i->path, i->user_path, sizeof i->path);
    i->ours = false;
    opened(i, 0, NULL);
    return true;
}

static const char silent_text[] =
    "this process did not open its inspector on SIGUSR1 before, and is not signalled again";
static const char no_handler_text[] =
    "the process has no handler for SIGUSR1, which would end it (a wrapper, --disable-sigusr1, or "
    "no Node.js); no signal was sent";

const char *inspector_why_not(struct inspector *i)
{
    pid_t pid = instance_pid(i->instance);
    if (i->instance->user_opens || i->keep_open)
        return NULL;
    if (pid > 0 && i->silent_pid == pid)
        return silent_text;
    if (pid > 0 && i->catching_pid != pid && procfs_catches(pid, SIGUSR1) == 1)
        i->catching_pid = pid;
    return i->catching_pid == pid ? NULL
                                  : "the process has no handler for SIGUSR1: it has only just "
                                    "started, or cannot be profiled";
}

static void gate(struct inspector *i)
{
    struct instance *in = i->instance;
    bool overdue = loop_ms(i) >= i->deadline_ms;
    if (use_users_port(i))
        return;
    if (i->port && i->ours) { /* left open by a capture before */
        opened(i, 0, NULL);
        return;
    }
    if (i->silent_pid == i->pid) {
        opened(i, ERR_NO_LISTEN, silent_text);
        return;
    }
    if (in->user_opens && i->pid == instance_pid(in)) {
        if (overdue)
            opened(i, ERR_NOT_READY,
                   "the inspector of the app's own --inspect option did not open");
        return;
    }
    if (in->sup->safe) {
        AUTOFREE char *why = safe_mode_explain(in->sup);
        opened(i, ERR_SAFE_MODE, why);
        return;
    }
    bool old_enough = instance_uptime_ms(in) >= UPTIME_MIN_MS;
    int catches = procfs_catches(i->pid, SIGUSR1);
    if (catches < 0)
        opened(i, ERR_APP_GONE, "the process is gone");
    else if (old_enough && catches)
        send_signal(i);
    else if (overdue && !catches)
        opened(i, ERR_NO_SIGNAL, no_handler_text);
    else if (overdue)
        opened(i, ERR_NOT_READY, "the process has only just started; try again in a moment");
}

static void read_ports(struct inspector *i)
{
    pid_t also = i->pid > 0 ? i->pid : i->instance->pgid;
    uv_update_time(i->timer.loop);
    i->port_count = procfs_group_ports(i->instance->pgid, also, i->ports, INSPECTOR_PORTS);
    i->ports_at_ms = loop_ms(i);
    i->ports_look = i->instance->err.looks;
}

/* Until the first signal every port of the target is its own. */
static void remember_old_ports(struct inspector *i)
{
    read_ports(i);
    i->old_port_count = 0;
    for (size_t n = 0; n < i->port_count; n++)
        if (i->ports[n].pid == i->pid)
            i->old_ports[i->old_port_count++] = i->ports[n].port;
}

static void send_signal(struct inspector *i)
{
    int pidfd = (int)syscall(SYS_pidfd_open, i->pid, 0);
    if (pidfd < 0) {
        opened(i, ERR_APP_GONE, "the process is gone");
        return;
    }
    int r = watch(i);
    if (r < 0) {
        (void)close(pidfd);
        opened(i, r, "the app's stderr cannot be looked at, so no signal was sent");
        return;
    }
    i->ours = true;
    if (i->signalled_pid != i->pid)
        remember_old_ports(i);
    i->signalled_pid = i->pid;
    i->line_due = true;
    i->guesses = 0;
    i->sent = i->unsure = false;
    set_state(i, INSPECTOR_SIGNALLED, LINE_MS, POLL_MS);
    r = syscall(SYS_pidfd_send_signal, pidfd, SIGUSR1, NULL, 0) < 0 ? -errno : 0;
    (void)close(pidfd);
    i->sent = true;
    inspector_keep(i);
    if (r < 0)
        opened(i, r, "the process cannot be signalled");
}

static void line_overdue(struct inspector *i)
{
    if (i->unsure) {
        i->ours = false;
        opened(i, ERR_NOT_READY,
               "the supervisor was restarted just when it was about to send SIGUSR1, and it is not "
               "sent twice; try again");
        return;
    }
    i->silent_pid = i->pid;
    i->ours = false;
    opened(i, ERR_NO_LISTEN,
           "the process did not open its inspector on SIGUSR1 (it may handle that signal itself, "
           "or run under "
           "the permission model); it is not signalled again");
}

static void opened(struct inspector *i, int r, const char *text)
{
    inspector_opened_cb done = i->on_opened;
    i->on_opened = NULL;
    if (r == 0 && i->keep_open && i->pid == instance_pid(i->instance)) {
        i->user_port = i->port;
        memcpy(i->user_path, i->path, sizeof i->user_path);
        i->ours = false;
    }
    if (r == 0)
        set_state(i, INSPECTOR_OPEN, 0, 0);
    else
        linger(i);
    (void)watch(i);
    if (done)
        done(i->arg, r, text);
    else if (r == 0 && i->ours)
        close_unasked(i);
}

/* ---- lines on stderr ------------------------------------------------------------------------- */

static bool is_old_port(const struct inspector *i, unsigned port)
{
    for (size_t n = 0; n < i->old_port_count; n++)
        if (i->old_ports[n] == port)
            return true;
    return false;
}

/* The process that listens on the port, by the table read last; 0: none, or only the target on a port from before. */
static pid_t listener_of(const struct inspector *i, unsigned port)
{
    for (size_t n = 0; n < i->port_count; n++)
        if (i->ports[n].port == port && !(i->ports[n].pid == i->pid && is_old_port(i, port)))
            return i->ports[n].pid;
    return 0;
}

/* A line that is due, of a port that is closed by the time we read it: an inspector that opens again may be closed within the
 * same turn of the process's loop, and that of a process that is gone went with it.  Few are believed. */
static bool may_be_closed_already(struct inspector *i, unsigned port, const char *path)
{
    bool gone = i->line_due && !i->instance->process;
    bool due = gone || i->state == INSPECTOR_REOPENS;
    return due && !is_old_port(i, port) && uuid_valid(path) && i->guesses++ < GUESSES_MAX;
}

/* Node listens before it prints, so a table that was read after the line says no for good.  The table is read once for all
 * lines that one look at the pipe shows, and not more often than every PORTS_EVERY_MS: until then the line waits in
 * the pipe, and an app that prints thousands of them waits with it. */
static enum stderr_answer confirm_line(void *arg, unsigned port, const char *path, bool urgent)
{
    struct inspector *i = arg;
    if (listener_of(i, port) > 0)
        return STDERR_YES;
    if (i->ports_look != i->instance->err.looks) {
        if (!urgent && loop_ms(i) - i->ports_at_ms < PORTS_EVERY_MS)
            return STDERR_LATER;
        read_ports(i);
    }
    if (listener_of(i, port) > 0)
        return STDERR_YES;
    return may_be_closed_already(i, port, path) ? STDERR_YES : STDERR_NO;
}

/* A process of the instance that is not the target: opened by its cluster primary in our wake. */
static void see_child(struct inspector *i, unsigned port, const char *path)
{
    struct instance *in = i->instance;
    pid_t pid = listener_of(i, port);
    if (i->state == INSPECTOR_CLOSED || in->user_opens || pid <= 0 || pid == i->pid)
        return;
    for (unsigned n = 0; n < i->child_count; n++)
        if (i->children[n].pid == pid && i->children[n].port == port)
            return;
    if (i->child_count == INSPECTOR_CHILDREN) {
        log_warn(0, "%s: more than %d cluster workers opened their inspectors", instance_name(in),
                 INSPECTOR_CHILDREN);
        return;
    }
    struct inspector_child *child = &i->children[i->child_count++];
    *child = (struct inspector_child){.pid = pid, .port = port};
    (void)snprintf(child->path, sizeof child->path, "%s", path);
    close_again(i, pid, port, path);
}

/* The target's own port: awaited, or too late for whoever asked for it. */
static void see_target(struct inspector *i, unsigned port, const char *path)
{
    bool never_asked = i->signalled_pid != i->pid;
    if (never_asked || i->state == INSPECTOR_OPEN || i->state == INSPECTOR_CHECKING ||
        i->state == INSPECTOR_CLOSED)
        return;
    i->line_due = false;
    i->port = port;
    i->ours = true;
    (void)snprintf(i->path, sizeof i->path, "%s", path);
    switch (i->state) {
    case INSPECTOR_GATE: /* by the signal of an earlier capture */
    case INSPECTOR_SIGNALLED:
        opened(i, 0, NULL);
        break;
    case INSPECTOR_SILENT:
    case INSPECTOR_LINGERING:
        i->silent_pid = 0;
        close_again(i, i->pid, port, path);
        set_state(i, INSPECTOR_LEFT_OPEN, 0, LEFT_OPEN_POLL_MS);
        break;
    case INSPECTOR_REOPENS: /* a timer in the process closes it */
        i->reopens = false;
        set_state(i, INSPECTOR_LEFT_OPEN, 0, LEFT_OPEN_POLL_MS);
        break;
    case INSPECTOR_OPEN:
    case INSPECTOR_CHECKING:
    case INSPECTOR_LEFT_OPEN:
    case INSPECTOR_CLOSED:
        break;
    }
    (void)watch(i);
}

static void see_listening(struct inspector *i, unsigned port, const char *path)
{
    struct instance *in = i->instance;
    if (port == i->port && i->state != INSPECTOR_SIGNALLED && i->state != INSPECTOR_GATE)
        return; /* 8 to 12 repeat themselves */
    pid_t pid = listener_of(i, port);
    if (in->user_opens && pid > 0 && pid == instance_pid(in)) {
        i->user_port = port;
        (void)snprintf(i->user_path, sizeof i->user_path, "%s", path);
        inspector_keep(i);
    } else if (!in->user_opens && pid > 0 && pid == i->pid) {
        see_target(i, port, path);
    } else {
        see_child(i, port, path);
    }
}

static void see_line(void *arg, enum inspector_line kind, unsigned port, const char *path)
{
    struct inspector *i = arg;
    /* Before it is taken out of the pipe. */
    inspector_keep(i);
    if (kind == INSPECTOR_LISTENING)
        see_listening(i, port, path);
    if (kind == INSPECTOR_WAITING)
        supervisor_app_waits_for_us(i->instance);
    if (kind == INSPECTOR_ATTACHED)
        supervisor_client_attached(i->instance);
}

void inspector_client(struct inspector *i)
{
    i->clients++;
    i->instance->err.lines.attach_expected++;
    inspector_keep(i);
}

bool inspector_has_strangers(const struct inspector *i)
{
    return i->instance->err.lines.attached > i->clients;
}

/* ---- closing --------------------------------------------------------------------------------- */

void inspector_check(struct inspector *i, inspector_checked_cb done, void *arg)
{
    i->on_checked = done;
    i->arg = arg;
    set_state(i, INSPECTOR_CHECKING, CLOSE_MS, CHECK_POLL_MS);
    (void)uv_timer_start(&i->timer, on_timer, 0, CHECK_POLL_MS);
}

void inspector_disown(struct inspector *i)
{
    if (i->old_port_count < INSPECTOR_PORTS)
        i->old_ports[i->old_port_count++] = i->port;
    i->ours = false;
    inspector_keep(i);
}

void inspector_expect_reopening(struct inspector *i)
{
    i->reopens = true;
    i->guesses = 0;
    inspector_keep(i);
}

static void checked(struct inspector *i, bool left_open)
{
    inspector_checked_cb done = i->on_checked;
    i->on_checked = NULL;
    (void)watch(i);
    if (done)
        done(i->arg, left_open);
}

/* Ports of cluster workers that were opened along with the target's and are not closed yet. */
static bool children_listen(struct inspector *i)
{
    unsigned left = 0;
    for (unsigned n = 0; n < i->child_count; n++)
        if (procfs_listens(i->children[n].pid, i->children[n].port) == 1)
            i->children[left++] = i->children[n];
    i->child_count = left;
    return left > 0;
}

static void check(struct inspector *i)
{
    bool listens = i->ours && procfs_listens(i->pid, i->port) == 1;
    if (!listens && !children_listen(i)) {
        i->ours = false;
        if (i->reopens && instance_pid(i->instance))
            set_state(i, INSPECTOR_REOPENS, 0, 0);
        else
            linger(i);
        checked(i, false);
        return;
    }
    if (i->state == INSPECTOR_LEFT_OPEN) {
        mend_left_open(i);
        return;
    }
    if (loop_ms(i) < i->deadline_ms)
        return;
    i->polls = 0;
    set_state(i, INSPECTOR_LEFT_OPEN, 0, LEFT_OPEN_POLL_MS);
    checked(i, true);
}

/* Starts a probe that closes the port; its attaching is no stranger's. */
static void close_again(struct inspector *i, pid_t pid, unsigned port, const char *path)
{
    inspector_client(i);
    supervisor_close_inspector(i->instance, pid, port, path);
}

/* Whatever kept it open may be over by now.  Node 8 and 9 close in their own time. */
static void mend_left_open(struct inspector *i)
{
    if (++i->polls % CLOSE_AGAIN_POLLS != 0 || i->instance->runtime.major < 10 ||
        inspector_has_strangers(i))
        return;
    if (i->ours && procfs_listens(i->pid, i->port) == 1)
        close_again(i, i->pid, i->port, i->path);
    for (unsigned n = 0; n < i->child_count; n++)
        close_again(i, i->children[n].pid, i->children[n].port, i->children[n].path);
}

/* The port is closed (or never opened); lines that are on their way are still cut for a second.  One that did not open is
 * watched until its process ends: the signal may be pending. */
static void linger(struct inspector *i)
{
    if ((i->silent_pid || i->unsure) && instance_pid(i->instance))
        set_state(i, INSPECTOR_SILENT, 0, 0);
    else
        set_state(i, INSPECTOR_LINGERING, 0, LINGER_MS);
}

static void rest(struct inspector *i)
{
    set_state(i, INSPECTOR_CLOSED, 0, 0);
    (void)watch(i);
}
