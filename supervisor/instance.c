#include "supervisor/instance.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "supervisor/app.h"
#include "supervisor/captures.h"
#include "supervisor/instance_keep.h"
#include "supervisor/ipc.h"
#include "supervisor/launch.h"
#include "supervisor/slots.h"
#include "supervisor/supervisor.h"

enum {
    /* Online is what has lived this long and has come to rest; one that is busy all the time is believed later. */
    SETTLE_MIN_MS = 75,
    SETTLE_MAX_MS = 1000,
    SETTLE_STEP_MS = 50,
    SWEEP_STEP_MS = 20,
    SWEEP_END_MS = 1000, /* after SIGKILL nothing is waited for longer */
    SPAWN_AGAIN_MS = 1000,
};

static const char SAFE_TEXT[] =
    "not started: the supervisor crashed again and again with this state and only watches now; "
    "\"proctor upgrade\" starts it anew";

/* Actions, in the order of enum instance_action. */
static void do_launch(struct instance *in);
static void do_stop(struct instance *in);
static void do_force(struct instance *in);
static void do_delay(struct instance *in);

static void on_runtime_known(void *arg, const struct runtime_version *version);
static void launch(struct instance *in);
static void wait_settled(struct instance *in);
static void on_settle(uv_timer_t *timer);
static void ask_to_go(struct instance *in);
static void on_kill_timeout(uv_timer_t *timer);
static void on_sweep(uv_timer_t *timer);
static void exit_done(struct instance *in);
static void on_delay_over(uv_timer_t *timer);
static void on_handle_closed(uv_handle_t *handle);

/* ---- life ------------------------------------------------------------------------------------ */

struct instance *instance_new(struct app *app, unsigned number, int pm_id)
{
    struct instance *in = xcalloc(1, sizeof *in);
    in->app = app;
    in->sup = app->sup;
    in->number = number;
    in->pm_id = pm_id;
    in->created_wall_ms = loop_wall_ms();
    (void)uv_timer_init(&in->sup->loop, &in->timer);
    in->timer.data = in;
    inspector_init(&in->inspector, in, &in->sup->loop);
    in->open_handles = 2;
    proc_meter_init(&in->meter);
    list_add(&app->instances, &in->link, in);
    in->slot = slots_find(&in->sup->slots, app->spec.name, number);
    if (!in->slot) {
        in->slot = slots_take(&in->sup->slots, app->spec.name, number, (unsigned)pm_id);
        instance_commit(in);
    }
    return in;
}

static void on_log_closed(void *arg)
{
    struct instance *in = arg;
    on_handle_closed((uv_handle_t *)&in->timer);
}

static void on_inspector_closed(uv_handle_t *handle)
{
    struct inspector *i = handle->data;
    on_handle_closed((uv_handle_t *)&i->instance->timer);
}

void instance_free(struct instance *in)
{
    list_remove(&in->link);
    runtimes_forget(in->sup->runtimes, in);
    captures_forget_instance(&in->sup->captures, in);
    if (in->process)
        process_abandon(in->process);
    exits_clear(&in->exits);
    ipc_close(in);
    triggers_instance_gone(&in->sup->triggers, in);
    keep_drop(&in->sup->keep, "i%d.pid", in->pm_id);
    keep_drop(&in->sup->keep, "i%d.error", in->pm_id);
    keep_drop(&in->sup->keep, "i%d.exits", in->pm_id);
    if (in->logs_open) {
        in->open_handles += 2;
        logstream_close(&in->out, on_log_closed, in);
        logstream_close(&in->err, on_log_closed, in);
    }
    metrics_instance_gone(in);
    slots_release(in->slot);
    proc_meter_clear(&in->meter);
    inspector_close(&in->inspector, on_inspector_closed);
    uv_close((uv_handle_t *)&in->timer, on_handle_closed);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct instance *in = handle->data;
    if (--in->open_handles > 0)
        return;
    free(in->error);
    free(in);
}

/* ---- state ----------------------------------------------------------------------------------- */

const char *instance_name(const struct instance *in)
{
    static char name[LIMIT_NAME + 16];
    (void)snprintf(name, sizeof name, "%s-%u", in->app->spec.name, in->number);
    return name;
}

static int64_t now_ms(const struct instance *in)
{
    return (int64_t)uv_now(&in->sup->loop);
}

/* Starts the timer for a moment that may have passed meanwhile. */
static void timer_at(struct instance *in, uv_timer_cb cb, int64_t at_ms)
{
    int64_t left_ms = at_ms - now_ms(in);
    (void)uv_timer_start(&in->timer, cb, left_ms > 0 ? (uint64_t)left_ms : 0, 0);
}

static int64_t delay_ms(const struct instance *in)
{
    int64_t configured_ms = in->app->spec.restart_delay_ms;
    return in->error && configured_ms < SPAWN_AGAIN_MS ? SPAWN_AGAIN_MS : configured_ms;
}

static void set_state(struct instance *in, enum instance_state state)
{
    if (in->state != state)
        log_info("%s: %s -> %s", instance_name(in), instance_state_word(in->state),
                 instance_state_word(state));
    in->state = state;
}

/* What an action leads to, as far as it must be known to whoever goes on with it. */
static void plan_action(struct instance *in, enum instance_action action)
{
    if (action == DO_STOP_AGAIN || action == DO_AGAIN)
        in->again = true;
    if (action == DO_STOP || action == DO_NOT_AGAIN || action == DO_LAUNCH)
        in->again = false;
    if (action == DO_LAUNCH)
        instance_set_error(in, NULL);
    if (action == DO_DELAY)
        in->wait_until_ms = now_ms(in) + delay_ms(in);
}

static void do_action(struct instance *in, enum instance_action action)
{
    switch (action) {
    case DO_NOTHING:
        break;
    case DO_LAUNCH:
        do_launch(in);
        break;
    case DO_STOP:
    case DO_STOP_AGAIN:
        do_stop(in);
        break;
    case DO_AGAIN:
    case DO_NOT_AGAIN:
        break;
    case DO_FORCE:
        do_force(in);
        break;
    case DO_DELAY:
        do_delay(in);
        break;
    case DO_END_DELAY:
        (void)uv_timer_stop(&in->timer);
        break;
    }
}

void instance_event(struct instance *in, enum instance_event event)
{
    struct instance_rule rule = instance_rule(in->state, event);
    log_debug("%s: %s in %s", instance_name(in), instance_event_name(event),
              instance_state_word(in->state));
    if (event == EV_START || event == EV_RESTART)
        in->wanted = true;
    /* At the supervisor's end the desired state stays. */
    if (event == EV_STOP && !in->sup->ending)
        in->wanted = false;
    if (event == EV_START || event == EV_STOP || event == EV_RESTART)
        in->start_due = false;
    if (!rule.listed) {
        instance_commit(in);
        return;
    }
    set_state(in, rule.to);
    plan_action(in, rule.action);
    instance_commit(in);
    do_action(in, rule.action);
    supervisor_instance_changed(in);
}

void instance_reset_counts(struct instance *in)
{
    in->history.created_ms = (int64_t)uv_now(&in->sup->loop);
    in->history.unstable = 0;
    in->created_wall_ms = loop_wall_ms();
    instance_commit(in);
}

void instance_start_due(struct instance *in)
{
    in->start_due = true;
    instance_commit(in);
}

/* ---- starting -------------------------------------------------------------------------------- */

static void do_launch(struct instance *in)
{
    (void)uv_timer_stop(&in->timer);
    if (in->sup->safe) {
        instance_set_error(in, xstrdup(SAFE_TEXT));
        instance_event(in, EV_SPAWN_LATER);
        return;
    }
    in->asking_runtime =
        runtimes_ask(in->sup->runtimes, &in->app->spec, &in->runtime, on_runtime_known, in) == 0;
    if (!in->asking_runtime)
        launch(in);
}

static void on_runtime_known(void *arg, const struct runtime_version *version)
{
    struct instance *in = arg;
    in->asking_runtime = false;
    in->runtime = *version;
    launch(in);
}

/* A lack that may be over in a moment: the app is not given up for it. */
static bool passes(int r)
{
    return r == -EMFILE || r == -ENFILE || r == -EAGAIN || r == -ENOMEM || r == -ENOSPC;
}

static void launch(struct instance *in)
{
    char *text = NULL;
    in->asked_to_go = in->forced = false;
    in->cause = CAUSE_NONE;
    in->sent_signal = 0;
    in->oom_before = oom_kills();
    uv_update_time(&in->sup->loop);
    in->history.started_ms = now_ms(in);
    in->started_wall_ms = loop_wall_ms();
    int r = launch_process(in, &text);
    if (r < 0) {
        log_err(0, "%s: %s", instance_name(in), text);
        instance_set_error(in, text);
        instance_event(in, passes(r) ? EV_SPAWN_LATER : EV_SPAWN_FAILED);
        return;
    }
    log_info("%s: started, pid %d", instance_name(in), (int)in->process->pid);
    (void)proc_meter_open(&in->meter, in->process->pid);
    in->rss_bytes = 0;
    in->cpu_percent = 0;
    in->usage = (struct usage){0};
    wait_settled(in);
}

static void wait_settled(struct instance *in)
{
    in->settle_ticks = 0;
    (void)uv_timer_start(&in->timer, on_settle, SETTLE_MIN_MS, SETTLE_STEP_MS);
}

static void on_settle(uv_timer_t *timer)
{
    struct instance *in = timer->data;
    struct proc_stat st;
    if (!in->process || procfs_stat(in->process->pid, &st) < 0)
        return;
    /* Asleep, and not a tick (10 ms) of CPU over the last step: start-up is over. */
    bool resting = st.state == 'S' && st.cpu_ticks == in->settle_ticks;
    in->settle_ticks = st.cpu_ticks;
    if (!resting && instance_uptime_ms(in) < SETTLE_MAX_MS)
        return;
    (void)uv_timer_stop(timer);
    if (in->app->spec.profiling == PROFILING_ALWAYS && in->flags == FLAGS_OURS)
        inspector_open_always(&in->inspector);
    instance_event(in, EV_SETTLED);
}

/* ---- stopping -------------------------------------------------------------------------------- */

static void do_stop(struct instance *in)
{
    /* There is no process any more, and the sweep goes on; exit_done() sees what is wanted now. */
    if (in->sweeping)
        return;
    (void)uv_timer_stop(&in->timer);
    if (in->asking_runtime) {
        runtimes_forget(in->sup->runtimes, in);
        in->asking_runtime = false;
        instance_event(in, in->again ? EV_EXITED_AGAIN : EV_EXITED_DONE);
        return;
    }
    /* A process with an inspector client attached cannot exit: the probe lets go first. */
    if (in->capture && captures_app_stopping(in->capture))
        return;
    ask_to_go(in);
}

void instance_capture_released(struct instance *in)
{
    in->capture = NULL;
    if (in->state == INSTANCE_STOPPING && !in->asked_to_go)
        ask_to_go(in);
}

static void ask_to_go(struct instance *in)
{
    if (!in->process)
        return;
    in->asked_to_go = true;
    in->kill_at_ms = now_ms(in) + in->app->spec.kill_timeout_ms;
    (void)process_group_signal(in->pgid, SIGINT);
    instance_commit(in);
    timer_at(in, on_kill_timeout, in->kill_at_ms);
}

static void on_kill_timeout(uv_timer_t *timer)
{
    instance_event(timer->data, EV_KILL_TIMEOUT);
}

/* The rest of its group is killed also when the process itself has ended, and only its status is waited for. */
static void do_force(struct instance *in)
{
    if (in->process && !process_has_ended(in->process))
        log_warn(0, "%s: did not end within %d ms, killed", instance_name(in),
                 in->app->spec.kill_timeout_ms);
    in->forced = in->process != NULL;
    instance_commit(in);
    (void)process_group_signal(in->pgid, SIGKILL);
}

/* ---- the end of a process -------------------------------------------------------------------- */

/* How long it lived.  It may have ended while no supervisor ran, which only the wall clock tells; that may have been set since,
 * so it is believed only as far as no supervisor ran. */
static int64_t lifetime_ms(const struct instance *in, int64_t ended_wall_ms)
{
    int64_t until_now_ms = instance_uptime_ms(in);
    int64_t away_ms = now_ms(in) - in->sup->keep.last_ended_ms;
    int64_t ago_ms = loop_wall_ms() - ended_wall_ms;
    if (ago_ms > away_ms)
        ago_ms = away_ms;
    if (ago_ms < 0)
        ago_ms = 0;
    return ago_ms < until_now_ms ? until_now_ms - ago_ms : 0;
}

void instance_process_exited(void *arg, struct exit_status status)
{
    struct instance *in = arg;
    bool stopping = in->state == INSTANCE_STOPPING;
    uv_update_time(&in->sup->loop);
    in->last_exit = (struct exit_record){.set = true,
                                         .status = status,
                                         .at_ms = status.at_ms,
                                         .uptime_ms = lifetime_ms(in, status.at_ms),
                                         .asked = stopping};
    in->process = NULL;
    in->exits_handled = in->slot->exit.count;
    keep_drop(&in->sup->keep, "i%d.pid", in->pm_id);
    proc_meter_clear(&in->meter);
    if (in->logs_open) {
        logstream_drain(&in->out);
        logstream_drain(&in->err);
    }
    log_info("%s: %s", instance_name(in), exit_status_text(&status));
    ipc_close(in);
    triggers_instance_gone(&in->sup->triggers, in);
    inspector_process_gone(&in->inspector);
    if (in->capture)
        captures_process_gone(in->capture);
    /* What it leaves behind in its group would hold its ports. */
    if (!stopping) {
        in->kill_at_ms = now_ms(in) + in->app->spec.kill_timeout_ms;
        (void)process_group_signal(in->pgid, SIGINT);
    }
    in->sweeping = process_group_alive(in->pgid);
    if (!in->sweeping) {
        exit_done(in);
        return;
    }
    instance_commit(in);
    (void)uv_timer_start(&in->timer, on_sweep, SWEEP_STEP_MS, SWEEP_STEP_MS);
}

static void on_sweep(uv_timer_t *timer)
{
    struct instance *in = timer->data;
    int64_t overdue_ms = (int64_t)uv_now(timer->loop) - in->kill_at_ms;
    bool alive = process_group_alive(in->pgid);
    if (alive && overdue_ms >= 0)
        (void)process_group_signal(in->pgid, SIGKILL);
    if (alive && overdue_ms < SWEEP_END_MS)
        return;
    if (alive)
        log_warn(0, "%s: processes of its group %d do not end", instance_name(in), (int)in->pgid);
    exit_done(in);
}

/* What it was ended for; CAUSE_NONE: it went by itself. */
static enum exit_cause asked_cause(const struct instance *in)
{
    if (!in->last_exit.asked || in->cause != CAUSE_NONE)
        return in->last_exit.asked ? in->cause : CAUSE_NONE;
    if (in->delete_when_stopped)
        return CAUSE_DELETE;
    return in->again ? CAUSE_RESTART : CAUSE_STOP;
}

/* Is it worth asking whether the kernel did it?  Shells say 137 for a child that SIGKILL ended. */
static enum oom judge_oom(const struct instance *in, enum exit_cause asked)
{
    const struct exit_status *s = &in->last_exit.status;
    bool killed = !s->unknown && s->code == (s->by_signal ? SIGKILL : 128 + SIGKILL);
    if (asked != CAUSE_NONE || !killed || in->sent_signal == SIGKILL)
        return OOM_NO;
    return oom_judge(in->pgid, in->oom_before, in->history.started_ms);
}

static void note_exit(struct instance *in, enum instance_event event)
{
    AUTOBUF struct buf tail = BUF_INIT(LIMIT_STDERR_TAIL);
    enum exit_cause asked = asked_cause(in);
    enum oom oom = judge_oom(in, asked);
    if (in->logs_open)
        logstream_tail(&in->err, in->err_from, &tail);
    struct exit_entry e = {
        .seq = in->exits_handled,
        .pid = in->pgid,
        .status = in->last_exit.status,
        .started_ms = in->started_wall_ms,
        .uptime_ms = in->last_exit.uptime_ms,
        .cause = exit_cause_of(&in->last_exit.status, asked, in->sent_signal, oom),
        .then = exit_then_of(event),
        .oom = oom,
        .forced = in->forced,
        .stderr_tail = exit_tail_of(buf_str(&tail)),
    };
    exits_add(&in->exits, &e);
    instance_keep_exits(in);
}

static void exit_done(struct instance *in)
{
    (void)uv_timer_stop(&in->timer);
    in->sweeping = false;
    bool stopping = in->state == INSTANCE_STOPPING;
    int64_t ended_ms = in->history.started_ms + in->last_exit.uptime_ms;
    enum instance_event event =
        restart_rule(&in->app->spec, &in->history, ended_ms, stopping, in->again);
    note_exit(in, event);
    if (event == EV_EXITED_AGAIN || event == EV_EXITED_LATER)
        in->restarts++;
    if (event == EV_EXITED_ERROR)
        instance_set_error(
            in, xasprintf("gave up after %u quick exits in a row", in->history.unstable));
    instance_event(in, event);
}

static void do_delay(struct instance *in)
{
    /* The next supervisor, which may start programs again, goes on with it. */
    if (in->sup->safe)
        return;
    timer_at(in, on_delay_over, in->wait_until_ms);
}

static void on_delay_over(uv_timer_t *timer)
{
    instance_event(timer->data, EV_DELAY_OVER);
}

/* ---- going on where another supervisor has stopped --------------------------------------------- */

/* Was asked, or has to be: a signal that may not have been sent is sent. */
static void resume_stop(struct instance *in)
{
    if (!in->process)
        instance_event(in, in->again ? EV_EXITED_AGAIN : EV_EXITED_DONE);
    else if (in->asked_to_go)
        timer_at(in, on_kill_timeout, in->kill_at_ms);
    else
        do_stop(in);
}

static void resume_state(struct instance *in)
{
    switch (in->state) {
    case INSTANCE_STOPPED:
        if (in->start_due)
            instance_event(in, EV_START);
        else if (in->delete_when_stopped)
            supervisor_instance_changed(in);
        break;
    case INSTANCE_LAUNCHING:
        if (in->process)
            wait_settled(in);
        else
            do_launch(in);
        break;
    case INSTANCE_ONLINE:
        /* Only when the slot is damaged. */
        if (!in->process)
            instance_event(in, EV_EXITED_LATER);
        break;
    case INSTANCE_STOPPING:
        resume_stop(in);
        break;
    case INSTANCE_WAITING:
        do_delay(in);
        break;
    case INSTANCE_ERRORED:
    case INSTANCE_STATE_COUNT:
        break;
    }
}

void instance_resume(struct instance *in)
{
    uv_update_time(&in->sup->loop);
    if (in->slot && !in->process && in->slot->exit.count != in->exits_handled)
        instance_process_exited(in, process_recorded(in->slot));
    else if (in->sweeping)
        (void)uv_timer_start(&in->timer, on_sweep, SWEEP_STEP_MS, SWEEP_STEP_MS);
    else
        resume_state(in);
}

/* ---- what others want to know ---------------------------------------------------------------- */

bool instance_at_rest(const struct instance *in)
{
    return in->state != INSTANCE_LAUNCHING && in->state != INSTANCE_STOPPING && !in->sweeping;
}

pid_t instance_pid(const struct instance *in)
{
    return in->process ? in->process->pid : 0;
}

int64_t instance_uptime_ms(const struct instance *in)
{
    return (int64_t)uv_now(&in->sup->loop) - in->history.started_ms;
}

void instance_measure(struct instance *in)
{
    uint64_t rss;
    double cpu;
    if (!in->process || proc_meter_read(&in->meter, &rss, &cpu) < 0)
        return;
    in->rss_bytes = rss;
    in->cpu_percent = cpu;
}

char *instance_explain(const struct instance *in)
{
    AUTOBUF struct buf text = BUF_INIT(2 * LIMIT_STDERR_TAIL);
    AUTOBUF struct buf tail = BUF_INIT(LIMIT_STDERR_TAIL);
    const struct exit_record *e = &in->last_exit;
    bool failed = in->state == INSTANCE_ERRORED || in->state == INSTANCE_WAITING ||
                  (in->state == INSTANCE_STOPPED && e->set && !e->asked &&
                   (e->status.by_signal || e->status.unknown || e->status.code != 0));
    if (!failed)
        return NULL;
    if (in->error)
        (void)buf_addf(&text, "%s", in->error);
    if (e->set && (!in->error || in->state == INSTANCE_WAITING || in->history.unstable > 0))
        (void)buf_addf(&text, "%s%s after %lld ms", text.len ? "; " : "",
                       exit_status_text(&e->status), (long long)e->uptime_ms);
    if (in->state == INSTANCE_WAITING && !in->sup->safe)
        (void)buf_addf(&text, ", next try in %d ms", (int)delay_ms(in));
    if (in->logs_open && e->set)
        logstream_tail(&in->err, in->err_from, &tail);
    if (tail.len > 0)
        (void)buf_addf(&text, "; stderr ended with:\n%s", tail.data);
    return buf_take(&text);
}
