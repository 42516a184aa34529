#include "supervisor/cli/jlist.h"

#include <stdio.h>

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/str.h"

/* Settings of a spec that PM2 shows under the same name. */
static const char *const same_keys[] = {
    "restart_delay",
    "max_restarts",
    "min_uptime",
    "kill_timeout",
    "max_memory_restart",
    "cron_restart",
    "cron_timezone",
    "exp_backoff_restart_delay",
    "stop_exit_codes",
    "wait_ready",
    "listen_timeout",
    "shutdown_with_message",
    "ignore_watch",
    "instance_var",
    "increment_var",
    "log_date_format",
    "log_type",
    "disable_logs",
    "uid",
    "gid",
};

static void set_copy(json_t *to, const char *key, json_t *value)
{
    if (value)
        (void)json_object_set(to, key, value);
}

/* An id that differs between starts, as PM2's does; made from what makes the start unique. */
static void set_unique_id(json_t *env, const json_t *app, const struct jlist_host *host)
{
    AUTOFREE char *text = xasprintf("%s\n%s\n%lld", host->home, json_get_string(app, "name", ""),
                                    (long long)json_get_int(app, "instance", 0));
    unsigned long long hash = 0xcbf29ce484222325ull;
    for (const char *c = text; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3ull;
    unsigned long long started = (unsigned long long)json_get_int(app, "started_at_ms", 0);
    char id[40];
    (void)snprintf(id, sizeof id, "%08llx-%04llx-8%03llx-8%03llx-%012llx", hash >> 32,
                   hash >> 16 & 0xffff, hash >> 4 & 0xfff, hash & 0xfff, started & 0xffffffffffff);
    json_set_string(env, "unique_id", id);
}

/* An end by a signal is no code 0: as in a shell, 128 and the signal's number. */
static void set_exit(json_t *env, const json_t *end)
{
    int64_t signal = json_get_int(end, "signal", 0), code = json_get_int(end, "code", -1);
    if (signal > 0)
        json_set_int(env, "exit_code", 128 + signal);
    else if (code >= 0)
        json_set_int(env, "exit_code", code);
}

static void set_state(json_t *env, const json_t *app)
{
    json_set_string(env, "status", json_get_string(app, "status", "stopped"));
    json_set_int(env, "pm_id", json_get_int(app, "pm_id", 0));
    json_set_int(env, "pm_uptime", json_get_int(app, "started_at_ms", 0));
    json_set_int(env, "created_at", json_get_int(app, "created_at_ms", 0));
    json_set_int(env, "restart_time", json_get_int(app, "restart_time", 0));
    json_set_int(env, "unstable_restarts", json_get_int(app, "unstable_restarts", 0));
    set_exit(env, json_object_get(app, "exit"));
}

static void set_list(json_t *env, const char *key, const json_t *spec, const char *spec_key)
{
    json_t *list = json_object_get(spec, spec_key);
    (void)json_object_set_new(env, key, list ? json_incref(list) : json_array());
}

static void set_spec(json_t *env, const json_t *spec)
{
    json_set_int(env, "instances", json_get_int(spec, "instances", 1));
    json_set_string(env, "pm_exec_path", json_get_string(spec, "script", ""));
    json_set_string(env, "pm_cwd", json_get_string(spec, "cwd", ""));
    const char *mode = json_get_string(spec, "exec_mode", "fork");
    json_set_string(env, "exec_mode", str_starts(mode, "cluster") ? "cluster_mode" : "fork_mode");
    /* As people write it; the whole path is in `describe`. */
    json_set_string(env, "exec_interpreter",
                    path_base(json_get_string(spec, "interpreter", "none")));
    set_list(env, "args", spec, "args");
    set_list(env, "node_args", spec, "node_args");
    json_set_bool(env, "autorestart", json_get_bool(spec, "autorestart", true));
    json_set_bool(env, "autostart", json_get_bool(spec, "autostart", true));
    json_set_bool(env, "treekill", json_get_bool(spec, "treekill", true));
    json_set_bool(env, "merge_logs", json_get_bool(spec, "merge_logs", false));
    json_set_bool(env, "pmx", !json_is_false(json_object_get(spec, "profiling")));
    json_t *watch = json_object_get(spec, "watch");
    (void)json_object_set_new(env, "watch",
                              json_array_size(watch) > 0 ? json_incref(watch) : json_false());
    for (size_t i = 0; i < ARRAY_SIZE(same_keys); i++)
        set_copy(env, same_keys[i], json_object_get(spec, same_keys[i]));
}

static void set_paths(json_t *env, const json_t *app, const struct jlist_host *host)
{
    AUTOFREE char *pid_path =
        xasprintf("%s/pids/%s-%lld.pid", host->home, json_get_string(app, "name", ""),
                  (long long)json_get_int(app, "instance", 0));
    json_set_string(env, "pm_out_log_path", json_get_string(app, "out_log", ""));
    json_set_string(env, "pm_err_log_path", json_get_string(app, "err_log", ""));
    json_set_string(env, "pm_pid_path", pid_path);
}

static json_t *actions_of(const json_t *ipc)
{
    json_t *list = json_array(), *name;
    size_t i;
    json_array_foreach(json_object_get(ipc, "actions"), i, name)
    {
        json_t *action = json_object();
        json_set_string(action, "action_name", json_string_value(name));
        json_set_string(action, "action_type", "custom");
        json_set_int(action, "arity", 1);
        (void)json_array_append_new(list, action);
    }
    return list;
}

/* What the app has told of itself.  Scripts walk over these without looking whether they are there. */
static void set_axm(json_t *env, const json_t *ipc)
{
    json_t *metrics = json_object_get(ipc, "metrics");
    (void)json_object_set_new(env, "axm_actions", actions_of(ipc));
    (void)json_object_set_new(env, "axm_monitor", metrics ? json_incref(metrics) : json_object());
    (void)json_object_set_new(env, "axm_options", json_object());
    (void)json_object_set_new(env, "axm_dynamic", json_object());
}

/* What PM2 does in apps, and we do not. */
static void set_constants(json_t *env)
{
    json_set_bool(env, "vizion", false);
    json_set_bool(env, "vizion_running", false);
    json_set_bool(env, "automation", false);
    json_set_bool(env, "km_link", false);
    json_set_bool(env, "windowsHide", true);
    json_set_int(env, "kill_retry_time", 100);
}

static json_t *pm2_env(const json_t *app, const struct jlist_host *host)
{
    json_t *env = json_object();
    const json_t *spec = json_object_get(app, "spec");
    json_t *variables = json_object_get(app, "env");
    const char *node = json_get_string(app, "node_version", NULL);
    json_set_string(env, "name", json_get_string(app, "name", ""));
    json_set_string(env, "namespace", json_get_string(spec, "namespace", "default"));
    set_state(env, app);
    set_spec(env, spec);
    set_paths(env, app, host);
    json_set_string(env, "username", host->username);
    json_set_string(env, "node_version", node && node[0] == 'v' ? node + 1 : node);
    json_set_string(env, "version", json_get_string(app, "package_version", "N/A"));
    set_unique_id(env, app, host);
    if (!json_object_get(env, "instance_var"))
        json_set_string(env, "instance_var", "NODE_APP_INSTANCE");
    json_set_int(env, "NODE_APP_INSTANCE", json_get_int(app, "instance", 0));
    set_constants(env);
    if (!json_object_get(env, "filter_env"))
        (void)json_object_set_new(env, "filter_env", json_array());
    set_axm(env, json_object_get(app, "ipc"));
    (void)json_object_set_new(env, "env",
                              json_is_object(variables) ? json_incref(variables) : json_object());
    return env;
}

static json_t *process(const json_t *app, const struct jlist_host *host)
{
    json_t *process = json_object(), *monit = json_object();
    bool online = json_get_int(app, "pid", 0) > 0;
    double cpu = online ? json_get_number(app, "cpu", 0) : 0;
    json_set_int(monit, "memory", online ? json_get_int(app, "memory", 0) : 0);
    (void)json_object_set_new(monit, "cpu", json_real((double)(int64_t)(cpu * 10 + 0.5) / 10));
    json_set_int(process, "pid", json_get_int(app, "pid", 0));
    json_set_string(process, "name", json_get_string(app, "name", ""));
    (void)json_object_set_new(process, "pm2_env", pm2_env(app, host));
    json_set_int(process, "pm_id", json_get_int(app, "pm_id", 0));
    (void)json_object_set_new(process, "monit", monit);
    return process;
}

json_t *jlist_from_apps(const json_t *apps, const struct jlist_host *host)
{
    json_t *list = json_array();
    size_t i;
    json_t *app;
    json_array_foreach((json_t *)apps, i, app)
    {
        (void)json_array_append_new(list, process(app, host));
    }
    return list;
}
