#include "supervisor/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/procfs.h"
#include "lib/keep/keep.h"
#include "supervisor/slots.h"

enum {
    STATUS_STEP_MS = 20,
    STATUS_WAIT_MS =
        3000, /* the keeper tells at once; an init may take more than a second to reap */
};

/* Linux 6.13, its EXIT 6.15; Debian 12's headers have neither. */
struct pidfd_info {
    uint64_t mask;
    uint64_t cgroupid;
    uint32_t ids[11];
    int32_t exit_code; /* as wait()'s status */
};
_Static_assert(sizeof(struct pidfd_info) == 64, "the kernel's first version");
enum { INFO_EXIT = 1 << 3 };
#define GET_INFO _IOWR(0xFF, 11, struct pidfd_info)

static struct list adopted = LIST_INIT(adopted);

static void on_child_event(uv_poll_t *poll, int status, int events);
static void on_adopted_event(uv_poll_t *poll, int status, int events);
static void on_status_due(uv_timer_t *timer);
static void ended(struct process *p, struct exit_status status);
static void on_closed(uv_handle_t *handle);

const char *exit_status_text(const struct exit_status *status)
{
    static char text[160];
    if (status->unknown)
        return "ended, its exit code is not known: it ended while both supervisor and keeper were "
               "away";
    (void)snprintf(text, sizeof text, "%s %d",
                   status->by_signal ? "ended by signal" : "exited with code", status->code);
    return text;
}

/* ---- watching -------------------------------------------------------------------------------- */

static struct process *make(uv_loop_t *loop, pid_t pid, int pidfd, struct slot *slot,
                            process_exited_cb on_exited, void *arg)
{
    struct process *p = xcalloc(1, sizeof *p);
    p->pid = pid;
    p->pidfd = pidfd;
    p->slot = slot;
    p->on_exited = on_exited;
    p->arg = arg;
    p->poll.data = p->timer.data = p;
    (void)uv_timer_init(loop, &p->timer);
    p->open_handles = 1;
    if (pidfd < 0)
        return p;
    (void)uv_poll_init(loop, &p->poll, pidfd);
    p->open_handles++;
    p->polling = true;
    return p;
}

static void note_start(struct process *p)
{
    struct proc_stat st;
    if (procfs_stat(p->pid, &st) == 0)
        p->start_ticks = st.start_ticks;
    if (p->slot)
        p->slot->start_ticks = p->start_ticks;
}

struct process *process_watch(uv_loop_t *loop, pid_t pid, int pidfd, struct slot *slot,
                              process_exited_cb on_exited, void *arg)
{
    struct process *p = make(loop, pid, pidfd, slot, on_exited, arg);
    note_start(p);
    (void)uv_poll_start(&p->poll, UV_READABLE, on_child_event);
    return p;
}

static void look_for_status(struct process *p)
{
    p->give_up_ms = (int64_t)uv_now(p->timer.loop) + STATUS_WAIT_MS;
    (void)uv_timer_start(&p->timer, on_status_due, STATUS_STEP_MS, STATUS_STEP_MS);
}

struct process *process_adopt(uv_loop_t *loop, pid_t pid, int pidfd, struct slot *slot,
                              process_exited_cb on_exited, void *arg)
{
    struct process *p = make(loop, pid, pidfd, slot, on_exited, arg);
    p->adopted = true;
    list_add(&adopted, &p->link, p);
    uv_update_time(loop);
    if (pidfd < 0) {
        look_for_status(p);
        return p;
    }
    if (slot)
        p->start_ticks = slot->start_ticks;
    if (!p->start_ticks)
        note_start(p);
    (void)uv_poll_start(&p->poll, UV_READABLE, on_adopted_event);
    return p;
}

/* ---- its end --------------------------------------------------------------------------------- */

/* `code` and `status` as in siginfo_t. */
static struct exit_status status_of(int code, int status)
{
    return (struct exit_status){
        .by_signal = code != CLD_EXITED,
        .code = status,
        .core = code == CLD_DUMPED,
        .at_ms = loop_wall_ms(),
    };
}

struct exit_status process_status_of(const struct keep_msg *msg)
{
    struct exit_status status = status_of(msg->code, msg->status);
    status.at_ms = msg->at_ms;
    return status;
}

/* The record, complete before its count says that it is there. */
static void write_exit(struct slot *slot, pid_t pid, struct exit_status status)
{
    slot->exit.pid = pid;
    slot->exit.code = status.code;
    slot->exit.flags = (status.by_signal ? SLOT_EXIT_SIGNAL : 0) |
                       (status.core ? SLOT_EXIT_CORE : 0) |
                       (status.unknown ? SLOT_EXIT_UNKNOWN : 0);
    slot->exit.at_ms = status.at_ms;
    __atomic_store_n(&slot->exit.count, slot->exit.count + 1, __ATOMIC_RELEASE);
    __atomic_store_n(&slot->pid, 0, __ATOMIC_RELEASE);
    slot->start_ticks = 0;
}

struct exit_status process_recorded(const struct slot *slot)
{
    return (struct exit_status){
        .by_signal = slot->exit.flags & SLOT_EXIT_SIGNAL,
        .core = slot->exit.flags & SLOT_EXIT_CORE,
        .unknown = slot->exit.flags & SLOT_EXIT_UNKNOWN,
        .code = slot->exit.code,
        .at_ms = slot->exit.at_ms,
    };
}

/* Reads the status without reaping, lets the record be made, then reaps: a supervisor that dies between the two leaves
 * the status to be found again. */
static void on_child_event(uv_poll_t *poll, int status, int events)
{
    struct process *p = poll->data;
    siginfo_t info = {0};
    struct exit_status how = {.unknown = true, .at_ms = loop_wall_ms()};
    bool reaped_elsewhere = false;
    if (waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        reaped_elsewhere = errno == ECHILD;
    if (info.si_pid == 0 && !reaped_elsewhere)
        return;
    if (!reaped_elsewhere)
        how = status_of(info.si_code, info.si_status);
    if (p->slot)
        write_exit(p->slot, p->pid, how);
    (void)waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG);
    ended(p, how);
}

/* Not our child: the keeper is about to tell how it ended. */
static void on_adopted_event(uv_poll_t *poll, int status, int events)
{
    struct process *p = poll->data;
    (void)uv_poll_stop(poll);
    look_for_status(p);
}

/* What the kernel still knows of a process that somebody else has reaped. */
static bool ask_kernel(int pidfd, struct exit_status *ret_status)
{
    struct pidfd_info info = {.mask = INFO_EXIT};
    if (pidfd < 0 || ioctl(pidfd, GET_INFO, &info) < 0 || !(info.mask & INFO_EXIT))
        return false;
    int wait_status = info.exit_code;
    *ret_status = (struct exit_status){
        .by_signal = WIFSIGNALED(wait_status),
        .core = WIFSIGNALED(wait_status) && WCOREDUMP(wait_status),
        .code = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : WEXITSTATUS(wait_status),
        .at_ms = loop_wall_ms(),
    };
    return true;
}

static void adopted_ended(struct process *p, struct exit_status status)
{
    if (p->slot)
        write_exit(p->slot, p->pid, status);
    ended(p, status);
}

static void on_status_due(uv_timer_t *timer)
{
    struct process *p = timer->data;
    struct exit_status status = {.unknown = true, .at_ms = loop_wall_ms()};
    if (ask_kernel(p->pidfd, &status) || (int64_t)uv_now(timer->loop) >= p->give_up_ms)
        adopted_ended(p, status);
}

bool process_has_ended(const struct process *p)
{
    struct pollfd wait = {.fd = p->pidfd, .events = POLLIN};
    return p->pidfd < 0 || poll(&wait, 1, 0) > 0;
}

bool process_keeper_exit(pid_t pid, struct exit_status status)
{
    struct process *p;
    LIST_EACH(p, &adopted)
    {
        /* A number may be in use again; then this is the end of the one before. */
        if (p->pid != pid || !process_has_ended(p))
            continue;
        adopted_ended(p, status);
        return true;
    }
    return false;
}

static void ended(struct process *p, struct exit_status status)
{
    process_exited_cb on_exited = p->on_exited;
    void *arg = p->arg;
    process_abandon(p);
    if (on_exited)
        on_exited(arg, status);
}

void process_abandon(struct process *p)
{
    p->on_exited = NULL;
    list_remove(&p->link);
    if (uv_is_closing((uv_handle_t *)&p->timer))
        return;
    uv_close((uv_handle_t *)&p->timer, on_closed);
    if (p->polling)
        uv_close((uv_handle_t *)&p->poll, on_closed);
}

static void on_closed(uv_handle_t *handle)
{
    struct process *p = handle->data;
    if (--p->open_handles > 0)
        return;
    if (p->pidfd >= 0)
        (void)close(p->pidfd);
    free(p);
}

/* ---- which process --------------------------------------------------------------------------- */

int process_open(pid_t pid, uint64_t start_ticks)
{
    struct proc_stat st;
    if (pid <= 0)
        return -1;
    AUTOCLOSE int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    /* Looked at when the descriptor is there, so that both are of one process. */
    if (fd < 0 || procfs_stat(pid, &st) < 0 || st.start_ticks != start_ticks)
        return -1;
    return TAKE_FD(fd);
}

bool process_is(int pidfd, pid_t pid)
{
    char path[64], line[128];
    (void)snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
    AUTOFCLOSE FILE *f = fopen(path, "re");
    long found = 0;
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "Pid: %ld", &found) == 1)
            break;
    /* -1: it has been reaped, so that its number says nothing any more. */
    return found == pid || found == -1;
}

int process_signal(const struct process *p, int sig)
{
    if (p->pidfd < 0)
        return -ESRCH;
    return syscall(SYS_pidfd_send_signal, p->pidfd, sig, NULL, 0) < 0 ? -errno : 0;
}

int process_group_signal(pid_t pgid, int sig)
{
    if (pgid <= 1)
        return -ESRCH;
    return kill(-pgid, sig) < 0 ? -errno : 0;
}

bool process_group_alive(pid_t pgid)
{
    /* Signals reach zombies too, and whoever must reap them may be slow. */
    return process_group_signal(pgid, 0) == 0 && procfs_group_alive(pgid);
}
