#include "supervisor/process.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/base/procfs.h"
#include "supervisor/slots.h"

static void on_event(uv_poll_t *poll, int status, int events);
static void on_closed(uv_handle_t *handle);

struct process *process_watch(uv_loop_t *loop, pid_t pid, int pidfd, struct slot *slot,
                              process_exited_cb on_exited, void *arg)
{
    struct process *p = xcalloc(1, sizeof *p);
    struct proc_stat st;
    p->pid = pid;
    p->pidfd = pidfd;
    p->slot = slot;
    p->on_exited = on_exited;
    p->arg = arg;
    if (procfs_stat(pid, &st) == 0)
        p->start_ticks = st.start_ticks;
    if (slot)
        slot->start_ticks = p->start_ticks;
    p->poll.data = p;
    (void)uv_poll_init(loop, &p->poll, pidfd);
    (void)uv_poll_start(&p->poll, UV_READABLE, on_event);
    return p;
}

/* Reads the status without reaping, lets the record be made, then reaps: a supervisor that dies between the two leaves
 * the status to be found again. */
static void on_event(uv_poll_t *poll, int status, int events)
{
    struct process *p = poll->data;
    siginfo_t info = {0};
    bool reaped_elsewhere = false;
    if (waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
        reaped_elsewhere = errno == ECHILD;
    if (info.si_pid == 0 && !reaped_elsewhere)
        return;
    struct exit_status exit_status = {
        .by_signal = info.si_code != CLD_EXITED,
        .code = info.si_status,
        .core = info.si_code == CLD_DUMPED,
    };
    if (p->slot) {
        p->slot->pid = 0;
        p->slot->start_ticks = 0;
    }
    (void)waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG);
    (void)uv_poll_stop(&p->poll);
    process_exited_cb on_exited = p->on_exited;
    void *arg = p->arg;
    process_abandon(p);
    if (on_exited)
        on_exited(arg, exit_status);
}

void process_abandon(struct process *p)
{
    p->on_exited = NULL;
    if (!uv_is_closing((uv_handle_t *)&p->poll))
        uv_close((uv_handle_t *)&p->poll, on_closed);
}

static void on_closed(uv_handle_t *handle)
{
    struct process *p = handle->data;
    (void)close(p->pidfd);
    free(p);
}

int process_signal(const struct process *p, int sig)
{
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
