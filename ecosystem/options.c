#include "ecosystem/options.h"

#include <ctype.h>
#include <string.h>

#include "ecosystem/spec.h"
#include "lib/base/auto.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"

/* A week: longer waits are a slip of units. */
enum {
    DURATION_MAX_MS = 7 * 24 * 3600 * 1000,
    RESTARTS_MAX = 1000000,
    ROTATE_MAX_MS = 24 * 24 * 3600 * 1000, /* an int has room for no more days */
    LOG_SIZE_MIN = 4096,
    LOG_KEEP_MAX = 100000
};

#define FIELD(name) offsetof(struct app_spec, name)

// clang-format off
const struct option options[] = {
    {"name", {0}, OPTION_NAME, FIELD(name), 0, 0, NULL,
     "The app's name in commands and lists; without it, the script's file name without its extension."},
    {"script", {"exec", "cmd", "command"}, OPTION_STRING, FIELD(script), 0, 0, NULL,
     "The program: a path relative to cwd, a program found in PATH, or a command line for bash."},
    {"args", {0}, OPTION_LIST, FIELD(args), 0, 0, NULL,
     "Arguments of the script."},
    {"cwd", {0}, OPTION_STRING, FIELD(cwd), 0, 0, NULL,
     "The working directory; without it, the one in which the command is given."},
    {"env", {0}, OPTION_ENV, FIELD(env), 0, 0, NULL,
     "Environment variables, over the inherited ones; env_NAME holds more, chosen with --env NAME."},
    {"instances", {0}, OPTION_INSTANCES, FIELD(instances), 0, 0, "1",
     "How many processes: a number, \"max\" or 0 for one per CPU, a negative number for so many fewer than CPUs."},
    {"interpreter", {"exec_interpreter"}, OPTION_STRING, FIELD(interpreter), 0, 0, NULL,
     "The program that runs the script, or \"none\"; without it, chosen by the script's extension."},
    {"node_args", {"interpreter_args"}, OPTION_LIST, FIELD(node_args), 0, 0, NULL,
     "Arguments of the interpreter, before the script."},
    {"autorestart", {0}, OPTION_BOOL, FIELD(autorestart), 0, 0, "true",
     "Start the app again when it exits by itself."},
    {"restart_delay", {0}, OPTION_DURATION, FIELD(restart_delay_ms), 0, DURATION_MAX_MS, "0",
     "The wait before such a restart."},
    {"max_restarts", {0}, OPTION_INT, FIELD(max_restarts), 0, RESTARTS_MAX, "16",
     "After so many exits before min_uptime the app is given up as errored."},
    {"min_uptime", {0}, OPTION_DURATION, FIELD(min_uptime_ms), 0, DURATION_MAX_MS, "1000",
     "An app that lives shorter than this counts as one that failed to start."},
    {"kill_timeout", {0}, OPTION_DURATION, FIELD(kill_timeout_ms), 0, DURATION_MAX_MS, "1600",
     "The time between the stop signal and SIGKILL."},
    {"log_max_size", {0}, OPTION_SIZE, FIELD(log_max_size), LOG_SIZE_MIN, 0, "32M",
     "A log that is larger becomes an archive; 0: not for its size."},
    {"log_rotate_every", {0}, OPTION_DURATION, FIELD(log_rotate_every_ms), 0, ROTATE_MAX_MS, "1d",
     "So does one whose first line is older, unless it is empty; 0: not for its age."},
    {"log_keep", {0}, OPTION_INT, FIELD(log_keep), 1, LOG_KEEP_MAX, "10",
     "How many archives are kept of each log; log_quota in settings.json bounds those of all apps together."},
    {"profiling", {"pmx"}, OPTION_PROFILING, FIELD(profiling), 0, 0, "on-demand",
     "Whether the app may be profiled: \"on-demand\", false, or \"always\" (inspector open from the start)."},
    {"inspector", {0}, OPTION_BOOL, FIELD(inspector), 0, 0, "false",
     "The inspector may be opened without anybody asking, for rules and before a shutdown."},
    {"env_inherit", {0}, OPTION_BOOL, FIELD(env_inherit), 0, 0, "true",
     "Start with the environment of the shell that declares the app; false gives a small base instead."},
};

static const struct ignored_key ignored_keys[] = {
    /* Not supported yet.  Ours first. */
    {"restart", NULL, false}, {"handover", "false", false}, {"env_file", NULL, false}, {"ready", NULL, false},
    {"namespace", "default", false}, {"exec_mode", "fork", false}, {"execute_command", "true", false},
    {"force", "false", false}, {"append_env_to_name", "false", false}, {"filter_env", "false", false},
    {"instance_var", "NODE_APP_INSTANCE", false}, {"increment_var", NULL, false}, {"port", NULL, false},
    {"out_file", NULL, false}, {"out", NULL, false}, {"output", NULL, false}, {"out_log", NULL, false},
    {"error_file", NULL, false}, {"error", NULL, false}, {"err", NULL, false}, {"err_file", NULL, false},
    {"err_log", NULL, false}, {"log_file", "false", false}, {"log", "false", false},
    {"pid_file", NULL, false}, {"pid", NULL, false}, {"merge_logs", NULL, false}, {"combine_logs", NULL, false},
    {"disable_logs", "false", false}, {"log_type", NULL, false}, {"log_date_format", "", false},
    {"time", "false", false}, {"autostart", "true", false}, {"stop_exit_codes", NULL, false},
    {"exp_backoff_restart_delay", "0", false}, {"max_memory_restart", NULL, false},
    {"cron_restart", "0", false}, {"cron", "0", false}, {"watch", "false", false}, {"ignore_watch", NULL, false},
    {"watch_delay", NULL, false}, {"wait_ready", "false", false}, {"listen_timeout", NULL, false},
    {"kill_signal", "SIGINT", false}, {"shutdown_with_message", "false", false}, {"treekill", NULL, false},
    {"uid", NULL, false}, {"user", NULL, false}, {"gid", NULL, false},
    {"source_map_support", "false", false}, {"disable_source_map_support", "true", false},
    /* Of PM2 alone. */
    {"name_prefix", NULL, true}, {"watch_options", NULL, true}, {"kill_retry_time", NULL, true},
    {"username", NULL, true}, {"windowsHide", "true", true}, {"vizion", "false", true},
    {"automation", "false", true}, {"trace", "false", true}, {"disable_trace", "true", true},
    {"v8", "false", true}, {"event_loop_inspector", "false", true}, {"deep_monitoring", "false", true},
    {"io", NULL, true}, {"install_url", NULL, true}, {"post_update", NULL, true}, {"exec_timeout", NULL, true},
    {"write", "false", true},
};
// clang-format on

const size_t option_count = ARRAY_SIZE(options);

const char *option_type_text(enum option_type type)
{
    switch (type) {
    case OPTION_NAME:
    case OPTION_STRING:
        return "a string";
    case OPTION_LIST:
        return "a list of strings or one string";
    case OPTION_BOOL:
        return "true or false";
    case OPTION_INT:
        return "a whole number";
    case OPTION_DURATION:
        return "milliseconds or a time such as \"500ms\", \"5s\" or \"2m\"";
    case OPTION_SIZE:
        return "bytes or a size such as \"512K\", \"32M\" or \"1G\"";
    case OPTION_INSTANCES:
        return "a number or \"max\"";
    case OPTION_ENV:
        return "an object of names and values";
    case OPTION_PROFILING:
        return "\"on-demand\", false or \"always\"";
    }
    return "";
}

/* Is `name` the camelCase twin of `key`: killTimeout of kill_timeout? */
static bool is_twin(const char *name, const char *key)
{
    for (; *key; key++, name++) {
        bool hump = *key == '_' && key[1];
        if (hump)
            key++;
        if (*name != (hump ? toupper((unsigned char)*key) : *key))
            return false;
    }
    return *name == '\0';
}

const struct option *option_find(const char *name, unsigned *ret_rank)
{
    for (const struct option *o = options; o < options + option_count; o++) {
        const char *key = o->key;
        for (unsigned i = 0; key; i++) {
            bool same = str_eq(name, key);
            if (same || is_twin(name, key)) {
                if (ret_rank)
                    *ret_rank = i * 2 + !same;
                return o;
            }
            key = i < OPTION_ALIASES ? o->aliases[i] : NULL;
        }
    }
    return NULL;
}

const struct ignored_key *ignored_key_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(ignored_keys); i++)
        if (str_eq(name, ignored_keys[i].key) || is_twin(name, ignored_keys[i].key))
            return &ignored_keys[i];
    return NULL;
}

const char *option_nearest(const char *name)
{
    const char *names[ARRAY_SIZE(options) * (1 + OPTION_ALIASES) + ARRAY_SIZE(ignored_keys)];
    size_t count = 0;
    for (const struct option *o = options; o < options + option_count; o++) {
        names[count++] = o->key;
        for (size_t i = 0; i < OPTION_ALIASES && o->aliases[i]; i++)
            names[count++] = o->aliases[i];
    }
    for (size_t i = 0; i < ARRAY_SIZE(ignored_keys); i++)
        names[count++] = ignored_keys[i].key;
    return str_nearest(name, names, count);
}
