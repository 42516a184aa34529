#include "supervisor/supervisor.h"

#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ecosystem/spec.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/str.h"
#include "supervisor/app.h"
#include "supervisor/closer.h"
#include "supervisor/instance.h"
#include "supervisor/instance_keep.h"
#include "supervisor/process.h"
#include "supervisor/runtime.h"
#include "supervisor/survivors.h"

enum {
    KEEPER_AGAIN_MS = 5000,
    PIPE_BYTES_MAX = 1 << 20, /* measured: docs/BENCHMARKS.md, "Log pipes" */
    PIPE_BYTES_MIN = 64 << 10,
    PIPE_SHARE = 16,
    PIPE_PAGES_ALL = 12000, /* of the 16384 that an unprivileged user may have in pipes */
};

static void on_end_signal(uv_signal_t *handle, int signum);
static void end_if_done(struct supervisor *sup);
static void close_handles(struct supervisor *sup);

/* ---- opening --------------------------------------------------------------------------------- */

/* Has an upgrade brought us?  Then what we cannot read is left to the program before, which can. */
static bool may_go_back(const struct supervisor *sup)
{
    return sup->keep.flags & KEEP_UPGRADED;
}

static int open_home(struct supervisor *sup)
{
    AUTOFREE char *logs = path_join(sup->home, "logs");
    AUTOFREE char *spool = path_join(sup->home, "spool");
    AUTOFREE char *slots = path_join(sup->home, "slots");
    int r = path_mkdir(logs, 0700);
    if (r == 0)
        r = path_mkdir(spool, 0700);
    if (r < 0)
        return r;
    r = slots_open(&sup->slots, slots, keep_take(&sup->keep, "slots"));
    /* Of another version: what it says cannot be read. */
    if (r == -EPROTO && may_go_back(sup))
        return ERR_UNSUPPORTED;
    if (r == -EPROTO) {
        (void)unlink(slots);
        r = slots_open(&sup->slots, slots, -1);
    }
    return r < 0 ? r : keep_store(&sup->keep, sup->slots.fd, "slots");
}

static void open_handles(struct supervisor *sup)
{
    (void)uv_timer_init(&sup->loop, &sup->keeper_timer);
    (void)uv_signal_init(&sup->loop, &sup->on_term);
    (void)uv_signal_init(&sup->loop, &sup->on_int);
    sup->keeper_timer.data = sup->on_term.data = sup->on_int.data = sup;
    (void)uv_signal_start(&sup->on_term, on_end_signal, SIGTERM);
    (void)uv_signal_start(&sup->on_int, on_end_signal, SIGINT);
}

int supervisor_open(struct supervisor *sup, const char *home, struct keep_link *keep,
                    char **reterr_text)
{
    *sup = (struct supervisor){
        .home = xstrdup(home), .keep = *keep, .slots = {.fd = -1}, .metrics = {.fd = -1}};
    *keep = (struct keep_link){.sock = -1};
    sup->safe = sup->keep.flags & KEEP_SAFE;
    AUTOFREE char *socket_path = path_join(home, "control.sock");
    AUTOFREE char *policy_path = path_join(home, "policy.json");
    AUTOFREE char *state_path = path_join(home, "state.json");
    list_init(&sup->apps);
    operations_init(&sup->operations, sup);
    triggers_init(&sup->triggers, sup);
    int r = uv_loop_init(&sup->loop);
    if (r == 0)
        r = open_home(sup);
    if (r < 0) {
        *reterr_text = r == ERR_UNSUPPORTED ? xstrdup(SUPERVISOR_CANNOT_READ)
                                            : xasprintf("%s: %s", home, err_str(r));
        return r;
    }
    sup->runtimes = runtimes_new(&sup->loop);
    policy_init(&sup->policy, policy_path);
    captures_init(&sup->captures, sup);
    agent_link_init(&sup->agent, sup);
    state_file_init(&sup->state_file, sup, state_path);
    own_log_open(&sup->own_log, &sup->loop, home);
    metrics_start(&sup->metrics, sup);
    metrics_http_init(&sup->metrics_http, sup);
    logs_start(&sup->logs, sup);
    open_handles(sup);
    r = control_open(&sup->control, sup, socket_path);
    if (r < 0)
        *reterr_text = xasprintf("%s: %s", socket_path, err_str(r));
    return r;
}

/* ---- the keeper ------------------------------------------------------------------------------ */

static void on_keeper_exit(void *arg, const struct keep_msg *msg)
{
    if (!process_keeper_exit(msg->pid, process_status_of(msg)))
        log_debug("process %d has ended, which nobody knows", (int)msg->pid);
}

/* We put ourselves in its place, with our pid, so that our children stay children of a keeper; it starts a supervisor. */
static void become_keeper(uv_timer_t *timer)
{
    struct supervisor *sup = timer->data;
    log_warn(0, "keeper %d is gone: this process becomes the keeper, and starts a new supervisor",
             (int)sup->keep.keeper_pid);
    int r = keep_link_become(&sup->keep, sup->home);
    log_err(r, "there is no keeper: when the supervisor dies now, so does what it knows");
    (void)uv_timer_start(timer, become_keeper, KEEPER_AGAIN_MS, 0);
}

static void on_keeper_gone(void *arg)
{
    struct supervisor *sup = arg;
    if (!sup->ending)
        become_keeper(&sup->keeper_timer);
}

static void warn_about_root(void)
{
    if (geteuid() == 0 && !getpwnam("proctor"))
        log_warn(0, "there is no user \"proctor\": the agent runs as root");
}

/* All instances there are; an array, since what is done to one may free it. */
static void each_instance(struct supervisor *sup, void (*each)(struct instance *in))
{
    struct app *app;
    struct instance *in;
    size_t count = 0;
    AUTOFREE struct instance **all = xcalloc(supervisor_instance_count(sup) + 1, sizeof(void *));
    LIST_EACH(app, &sup->apps)
    LIST_EACH(in, &app->instances)
    all[count++] = in;
    for (size_t i = 0; i < count; i++)
        each(all[i]);
}

static void start_if_wanted(struct instance *in)
{
    if (!in->wanted)
        return;
    instance_reset_counts(in);
    instance_start_due(in);
}

/* The first start of a home: what shall run is noted for all before anything is done for one. */
static void begin(struct supervisor *sup)
{
    each_instance(sup, start_if_wanted);
    slots_settled(&sup->slots);
    (void)keep_put(&sup->keep, "", 0, "begun");
}

static void say_how_the_last_ended(struct supervisor *sup)
{
    struct keep_link *k = &sup->keep;
    log_info("adopting what the supervisor before has left, start %u%s%s", k->starts,
             k->flags & KEEP_ROLLED_BACK ? ", with the program before the new one" : "",
             sup->safe ? "; it crashed again and again, so this one only watches" : "");
}

/* Is there a supervisor before us, and do we know what it was doing? */
static bool goes_on(struct supervisor *sup)
{
    AUTOBUF struct buf begun = BUF_INIT(1);
    if (!keep_link_again(&sup->keep) || keep_get(&sup->keep, &begun, "begun") < 0)
        return false;
    if (sup->slots.fresh)
        log_warn(0,
                 "the slots of the supervisor before are lost, or of another version: its apps are "
                 "stopped and started");
    return !sup->slots.fresh;
}

int supervisor_start(struct supervisor *sup)
{
    bool again = goes_on(sup);
    if (again)
        say_how_the_last_ended(sup);
    else
        survivors_stop(sup);
    int r = state_file_load(&sup->state_file);
    if (r < 0 && may_go_back(sup))
        return r;
    if (!keep_link_again(&sup->keep))
        warn_about_root();
    if (again) {
        each_instance(sup, instance_restore);
        survivors_stop(sup); /* of instances that nobody knows any more */
    } else {
        begin(sup);
    }
    (void)keep_link_watch(&sup->keep, &sup->loop, on_keeper_exit, on_keeper_gone, sup);
    triggers_restore(&sup->triggers);
    captures_restore(&sup->captures);
    agent_link_start(&sup->agent);
    each_instance(sup, instance_resume);
    if (!sup->safe)
        operations_go_on(&sup->operations);
    keep_drop_untaken(&sup->keep);
#ifdef PROCTOR_NEXT
    /* The tests of upgrades: a program that has taken everything over, and fails at the end. */
    if (getenv("PROCTOR_NEXT_FAILS"))
        abort();
#endif
    keep_up(&sup->keep);
    notify_start(&sup->notify, &sup->loop);
    if (again)
        supervisor_state_changed(sup); /* the file may be behind */
    if (sup->state_file.ending)
        supervisor_end(sup, sup->forget_apps, NULL, NULL);
    return 0;
}

/* ---- looking up ------------------------------------------------------------------------------ */

struct app *supervisor_app(struct supervisor *sup, const char *name)
{
    struct app *app;
    LIST_EACH(app, &sup->apps)
    if (str_eq(app->spec.name, name))
        return app;
    return NULL;
}

const char *supervisor_nearest_app(struct supervisor *sup, const char *name)
{
    struct app *app;
    size_t count = 0;
    AUTOFREE const char **names = xcalloc(list_count(&sup->apps), sizeof *names);
    LIST_EACH(app, &sup->apps)
    names[count++] = app->spec.name;
    return str_nearest(name, names, count);
}

size_t supervisor_instance_count(struct supervisor *sup)
{
    struct app *app;
    size_t count = 0;
    LIST_EACH(app, &sup->apps)
    count += list_count(&app->instances);
    return count;
}

int supervisor_next_pm_id(struct supervisor *sup)
{
    /* As in PM2: numbering begins anew when the list is empty. */
    if (supervisor_instance_count(sup) == 0)
        sup->next_pm_id = 0;
    return sup->next_pm_id++;
}

/* Each pipe gets at most a share of what is left, so that the first ones do not take everything. */
unsigned supervisor_pipe_bytes(struct supervisor *sup)
{
    struct app *app;
    struct instance *in;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), used = 0;
    LIST_EACH(app, &sup->apps)
    LIST_EACH(in, &app->instances)
    used += in->logs_open ? in->out.pipe_bytes + in->err.pipe_bytes : 0;
    size_t left = used / page < PIPE_PAGES_ALL ? PIPE_PAGES_ALL - used / page : 0;
    size_t bytes = PIPE_BYTES_MAX;
    while (bytes > PIPE_BYTES_MIN && bytes / page > left / PIPE_SHARE)
        bytes /= 2;
    return (unsigned)bytes;
}

void supervisor_child_environment(struct strlist *env)
{
    static const char *const names[] = {
        "PATH",          "HOME",        "TZ",        "LANG",     "PROCTOR_LOG", "https_proxy",
        "HTTPS_PROXY",   "all_proxy",   "ALL_PROXY", "no_proxy", "NO_PROXY",    "ASAN_OPTIONS",
        "UBSAN_OPTIONS", "LSAN_OPTIONS"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        const char *value = getenv(names[i]);
        if (value)
            env_set(env, names[i], value);
    }
    if (env->count == 0)
        env_set(env, "PATH", "/usr/local/bin:/usr/bin:/bin");
}

/* ---- what happened --------------------------------------------------------------------------- */

void supervisor_state_changed(struct supervisor *sup)
{
    if (!sup->ending)
        state_file_changed(&sup->state_file);
}

void supervisor_instance_changed(struct instance *in)
{
    struct supervisor *sup = in->sup;
    struct app *app = in->app;
    /* Freed already, deeper in the same event. */
    if (!in->link.next)
        return;
    bool gone = in->delete_when_stopped && in->state == INSTANCE_STOPPED;
    operations_instance_changed(&sup->operations, in, gone);
    if (gone) {
        instance_free(in);
        if (list_empty(&app->instances))
            app_free(app);
        supervisor_state_changed(sup);
    }
    if (sup->ending)
        end_if_done(sup);
}

void supervisor_app_waits_for_us(struct instance *in)
{
    if (in->capture)
        captures_app_exiting(in->capture);
}

void supervisor_client_attached(struct instance *in)
{
    if (in->capture)
        captures_attached(in->capture);
}

void supervisor_close_inspector(struct instance *in, pid_t pid, unsigned port, const char *path)
{
    closer_start(in->sup, pid, port, path, in->runtime.major);
}

void supervisor_capture_ended(struct supervisor *sup)
{
    if (sup->ending)
        end_if_done(sup);
}

void supervisor_agent_gone(struct supervisor *sup)
{
    if (sup->ending)
        end_if_done(sup);
}

void supervisor_state_written(struct supervisor *sup)
{
    if (sup->ending)
        end_if_done(sup);
}

void supervisor_peer_gone(struct supervisor *sup)
{
    if (sup->ending)
        end_if_done(sup);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void on_end_signal(uv_signal_t *handle, int signum)
{
    log_info("signal %d: stopping all apps, their state is kept", signum);
    supervisor_end(handle->data, false, NULL, NULL);
}

static void stop_all(struct supervisor *sup)
{
    struct app *app;
    struct instance *in;
    LIST_EACH(app, &sup->apps)
    {
        LIST_EACH(in, &app->instances)
        instance_event(in, EV_STOP);
    }
}

void supervisor_end(struct supervisor *sup, bool forget, struct peer *peer, const char *id)
{
    if (peer) {
        sup->end_peer = peer;
        free(sup->end_id);
        sup->end_id = xstrdup(id);
    }
    sup->forget_apps |= forget;
    if (sup->ending)
        return;
    sup->ending = true;
    notify_stopping(&sup->notify);
    state_file_store(&sup->state_file);
    stop_all(sup);
    end_if_done(sup);
}

/* Nothing is stopped, and nobody told: what is not stored with the keeper by now ends with us.  The answer is stored behind
 * the order, so that it is never there without it: asked for twice is harmless. */
void supervisor_upgrade(struct supervisor *sup)
{
    log_info("ending for an upgrade");
    state_file_flush(&sup->state_file);
    keep_upgrade(&sup->keep);
    state_file_store(&sup->state_file);
    keep_link_hold(&sup->keep, sup->home);
    _exit(0);
}

static bool apps_are_down(struct supervisor *sup)
{
    struct app *app;
    struct instance *in;
    LIST_EACH(app, &sup->apps)
    LIST_EACH(in, &app->instances)
    if (in->process || in->sweeping || !instance_at_rest(in))
        return false;
    return true;
}

static void forget_apps(struct supervisor *sup)
{
    struct app *app;
    struct instance *in;
    LIST_EACH(app, &sup->apps)
    {
        LIST_EACH(in, &app->instances)
        instance_free(in);
        app_free(app);
    }
}

static void answer_end(struct supervisor *sup)
{
    AUTOJSON json_t *answer = json_object();
    state_file_warn(&sup->state_file, answer);
    if (sup->end_peer)
        peer_result(sup->end_peer, sup->end_id, answer, -1);
    sup->end_peer = NULL;
}

/* Called whenever something that the end waits for may have happened. */
static void end_if_done(struct supervisor *sup)
{
    if (sup->closed || !apps_are_down(sup) || captures_running(&sup->captures) ||
        state_file_busy(&sup->state_file))
        return;
    if (!sup->agent.ending) {
        agent_link_end(&sup->agent);
        if (!agent_link_gone(&sup->agent))
            return;
    }
    if (!agent_link_gone(&sup->agent))
        return;
    sup->closed = true;
    if (!sup->forget_apps)
        state_file_flush(&sup->state_file);
    forget_apps(sup);
    if (sup->forget_apps)
        state_file_flush(&sup->state_file);
    keep_bye(&sup->keep);
    answer_end(sup);
    close_handles(sup);
}

static void close_handles(struct supervisor *sup)
{
    control_close(&sup->control);
    triggers_close(&sup->triggers);
    keep_link_close(&sup->keep);
    metrics_stop(&sup->metrics);
    metrics_http_close(&sup->metrics_http);
    uv_close((uv_handle_t *)&sup->keeper_timer, NULL);
    own_log_close(&sup->own_log);
    notify_close(&sup->notify);
    logs_stop(&sup->logs);
    uv_close((uv_handle_t *)&sup->on_term, NULL);
    uv_close((uv_handle_t *)&sup->on_int, NULL);
    uv_close((uv_handle_t *)&sup->agent.timer, NULL);
    uv_close((uv_handle_t *)&sup->agent.watchdog, NULL);
    runtimes_free(sup->runtimes);
    sup->runtimes = NULL;
}

void supervisor_clear(struct supervisor *sup)
{
    captures_clear(&sup->captures);
    operations_clear(&sup->operations);
    policy_clear(&sup->policy);
    state_file_clear(&sup->state_file);
    own_log_clear(&sup->own_log);
    notify_clear(&sup->notify);
    logs_clear(&sup->logs);
    metrics_clear(&sup->metrics);
    slots_close(&sup->slots);
    keep_link_clear(&sup->keep);
    free(sup->end_id);
    free(sup->home);
}
