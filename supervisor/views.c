#include "supervisor/views.h"

#include <stdio.h>
#include <unistd.h>

#include "ecosystem/spec.h"
#include "ecosystem/spec_json.h"
#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "supervisor/app.h"
#include "supervisor/gate.h"
#include "supervisor/inspector.h"
#include "supervisor/instance.h"
#include "supervisor/ipc.h"
#include "supervisor/launch.h"
#include "supervisor/policy.h"
#include "supervisor/safe_mode.h"
#include "supervisor/supervisor.h"

static json_t *view_exit(const struct exit_record *e)
{
    json_t *j = json_object();
    if (e->status.unknown)
        json_set_bool(j, "unknown", true);
    else
        json_set_int(j, e->status.by_signal ? "signal" : "code", e->status.code);
    json_set_bool(j, "core", e->status.core);
    json_set_bool(j, "asked", e->asked);
    json_set_int(j, "at_ms", e->at_ms);
    json_set_int(j, "uptime_ms", e->uptime_ms);
    return j;
}

static void set_version(json_t *j, const struct runtime_version *v)
{
    char text[32];
    if (!v->is_node)
        return;
    (void)snprintf(text, sizeof text, "%d.%d.%d", v->major, v->minor, v->patch);
    json_set_string(j, "node_version", text);
}

static const char *profiling_word(const struct instance *in)
{
    if (in->app->spec.profiling == PROFILING_OFF)
        return "off";
    if (!in->process)
        return "not running";
    if (in->flags == FLAGS_NONE)
        return "unsupported";
    return in->app->spec.profiling == PROFILING_ALWAYS ? "always" : "on-demand";
}

static void add_detail(json_t *j, struct instance *in, bool show_env)
{
    AUTOSTRLIST struct strlist env = {0};
    AUTOFREE char *error = instance_explain(in);
    enum inspector_flags flags;
    bool user_opens;
    launch_environment(in, &env, &flags, &user_opens);
    json_t *spec = app_spec_to_json(&in->app->spec);
    json_t *values = json_from_env(&env);
    json_t *own = json_object_get(spec, "env");
    const char *name;
    json_t *value;
    if (!show_env) {
        json_object_foreach(values, name, value)(void)
            json_object_set_new(values, name, json_string("***"));
        json_object_foreach(own, name, value)(void)
            json_object_set_new(own, name, json_string("***"));
    }
    json_t *ipc = ipc_view(in);
    if (ipc)
        (void)json_object_set_new(j, "ipc", ipc);
    (void)json_object_set_new(j, "spec", spec);
    (void)json_object_set_new(j, "env", values);
    json_set_string(j, "error", error);
    if (!in->logs_open)
        return;
    json_set_string(j, "out_log", in->out.path);
    json_set_string(j, "err_log", in->err.path);
}

json_t *view_instance(struct instance *in, bool detail, bool show_env)
{
    json_t *j = json_object();
    json_set_string(j, "name", in->app->spec.name);
    json_set_int(j, "instance", in->number);
    json_set_int(j, "pm_id", in->pm_id);
    json_set_int(j, "pid", instance_pid(in));
    json_set_string(j, "status", instance_state_word(in->state));
    json_set_int(j, "instances", in->app->spec.instances);
    json_set_int(j, "restart_time", in->restarts);
    json_set_int(j, "unstable_restarts", in->history.unstable);
    json_set_int(j, "created_at_ms", in->created_wall_ms);
    json_set_int(j, "started_at_ms", in->started_wall_ms);
    json_set_int(j, "uptime_ms", in->process ? instance_uptime_ms(in) : 0);
    if (in->process && in->rss_bytes == 0)
        instance_measure(in);
    (void)json_object_set_new(j, "cpu", json_real(in->process ? in->cpu_percent : 0.0));
    json_set_int(j, "memory", in->process ? (int64_t)in->rss_bytes : 0);
    json_set_string(j, "profiling", profiling_word(in));
    set_version(j, &in->runtime);
    json_set_int(
        j, "log_dropped_lines",
        in->logs_open ? logstream_dropped_lines(&in->out) + logstream_dropped_lines(&in->err) : 0);
    if (in->last_exit.set)
        (void)json_object_set_new(j, "exit", view_exit(&in->last_exit));
    if (detail)
        add_detail(j, in, show_env);
    return j;
}

/* ---- why ------------------------------------------------------------------------------------- */

json_t *view_why(struct instance *in)
{
    AUTOFREE char *error = instance_explain(in);
    AUTOJSON json_t *oldest_first = exits_to_json(&in->exits);
    json_t *j = json_object(), *exits = json_array();
    for (size_t i = json_array_size(oldest_first); i-- > 0;)
        (void)json_array_append(exits, json_array_get(oldest_first, i));
    json_set_string(j, "name", in->app->spec.name);
    json_set_int(j, "instance", in->number);
    json_set_int(j, "pm_id", in->pm_id);
    json_set_string(j, "status", instance_state_word(in->state));
    json_set_int(j, "pid", instance_pid(in));
    json_set_int(j, "uptime_ms", in->process ? instance_uptime_ms(in) : 0);
    json_set_int(j, "restart_time", in->restarts);
    json_set_string(j, "error", error);
    (void)json_object_set_new(j, "exits", exits);
    return j;
}

/* ---- for a console --------------------------------------------------------------------------- */

/* A capture that runs already is no reason here: it is over before the console has heard of its end. */
static void add_why(json_t *kinds, struct instance *in, const char *kind)
{
    char text[400] = "";
    const struct policy_ask ask = {.kind = kind, .away = true};
    if (gate_check(in, &ask, text, sizeof text) == 0) {
        const char *why = inspector_why_not(&in->inspector);
        (void)snprintf(text, sizeof text, "%s%s%s", why ? instance_name(in) : "", why ? ": " : "",
                       why ? why : "");
    }
    json_set_string(kinds, kind, text);
}

static json_t *view_process(struct instance *in)
{
    json_t *j = json_object(), *kinds = json_object();
    bool runs = in->process != NULL;
    if (runs && in->rss_bytes == 0)
        instance_measure(in);
    json_set_string(j, "app", in->app->spec.name);
    json_set_int(j, "instance", in->number);
    json_set_int(j, "pid", instance_pid(in));
    json_set_string(j, "status", instance_state_word(in->state));
    (void)json_object_set_new(j, "cpu", json_real(runs ? in->cpu_percent : 0.0));
    json_set_int(j, "memory", runs ? (int64_t)in->rss_bytes : 0);
    json_set_int(j, "uptime_ms", runs ? instance_uptime_ms(in) : 0);
    json_set_int(j, "restarts", in->restarts);
    set_version(j, &in->runtime);
    /* A console knows codes and signals only. */
    if (in->last_exit.set && !in->last_exit.status.unknown)
        (void)json_object_set_new(j, "exit", view_exit(&in->last_exit));
    add_why(kinds, in, "cpu");
    add_why(kinds, in, "heap");
    (void)json_object_set_new(j, "kinds", kinds);
    return j;
}

json_t *view_host(struct supervisor *sup)
{
    struct app *app;
    struct instance *in;
    json_t *answer = json_object(), *list = json_array();
    policy_refresh(&sup->policy);
    LIST_EACH(app, &sup->apps)
    {
        LIST_EACH(in, &app->instances)
        (void)json_array_append_new(list, view_process(in));
    }
    (void)json_object_set_new(answer, "processes", list);
    return answer;
}

/* ---- the supervisor itself ------------------------------------------------------------------- */

static json_t *view_last_end(const struct keep_link *k)
{
    char text[SAFE_MODE_END_TEXT];
    json_t *j = json_object();
    json_set_string(j, "how", safe_mode_end(k->last_status, text));
    json_set_int(j, "ago_ms", (int64_t)(uv_hrtime() / 1000000) - k->last_ended_ms);
    return j;
}

json_t *view_supervisor(struct supervisor *sup)
{
    const struct keep_link *k = &sup->keep;
    json_t *j = json_object();
    json_set_int(j, "pid", getpid());
    json_set_string(j, "version", PROCTOR_VERSION);
    json_set_int(j, "agent_pid", agent_link_pid(&sup->agent));
    json_set_string(j, "home", sup->home);
    if (k->sock < 0)
        return j;
    json_set_int(j, "keeper_pid", k->keeper_pid);
    json_set_int(j, "starts", k->starts);
    json_set_bool(j, "safe_mode", sup->safe);
    json_set_bool(j, "rolled_back", (k->flags & KEEP_ROLLED_BACK) != 0);
    if (k->last_ended_ms > 0)
        (void)json_object_set_new(j, "last_end", view_last_end(k));
    return j;
}
