#include "supervisor/cli/pm2_dump.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ecosystem/options.h"
#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

/* Settings of the same name, and the value that says nothing (as JSON; NULL: none). */
static const struct {
    const char *key;
    const char *plain;
} same[] = {
    {"autorestart", "true"},
    {"max_memory_restart", NULL},
    {"cron_restart", NULL},
    {"restart_delay", "0"},
    {"exp_backoff_restart_delay", "0"},
    {"max_restarts", NULL},
    {"min_uptime", NULL},
    {"kill_timeout", NULL},
    {"listen_timeout", NULL},
    {"wait_ready", "false"},
    {"stop_exit_codes", NULL},
    {"shutdown_with_message", "false"},
    {"treekill", "true"},
    {"watch", "false"},
    {"ignore_watch", NULL},
    {"watch_delay", NULL},
    {"instance_var", "\"NODE_APP_INSTANCE\""},
    {"increment_var", NULL},
    {"log_date_format", NULL},
    {"uid", NULL},
    {"gid", NULL},
};

/* ---- settings -------------------------------------------------------------------------------- */

/* Takes the value. */
static void set(json_t *app, const char *key, json_t *value, struct strlist *notes)
{
    AUTOJSON json_t *owned = value;
    AUTOFREE char *text = json_dumps(owned, JSON_ENCODE_ANY);
    if (option_find(key, NULL))
        (void)json_object_set(app, key, owned);
    else
        strlist_addf(notes, "%s: \"%s\": %s is not supported, it was left out",
                     json_get_string(app, "name", "?"), key, text ? text : "?");
}

static bool says_nothing(const json_t *value, const char *plain)
{
    AUTOFREE char *text = json_dumps(value, JSON_ENCODE_ANY);
    return json_is_null(value) || str_eq(text, plain) || str_eq(text, "\"\"") || str_eq(text, "[]");
}

static void set_same(json_t *app, const json_t *entry, struct strlist *notes)
{
    for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
        json_t *value = json_object_get(entry, same[i].key);
        if (value && !says_nothing(value, same[i].plain))
            set(app, same[i].key, json_incref(value), notes);
    }
}

static void set_command(json_t *app, const json_t *entry)
{
    static const struct {
        const char *from, *to;
    } names[] = {{"pm_exec_path", "script"},
                 {"pm_cwd", "cwd"},
                 {"args", "args"},
                 {"node_args", "node_args"},
                 {"exec_interpreter", "interpreter"}};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        json_t *value = json_object_get(entry, names[i].from);
        if (value && !says_nothing(value, NULL))
            (void)json_object_set(app, names[i].to, value);
    }
}

/* ---- environment ----------------------------------------------------------------------------- */

static bool is_of_terminal_or_pm2(const char *name)
{
    static const char *const prefixes[] = {"PM2_", "axm_",        "SSH_",
                                           "XDG_", "LC_TERMINAL", "BASH_FUNC"};
    static const char *const names[] = {"_",
                                        "SHLVL",
                                        "PWD",
                                        "OLDPWD",
                                        "TERM",
                                        "DISPLAY",
                                        "LS_COLORS",
                                        "PS1",
                                        "HISTFILE",
                                        "COLORTERM",
                                        "COLUMNS",
                                        "LINES",
                                        "pm_id",
                                        "unique_id",
                                        "status",
                                        "pm_cwd",
                                        "pm_uptime",
                                        "PROCTOR_HOME",
                                        "NODE_APP_INSTANCE",
                                        "NODE_CHANNEL_FD",
                                        "exec_mode"};
    for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
        if (str_starts(name, prefixes[i]))
            return true;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

static void set_env(json_t *app, const json_t *entry, const struct strlist *shell_env)
{
    json_t *env = json_object(), *value;
    const char *name;
    json_object_foreach(json_object_get(entry, "env"), name, value)
    {
        if (json_is_object(value) || json_is_array(value) || json_is_null(value) ||
            is_of_terminal_or_pm2(name) || strchr(name, '='))
            continue;
        AUTOFREE char *text = json_is_string(value) ? xstrdup(json_string_value(value))
                                                    : json_dumps(value, JSON_ENCODE_ANY);
        /* PM2 puts a variable of the app's name there. */
        bool is_mark = str_eq(name, json_get_string(app, "name", "")) && str_eq(text, "{}");
        if (text && !is_mark && !str_eq(env_get(shell_env, name), text))
            json_set_string(env, name, text);
    }
    if (json_object_size(env) > 0)
        (void)json_object_set(app, "env", env);
    json_decref(env);
}

/* ---- apps ------------------------------------------------------------------------------------ */

static json_t *find_app(const json_t *apps, const char *name)
{
    size_t i;
    json_t *app;
    json_array_foreach((json_t *)apps, i, app)
    {
        if (str_eq(json_get_string(app, "name", ""), name))
            return app;
    }
    return NULL;
}

static json_t *new_app(const json_t *entry, const struct strlist *shell_env, struct strlist *notes)
{
    const char *space = json_get_string(entry, "namespace", "default");
    const char *mode = json_get_string(entry, "exec_mode", "fork_mode");
    json_t *app = json_object();
    json_set_string(app, "name", json_get_string(entry, "name", "app"));
    set_command(app, entry);
    json_set_int(app, "instances", 0);
    if (str_starts(mode, "cluster"))
        set(app, "exec_mode", json_string("cluster"), notes);
    if (!str_eq(space, "default"))
        set(app, "namespace", json_string(space), notes);
    set_same(app, entry, notes);
    set_env(app, entry, shell_env);
    return app;
}

static bool is_stopped(const json_t *entry)
{
    const char *status = json_get_string(entry, "status", "online");
    return str_eq(status, "stopped") || str_eq(status, "errored");
}

json_t *pm2_dump_convert(const json_t *dump, const struct strlist *shell_env, struct strlist *notes)
{
    size_t i;
    json_t *entry;
    if (!json_is_array(dump))
        return NULL;
    json_t *root = json_object(), *apps = json_array();
    (void)json_object_set_new(root, "apps", apps);
    json_array_foreach((json_t *)dump, i, entry)
    {
        const char *name = json_get_string(entry, "name", "");
        if (!json_get_string(entry, "pm_exec_path", NULL) || !*name) {
            strlist_addf(notes, "entry %zu has no name or no script, it was left out", i);
            continue;
        }
        bool may_rest = option_find("autostart", NULL) != NULL;
        if (is_stopped(entry) && !may_rest) {
            strlist_addf(notes, "%s was not running under PM2, it was left out", name);
            continue;
        }
        json_t *app = find_app(apps, name);
        if (!app) {
            app = new_app(entry, shell_env, notes);
            (void)json_array_append_new(apps, app);
            if (is_stopped(entry))
                json_set_bool(app, "autostart", false);
        }
        json_set_int(app, "instances", json_get_int(app, "instances", 0) + 1);
    }
    return root;
}
