#include "supervisor/instance_keep.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/limits.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/procfs.h"
#include "lib/base/str.h"
#include "supervisor/app.h"
#include "supervisor/instance.h"
#include "supervisor/ipc.h"
#include "supervisor/kept_json.h"
#include "supervisor/logs.h"
#include "supervisor/slots.h"
#include "supervisor/supervisor.h"

enum { EXEC_WAIT_MS = 1000 };

/* ---- to the slot and back -------------------------------------------------------------------- */

static uint32_t flags_of(const struct instance *in)
{
    const struct exit_record *last = &in->last_exit;
    const struct {
        bool set;
        uint32_t flag;
    } all[] = {
        {in->wanted, SLOT_WANTED},
        {in->again, SLOT_AGAIN},
        {in->delete_when_stopped, SLOT_DELETE},
        {in->sweeping, SLOT_SWEEPING},
        {in->asked_to_go, SLOT_ASKED_TO_GO},
        {in->start_due, SLOT_START_DUE},
        {in->forced, SLOT_FORCED},
        {in->user_opens, SLOT_USER_OPENS},
        {in->runtime.is_node, SLOT_IS_NODE},
        {last->set, SLOT_LAST_SET},
        {last->status.by_signal, SLOT_LAST_SIGNAL},
        {last->status.core, SLOT_LAST_CORE},
        {last->status.unknown, SLOT_LAST_UNKNOWN},
        {last->asked, SLOT_LAST_ASKED},
    };
    uint32_t flags = 0;
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        flags |= all[i].set ? all[i].flag : 0;
    return flags;
}

void instance_commit(struct instance *in)
{
    if (!in->slot)
        return;
    const struct slot_life life = {
        .state = in->state,
        .flags = flags_of(in),
        .restarts = in->restarts,
        .unstable = in->history.unstable,
        .exits_handled = in->exits_handled,
        .changes = in->changes,
        .created_ms = in->history.created_ms,
        .started_ms = in->history.started_ms,
        .kill_at_ms = in->kill_at_ms,
        .wait_until_ms = in->wait_until_ms,
        .created_wall_ms = in->created_wall_ms,
        .started_wall_ms = in->started_wall_ms,
        .err_from = in->err_from,
        .pgid = in->pgid,
        .runtime_major = in->runtime.major,
        .runtime_minor = in->runtime.minor,
        .runtime_patch = in->runtime.patch,
        .inspector_flags = in->flags,
        .last_code = in->last_exit.status.code,
        .last_at_ms = in->last_exit.at_ms,
        .last_uptime_ms = in->last_exit.uptime_ms,
        .oom_before = in->oom_before,
        .cause = in->cause,
        .sent_signal = in->sent_signal,
    };
    slot_commit(in->slot, &life);
}

static void read_life(struct instance *in, const struct slot_life *life)
{
    uint32_t flags = life->flags;
    in->state = life->state < INSTANCE_STATE_COUNT ? life->state : INSTANCE_STOPPED;
    in->wanted = flags & SLOT_WANTED;
    in->again = flags & SLOT_AGAIN;
    in->delete_when_stopped = flags & SLOT_DELETE;
    in->sweeping = flags & SLOT_SWEEPING;
    in->asked_to_go = flags & SLOT_ASKED_TO_GO;
    in->start_due = flags & SLOT_START_DUE;
    in->forced = flags & SLOT_FORCED;
    in->user_opens = flags & SLOT_USER_OPENS;
    in->restarts = life->restarts;
    in->history = (struct restart_history){
        .created_ms = life->created_ms, .started_ms = life->started_ms, .unstable = life->unstable};
    in->exits_handled = life->exits_handled;
    in->changes = life->changes;
    in->kill_at_ms = life->kill_at_ms;
    in->wait_until_ms = life->wait_until_ms;
    in->created_wall_ms = life->created_wall_ms;
    in->started_wall_ms = life->started_wall_ms;
    in->err_from = life->err_from;
    in->pgid = life->pgid;
    in->runtime = (struct runtime_version){.is_node = flags & SLOT_IS_NODE,
                                           .major = life->runtime_major,
                                           .minor = life->runtime_minor,
                                           .patch = life->runtime_patch};
    in->flags = (enum inspector_flags)life->inspector_flags;
    in->oom_before = life->oom_before;
    in->cause = life->cause < EXIT_CAUSE_COUNT ? life->cause : CAUSE_NONE;
    in->sent_signal = life->sent_signal;
    in->last_exit = (struct exit_record){
        .set = flags & SLOT_LAST_SET,
        .status = {.by_signal = flags & SLOT_LAST_SIGNAL,
                   .core = flags & SLOT_LAST_CORE,
                   .unknown = flags & SLOT_LAST_UNKNOWN,
                   .code = life->last_code},
        .at_ms = life->last_at_ms,
        .uptime_ms = life->last_uptime_ms,
        .asked = flags & SLOT_LAST_ASKED,
    };
}

/* A sentence of any length, so it is a record of its own; most have none. */
void instance_set_error(struct instance *in, char *text)
{
    free(in->error);
    in->error = text;
    if (text)
        (void)keep_put(&in->sup->keep, text, strlen(text), "i%d.error", in->pm_id);
    else
        keep_drop(&in->sup->keep, "i%d.error", in->pm_id);
}

void instance_keep_exits(struct instance *in)
{
    AUTOJSON json_t *record = json_object();
    (void)json_object_set_new(record, "exits", exits_to_json(&in->exits));
    kept_json_put(&in->sup->keep, record, "i%d.exits", in->pm_id);
}

static void read_exits(struct instance *in)
{
    AUTOJSON json_t *record = kept_json_get(&in->sup->keep, "i%d.exits", in->pm_id);
    exits_clear(&in->exits);
    exits_from_json(&in->exits, json_object_get(record, "exits"));
}

static void read_error(struct instance *in)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_CONTROL_LINE);
    free(in->error);
    in->error = NULL;
    if (keep_get(&in->sup->keep, &text, "i%d.error", in->pm_id) == 0)
        in->error = buf_take(&text);
}

/* ---- the process ----------------------------------------------------------------------------- */

/* Is it the one that was started for this instance?  1, 0, or -errno when its environment cannot be read. */
static int has_our_environment(const struct instance *in, pid_t pid)
{
    char number[16];
    AUTOSTRLIST struct strlist env = {0};
    int r = procfs_environment(pid, &env);
    if (r < 0)
        return r;
    (void)snprintf(number, sizeof number, "%u", in->number);
    return str_eq(env_get(&env, "PROCTOR_APP"), in->app->spec.name) &&
           str_eq(env_get(&env, "PROCTOR_INSTANCE"), number) &&
           str_eq(env_get(&env, "PROCTOR_HOME"), in->sup->home);
}

/* A process whose start time nobody has noted: the supervisor died between its clone and that.  It may not have reached its
 * exec yet. */
static int open_young(const struct instance *in, pid_t pid)
{
    struct proc_stat st;
    AUTOCLOSE int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    for (int i = 0; fd >= 0 && i < EXEC_WAIT_MS; i++) {
        if (procfs_stat(pid, &st) < 0)
            return -1;
        int ours = st.pgrp == pid ? has_our_environment(in, pid) : 0;
        /* Not to be read: then whose child it is must do. */
        if (ours == -EACCES || ours == -EPERM)
            ours = st.ppid == in->sup->keep.keeper_pid;
        /* A zombie has no environment any more. */
        if (ours > 0 || (st.state == 'Z' && st.pgrp == pid))
            return TAKE_FD(fd);
        (void)usleep(1000);
    }
    return -1;
}

/* A descriptor of the process that the slot names; -1: it has ended. */
static int find_process(struct instance *in)
{
    struct slot *slot = in->slot;
    int kept = keep_take(&in->sup->keep, "i%d.pid", in->pm_id);
    if (kept >= 0 && slot->pid > 0 && process_is(kept, slot->pid))
        return kept;
    if (kept >= 0) {
        keep_drop(&in->sup->keep, "i%d.pid", in->pm_id);
        (void)close(kept);
    }
    if (slot->pid <= 0)
        return -1;
    int fd =
        slot->start_ticks ? process_open(slot->pid, slot->start_ticks) : open_young(in, slot->pid);
    if (fd >= 0)
        (void)keep_store(&in->sup->keep, fd, "i%d.pid", in->pm_id);
    return fd;
}

/* A child of the supervisor before us that has not come to writing its number yet runs that one's program still. */
static bool is_unwritten(void *arg, pid_t pid, const struct proc_stat *st)
{
    const struct instance *in = arg;
    return st->ppid == in->sup->keep.keeper_pid && pid != getpid() && st->state != 'Z' &&
           procfs_same_program(pid, getpid());
}

/* It slept while that one did not run its program, so there is at most one, of whichever instance. */
static void wait_for_pid(struct instance *in)
{
    struct supervisor *sup = in->sup;
    for (int i = 0; i < EXEC_WAIT_MS / 10 && !sup->all_pids_written; i++) {
        sup->all_pids_written = procfs_find(is_unwritten, in) == 0;
        if (__atomic_load_n(&in->slot->pid, __ATOMIC_ACQUIRE))
            return;
        if (!sup->all_pids_written)
            (void)usleep(10000);
    }
}

/* Is there an end that nobody has acted on?  The record of another process than the present one is no such. */
static bool has_record(const struct instance *in)
{
    const struct slot *slot = in->slot;
    return slot->exit.count != in->exits_handled && (slot->pid == 0 || slot->exit.pid == slot->pid);
}

static void adopt(struct instance *in)
{
    struct slot *slot = in->slot;
    bool recorded = has_record(in);
    /* Died between the record and this. */
    if (recorded)
        slot->pid = 0;
    else
        in->exits_handled = slot->exit.count;
    if (!recorded && in->state == INSTANCE_LAUNCHING && slot->pid == 0)
        wait_for_pid(in);
    int pidfd = find_process(in);
    if (slot->pid <= 0) {
        in->pgid = recorded ? slot->exit.pid : in->pgid;
        return;
    }
    in->pgid = slot->pid;
    in->process =
        process_adopt(&in->sup->loop, slot->pid, pidfd, slot, instance_process_exited, in);
    (void)proc_meter_open(&in->meter, slot->pid);
    if (pidfd >= 0)
        log_info("%s: goes on, pid %d", instance_name(in), (int)slot->pid);
}

/* Somebody has written into the file.  What is declared holds; its process, if there is one, is believed to have just been
 * started. */
static void mend(struct instance *in)
{
    log_err(0, "%s: its record is damaged, its counts begin anew", instance_name(in));
    uv_update_time(&in->sup->loop);
    in->history.created_ms = in->history.started_ms = (int64_t)uv_now(&in->sup->loop);
    in->started_wall_ms = in->created_wall_ms;
    in->exits_handled = in->slot->exit.count;
    in->start_due = in->wanted && in->slot->pid <= 0;
    in->state = in->slot->pid > 0 ? INSTANCE_LAUNCHING : INSTANCE_STOPPED;
}

static void open_logs(struct instance *in)
{
    int r = logs_open(in);
    if (r < 0)
        log_err(r, "%s: its logs cannot be opened", instance_name(in));
}

void instance_restore(struct instance *in)
{
    struct slot_life life;
    if (!in->slot)
        return;
    int r = slot_life(in->slot, &life);
    in->slot->pm_id = (unsigned)in->pm_id;
    read_exits(in);
    if (r == 0) {
        read_life(in, &life);
        read_error(in);
    } else if (r == -EPROTO) {
        mend(in);
    }
    if (in->slot->pid || in->slot->exit.count || in->state != INSTANCE_STOPPED)
        open_logs(in);
    adopt(in);
    instance_commit(in);
    ipc_restore(in);
    if (in->logs_open)
        inspector_restore(&in->inspector);
}
