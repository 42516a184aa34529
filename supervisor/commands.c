#include "supervisor/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ecosystem/spec.h"
#include "ecosystem/spec_json.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "supervisor/agent_link.h"
#include "supervisor/app.h"
#include "supervisor/control.h"
#include "supervisor/instance.h"
#include "supervisor/instance_keep.h"
#include "supervisor/log_flush.h"
#include "supervisor/metrics.h"
#include "supervisor/metrics_view.h"
#include "supervisor/operations.h"
#include "supervisor/safe_mode.h"
#include "supervisor/send_signal.h"
#include "supervisor/supervisor.h"
#include "supervisor/targets.h"
#include "supervisor/views.h"

typedef void (*command_fn)(struct peer *peer, const char *id, json_t *params);

/* ---- ping, list, kill ------------------------------------------------------------------------ */

static void run_ping(struct peer *peer, const char *id, json_t *params)
{
    AUTOJSON json_t *answer = view_supervisor(peer->sup);
    peer_result(peer, id, answer, -1);
}

/* "targets", all when there are none.  False: answered with the reason. */
static bool read_targets(struct peer *peer, const char *id, const json_t *params,
                         struct targets *ret_targets)
{
    AUTOSTRLIST struct strlist names = {0};
    char text[TARGETS_TEXT];
    json_to_strlist(json_object_get(params, "targets"), &names);
    if (names.count == 0)
        strlist_add(&names, "all");
    int r = targets_resolve(peer->sup, &names, ret_targets, text);
    if (r < 0)
        peer_error(peer, id, r, text);
    return r == 0;
}

static void run_why(struct peer *peer, const char *id, json_t *params)
{
    AUTOTARGETS struct targets targets = {0};
    if (!read_targets(peer, id, params, &targets))
        return;
    AUTOJSON json_t *answer = json_object();
    json_t *list = json_array();
    json_set_int(answer, "version", 1);
    for (size_t i = 0; i < targets.count; i++)
        (void)json_array_append_new(list, view_why(targets.items[i]));
    (void)json_object_set_new(answer, "apps", list);
    peer_result(peer, id, answer, -1);
}

static void run_list(struct peer *peer, const char *id, json_t *params)
{
    AUTOTARGETS struct targets targets = {0};
    if (!read_targets(peer, id, params, &targets))
        return;
    bool detail = json_get_bool(params, "detail", false);
    bool show_env = json_get_bool(params, "show_env", false);
    AUTOJSON json_t *answer = json_object();
    json_t *list = json_array();
    json_set_int(answer, "version", 1);
    for (size_t i = 0; i < targets.count; i++)
        (void)json_array_append_new(list, view_instance(targets.items[i], detail, show_env));
    (void)json_object_set_new(answer, "apps", list);
    AUTOFREE char *safe_mode = safe_mode_explain(peer->sup);
    if (safe_mode)
        answer_warn(answer, safe_mode);
    state_file_warn(&peer->sup->state_file, answer);
    peer_result(peer, id, answer, -1);
}

/* Of several MB, so it goes as a file that nobody can write any more. */
static int metrics_file(struct supervisor *sup)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_METRICS_TEXT);
    AUTOCLOSE int fd = memfd_create("metrics.txt", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int r = metrics_text(sup, &text);
    if (r < 0)
        return r;
    if (fd < 0 || write(fd, text.data, text.len) != (ssize_t)text.len)
        return -errno;
    (void)lseek(fd, 0, SEEK_SET);
    (void)fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
    return TAKE_FD(fd);
}

static void answer_text(struct peer *peer, const char *id)
{
    AUTOJSON json_t *answer = json_object();
    int fd = metrics_file(peer->sup);
    if (fd < 0)
        peer_error(peer, id, fd, "the metrics cannot be written");
    else
        peer_result(peer, id, answer, fd);
}

static void run_metrics(struct peer *peer, const char *id, json_t *params)
{
    AUTOSTRLIST struct strlist names = {0};
    AUTOTARGETS struct targets targets = {0};
    char text[TARGETS_TEXT];
    int64_t points = json_get_int(params, "points", 0);
    if (json_get_bool(params, "prometheus", false)) {
        answer_text(peer, id);
        return;
    }
    json_to_strlist(json_object_get(params, "targets"), &names);
    if (names.count == 0)
        strlist_add(&names, "all");
    int r = targets_resolve(peer->sup, &names, &targets, text);
    if (r == 0 && (uint64_t)points * targets.count > LIMIT_METRIC_POINTS) {
        r = ERR_TOO_BIG;
        (void)snprintf(text, sizeof text,
                       "%zu processes with %d points each are more than one answer holds (%u)",
                       targets.count, (int)points, LIMIT_METRIC_POINTS);
    }
    if (r < 0) {
        peer_error(peer, id, r, text);
        return;
    }
    metrics_refresh(peer->sup);
    AUTOJSON json_t *answer = json_object();
    json_t *list = json_array();
    json_set_int(answer, "version", 1);
    json_set_int(answer, "step_ms", HISTORY_STEP_MS);
    for (size_t i = 0; i < targets.count; i++)
        (void)json_array_append_new(list, metrics_view(targets.items[i], points));
    (void)json_object_set_new(answer, "processes", list);
    peer_result(peer, id, answer, -1);
}

static void run_kill(struct peer *peer, const char *id, json_t *params)
{
    supervisor_end(peer->sup, true, peer, id);
}

/* The answer comes from the supervisor that follows: it has the id among those that are answered. */
static void run_upgrade(struct peer *peer, const char *id, json_t *params)
{
    struct supervisor *sup = peer->sup;
    AUTOJSON json_t *answer = json_object();
    if (operations_repeat(&sup->operations, peer, id))
        return;
    if (sup->keep.sock < 0) {
        peer_error(
            peer, id, ERR_UNSUPPORTED,
            "this supervisor was started by hand, without proctor-keeper: nobody would start the "
            "next one");
        return;
    }
    operations_answered(&sup->operations, id, answer);
    supervisor_upgrade(sup);
}

static void run_trigger(struct peer *peer, const char *id, json_t *params)
{
    AUTOSTRLIST struct strlist names = {0};
    AUTOTARGETS struct targets targets = {0};
    char text[TARGETS_TEXT];
    const struct trigger_ask ask = {
        .action = json_get_string(params, "action", ""),
        .param = json_get_string(params, "param", NULL),
        .timeout_ms = json_get_int(params, "timeout_ms", 0),
    };
    json_to_strlist(json_object_get(params, "targets"), &names);
    int r = targets_resolve(peer->sup, &names, &targets, text);
    if (r < 0)
        peer_error(peer, id, r, text);
    else
        trigger_run(&peer->sup->triggers, peer, id, &targets, &ask);
}

static void run_reopen(struct peer *peer, const char *id, json_t *params)
{
    char text[SETTINGS_TEXT];
    int r = logs_reopen(peer->sup, text);
    if (r < 0)
        peer_error(peer, id, r, text);
    else
        peer_result(peer, id, NULL, -1);
}

/* ---- start, stop, restart, delete ------------------------------------------------------------ */

/* Was the request answered already, or may nothing be changed now?  Then it is answered. */
static bool is_settled(struct peer *peer, const char *id)
{
    return operations_repeat(&peer->sup->operations, peer, id) || safe_mode_refuses(peer, id);
}

static bool runs(const struct instance *in)
{
    return in->state == INSTANCE_ONLINE || in->state == INSTANCE_LAUNCHING;
}

static void update_shell_env(struct app *app, const json_t *env)
{
    if (json_is_object(env))
        json_to_env(env, &app->shell_env);
}

/* Would update_shell_env() make another environment of it? */
static bool env_differs(const struct app *app, const json_t *env)
{
    AUTOSTRLIST struct strlist updated = {0};
    if (!json_is_object(env))
        return false;
    strlist_copy(&updated, &app->shell_env);
    json_to_env(env, &updated);
    return !strlist_equal(&updated, &app->shell_env);
}

/* What becomes of one target: a start is a restart for one that runs and gets another environment. */
static enum operation_action action_for(const struct instance *in, enum operation_action action,
                                        const json_t *env)
{
    bool again = action == ACTION_STARTED && runs(in) && env_differs(in->app, env);
    return again ? ACTION_RESTARTED : action;
}

static void change_targets(struct peer *peer, const char *id, json_t *params,
                           enum operation_action action)
{
    AUTOSTRLIST struct strlist names = {0};
    AUTOTARGETS struct targets targets = {0};
    char text[TARGETS_TEXT];
    if (is_settled(peer, id))
        return;
    json_to_strlist(json_object_get(params, "targets"), &names);
    int r = targets_resolve(peer->sup, &names, &targets, text);
    if (r < 0) {
        peer_error(peer, id, r, text);
        return;
    }
    const json_t *env = json_object_get(params, "env");
    struct operation *op = operation_new(&peer->sup->operations, peer, id);
    /* All are looked at before anything is changed: instances share the environment of their app. */
    for (size_t i = 0; i < targets.count; i++)
        operation_add(op, targets.items[i], action_for(targets.items[i], action, env));
    for (size_t i = 0; i < targets.count; i++)
        update_shell_env(targets.items[i]->app, env);
    operation_go(op);
}

static void run_start(struct peer *peer, const char *id, json_t *params)
{
    change_targets(peer, id, params, ACTION_STARTED);
}

static void run_stop(struct peer *peer, const char *id, json_t *params)
{
    change_targets(peer, id, params, ACTION_STOPPED);
}

static void run_restart(struct peer *peer, const char *id, json_t *params)
{
    change_targets(peer, id, params, ACTION_RESTARTED);
}

static void run_delete(struct peer *peer, const char *id, json_t *params)
{
    change_targets(peer, id, params, ACTION_DELETED);
}

/* ---- flush, reset, signal -------------------------------------------------------------------- */

/* One row of an answer, added to `list`; `error` NULL: it was done. */
static void add_outcome(json_t *list, const struct instance *in, const char *error)
{
    json_t *j = json_object();
    json_set_string(j, "name", in->app->spec.name);
    json_set_int(j, "instance", in->number);
    json_set_int(j, "pm_id", in->pm_id);
    json_set_string(j, "error", error);
    (void)json_array_append_new(list, j);
}

static void run_flush(struct peer *peer, const char *id, json_t *params)
{
    AUTOTARGETS struct targets targets = {0};
    AUTOJSON json_t *answer = json_object();
    char text[LOG_FLUSH_TEXT];
    if (!read_targets(peer, id, params, &targets))
        return;
    json_t *list = json_array();
    (void)json_object_set_new(answer, "instances", list);
    for (size_t i = 0; i < targets.count; i++)
        add_outcome(list, targets.items[i], log_flush(targets.items[i], text) < 0 ? text : NULL);
    bool all = json_array_size(json_object_get(params, "targets")) == 0;
    if (all && log_flush_own(peer->sup, text) < 0)
        answer_warn(answer, text);
    peer_result(peer, id, answer, -1);
}

static void run_reset(struct peer *peer, const char *id, json_t *params)
{
    AUTOTARGETS struct targets targets = {0};
    AUTOJSON json_t *answer = json_object();
    if (!read_targets(peer, id, params, &targets))
        return;
    json_t *list = json_array();
    (void)json_object_set_new(answer, "instances", list);
    for (size_t i = 0; i < targets.count; i++) {
        targets.items[i]->restarts = 0;
        instance_reset_counts(targets.items[i]);
        add_outcome(list, targets.items[i], NULL);
    }
    supervisor_state_changed(peer->sup);
    peer_result(peer, id, answer, -1);
}

static const char *signal_problem(int r)
{
    if (r == -ESRCH)
        return "it has no process";
    if (r == -EPERM)
        return "SIGUSR1 opens the inspector of a Node process to everybody on this machine; "
               "\"proctor profile\" takes profiles without that, --force sends it";
    return r < 0 ? err_str(r) : NULL;
}

/* Noted as answered when it was sent: a supervisor that dies in between has it sent again rather than never. */
static void run_signal(struct peer *peer, const char *id, json_t *params)
{
    AUTOTARGETS struct targets targets = {0};
    AUTOJSON json_t *answer = json_object();
    int sig = (int)json_get_int(params, "signal", 0);
    bool force = json_get_bool(params, "force", false);
    if (is_settled(peer, id) || !read_targets(peer, id, params, &targets))
        return;
    json_t *list = json_array();
    (void)json_object_set_new(answer, "instances", list);
    for (size_t i = 0; i < targets.count; i++)
        add_outcome(list, targets.items[i],
                    signal_problem(send_signal(targets.items[i], sig, force)));
    operations_answered(&peer->sup->operations, id, answer);
    state_file_store(&peer->sup->state_file);
    peer_result(peer, id, answer, -1);
}

/* ---- apply ----------------------------------------------------------------------------------- */

struct specs {
    struct app_spec *items;
    size_t count;
};

static void specs_clear(struct specs *specs)
{
    for (size_t i = 0; i < specs->count; i++)
        app_spec_clear(&specs->items[i]);
    free(specs->items);
}

/* All are checked before anything is done: one bad app never half-starts the others. */
static int read_specs(const json_t *array, struct specs *specs, char *text, size_t size)
{
    size_t i;
    json_t *item;
    specs->items = xcalloc(json_array_size(array), sizeof *specs->items);
    json_array_foreach(array, i, item)
    {
        int r = app_spec_from_json(item, &specs->items[i], text, size);
        specs->count = i + 1;
        if (r < 0)
            return r;
    }
    return 0;
}

static int count_instances(struct supervisor *sup, const struct specs *specs, char *text,
                           size_t size)
{
    size_t total = supervisor_instance_count(sup);
    for (size_t i = 0; i < specs->count; i++)
        total += (size_t)specs->items[i].instances;
    if (total <= LIMIT_INSTANCES)
        return 0;
    (void)snprintf(text, size, "this would make %zu instances, more than the %u a host may have",
                   total, LIMIT_INSTANCES);
    return ERR_TOO_BIG;
}

/* Declares one app; returns whether its running instances must be restarted. */
static bool declare(struct supervisor *sup, struct app_spec *spec, const json_t *env,
                    bool update_env, struct app **ret_app)
{
    AUTOSTRLIST struct strlist shell_env = {0};
    json_to_env(env, &shell_env);
    struct app *app = supervisor_app(sup, spec->name);
    bool is_new = app == NULL;
    bool changed = is_new || update_env || !app_spec_equal(&app->spec, spec);
    if (is_new)
        app = app_new(sup, spec, &shell_env);
    else if (changed)
        app_redefine(app, spec, &shell_env);
    app_scale(app);
    *ret_app = app;
    return changed;
}

static void add_app(struct operation *op, struct app *app, bool changed)
{
    struct instance *in;
    LIST_EACH(in, &app->instances)
    {
        if (in->number >= (unsigned)app->spec.instances)
            operation_add(op, in, ACTION_DELETED);
        else if (!runs(in))
            operation_add(op, in, ACTION_STARTED);
        else
            operation_add(op, in, changed ? ACTION_RESTARTED : ACTION_UNCHANGED);
    }
}

static void run_apply(struct peer *peer, const char *id, json_t *params)
{
    __attribute__((cleanup(specs_clear))) struct specs specs = {0};
    char text[600];
    struct supervisor *sup = peer->sup;
    if (is_settled(peer, id))
        return;
    int r = read_specs(json_object_get(params, "apps"), &specs, text, sizeof text);
    if (r == 0)
        r = count_instances(sup, &specs, text, sizeof text);
    if (r < 0) {
        peer_error(peer, id, r, text);
        return;
    }
    struct operation *op = operation_new(&sup->operations, peer, id);
    for (size_t i = 0; i < specs.count; i++) {
        struct app *app;
        bool changed = declare(sup, &specs.items[i], json_object_get(params, "env"),
                               json_get_bool(params, "update_env", false), &app);
        add_app(op, app, changed);
    }
    operation_go(op);
}

/* ---- scale ----------------------------------------------------------------------------------- */

/* How many `app` shall have; 0 with a sentence. */
static unsigned wanted_count(struct app *app, const json_t *params, char *text, size_t size)
{
    int64_t count =
        json_get_int(params, "instances", app->spec.instances + json_get_int(params, "by", 0));
    size_t others = supervisor_instance_count(app->sup) - list_count(&app->instances);
    if (count < 1)
        (void)snprintf(text, size,
                       "%s has %d instances, and at least one stays: \"proctor stop\" stops an "
                       "app, \"proctor delete\" forgets it",
                       app->spec.name, app->spec.instances);
    else if (count > LIMIT_INSTANCES_PER_APP || others + (size_t)count > LIMIT_INSTANCES)
        (void)snprintf(text, size,
                       "%lld instances are too many: an app may have %u, all of a host %u",
                       (long long)count, LIMIT_INSTANCES_PER_APP, LIMIT_INSTANCES);
    else
        return (unsigned)count;
    return 0;
}

/* The newest go first. */
static void scale_to(struct operation *op, struct app *app, unsigned count)
{
    struct instance *in;
    unsigned before = (unsigned)app->spec.instances;
    app->spec.instances = (int)count;
    app_scale(app);
    for (unsigned number = LIMIT_INSTANCES_PER_APP; number-- > count;) {
        in = app_instance(app, number);
        if (!in)
            continue;
        in->cause = CAUSE_SCALE;
        operation_add(op, in, ACTION_DELETED);
    }
    LIST_EACH(in, &app->instances)
    if (in->number < count)
        operation_add(op, in, in->number >= before ? ACTION_STARTED : ACTION_UNCHANGED);
}

static void run_scale(struct peer *peer, const char *id, json_t *params)
{
    char text[400];
    if (is_settled(peer, id))
        return;
    const char *name = json_get_string(params, "app", "");
    struct app *app = supervisor_app(peer->sup, name);
    if (!app) {
        const char *nearest = supervisor_nearest_app(peer->sup, name);
        (void)snprintf(text, sizeof text, "there is no app \"%.100s\"%s%s%s", name,
                       nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                       nearest ? "\"?" : "");
        peer_error(peer, id, ERR_NOT_FOUND, text);
        return;
    }
    unsigned count = wanted_count(app, params, text, sizeof text);
    if (count == 0) {
        peer_error(peer, id, ERR_INVALID, text);
        return;
    }
    struct operation *op = operation_new(&peer->sup->operations, peer, id);
    scale_to(op, app, count);
    operation_go(op);
}

/* ---- the table ------------------------------------------------------------------------------- */

static const struct command {
    const char *method;
    command_fn run;
} commands[] = {
    {"ping", run_ping},           {"app.apply", run_apply},     {"app.start", run_start},
    {"app.stop", run_stop},       {"app.restart", run_restart}, {"app.reload", run_restart},
    {"app.delete", run_delete},   {"app.list", run_list},       {"app.why", run_why},
    {"app.reset", run_reset},     {"app.signal", run_signal},   {"app.scale", run_scale},
    {"log.flush", run_flush},     {"daemon.kill", run_kill},    {"daemon.upgrade", run_upgrade},
    {"app.trigger", run_trigger}, {"log.reopen", run_reopen},   {"app.metrics", run_metrics},
};

bool command_run(struct peer *peer, const char *id, const char *method, json_t *params)
{
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        if (!str_eq(commands[i].method, method))
            continue;
        commands[i].run(peer, id, params);
        return true;
    }
    return false;
}
