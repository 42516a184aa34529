#include "ecosystem/options.h"

#include <ctype.h>
#include <stdio.h>
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
    MEMORY_MIN = 1 << 20, /* less is a number of megabytes without its unit */
    LOG_KEEP_MAX = 100000
};

#define FIELD(name) offsetof(struct app_spec, name)

static const char *const exec_modes[] = {"fork fork_mode", "cluster cluster_mode", "auto", NULL};
static const char *const app_types[] = {"service", "job", NULL};
static const char *const restarts[] = {"always", "on-failure", "never", NULL};
static const char *const overlaps[] = {"restart", "skip", NULL};
static const char *const log_types[] = {"raw", "json", NULL};

// clang-format off
const struct option options[] = {
    {"name", {0}, OPTION_NAME, FIELD(name), 0, 0, NULL, true, NULL,
     "The app's name in commands and lists; without it, the script's file name without its extension."},
    {"namespace", {0}, OPTION_NAME, FIELD(namespace), 0, 0, NULL, false, "default",
     "A label of apps that belong together."},
    {"type", {0}, OPTION_WORD, FIELD(type), 0, 0, app_types, false, "service",
     "A service runs until it is stopped; a job comes to its end by itself, and is not started again for that."},
    {"script", {"exec", "cmd", "command"}, OPTION_STRING, FIELD(script), 0, 0, NULL, true, NULL,
     "The program: a path relative to cwd, a program found in PATH, or a command line for bash."},
    {"args", {0}, OPTION_LIST, FIELD(args), 0, 0, NULL, true, NULL,
     "Arguments of the script."},
    {"cwd", {0}, OPTION_STRING, FIELD(cwd), 0, 0, NULL, true, NULL,
     "The working directory; without it, the one in which the command is given."},
    {"interpreter", {"exec_interpreter"}, OPTION_STRING, FIELD(interpreter), 0, 0, NULL, true, NULL,
     "The program that runs the script, or \"none\"; without it, chosen by the script's extension."},
    {"node_args", {"interpreter_args"}, OPTION_LIST, FIELD(node_args), 0, 0, NULL, true, NULL,
     "Arguments of the interpreter, before the script."},
    {"source_map_support", {0}, OPTION_BOOL, FIELD(source_map_support), 0, 0, NULL, true, "false",
     "Stack traces of Node name the files that were compiled: it gets --enable-source-maps."},
    {"force", {0}, OPTION_BOOL, FIELD(force), 0, 0, NULL, false, "false",
     "Start a script although an app of another name runs it already."},
    {"uid", {"user"}, OPTION_USER, FIELD(uid), 0, 0, NULL, false, NULL,
     "The user to run as, by name or number; only root can choose another."},
    {"gid", {0}, OPTION_USER, FIELD(gid), 0, 0, NULL, false, NULL,
     "The group to run as; without it, the user's own groups."},
    {"depends_on", {0}, OPTION_NAMES, FIELD(depends_on), 0, 0, NULL, false, NULL,
     "Apps that must be ready before this one starts."},

    {"instances", {0}, OPTION_INSTANCES, FIELD(instances), 0, 0, NULL, true, "1",
     "How many processes: a number, \"max\" or 0 for one per CPU, a negative number for so many fewer than CPUs."},
    {"exec_mode", {0}, OPTION_WORD, FIELD(exec_mode), 0, 0, exec_modes, false, "auto",
     "Whether instances of a Node app share their ports; auto: they do when instances is given."},
    {"handover", {0}, OPTION_BOOL, FIELD(handover), 0, 0, NULL, false, "false",
     "Run a Node app in fork mode as a cluster of one, so that a reload hands its ports over."},
    {"instance_var", {0}, OPTION_VARIABLE, FIELD(instance_var), 0, 0, NULL, false, "NODE_APP_INSTANCE",
     "The environment variable that holds the number of the instance."},
    {"increment_var", {0}, OPTION_VARIABLE, FIELD(increment_var), 0, 0, NULL, false, NULL,
     "An environment variable that is larger by one in each further instance."},

    {"env", {0}, OPTION_ENV, FIELD(env), 0, 0, NULL, true, NULL,
     "Environment variables, over the inherited ones; env_NAME holds more, chosen with --env NAME."},
    {"env_file", {0}, OPTION_FILES, FIELD(env_file), 0, 0, NULL, true, NULL,
     "Files of variables, as of node --env-file; env counts more, and a later file more than an earlier one."},
    {"env_inherit", {0}, OPTION_BOOL, FIELD(env_inherit), 0, 0, NULL, true, "true",
     "Start with the environment of the shell that declares the app; false gives a small base instead."},
    {"filter_env", {0}, OPTION_ENV_FILTER, FIELD(filter_env), 0, 0, NULL, false, NULL,
     "Inherited variables to leave out: true for all, a list for those whose names contain one of these texts, a string for that one."},
    {"port", {0}, OPTION_INT, FIELD(port), 0, 65535, NULL, true, "0",
     "Sets the variable PORT, unless env does; 0: no."},
    {"append_env_to_name", {0}, OPTION_BOOL, FIELD(append_env_to_name), 0, 0, NULL, true, "false",
     "With --env NAME the app is called name-NAME."},

    {"autostart", {0}, OPTION_BOOL, FIELD(autostart), 0, 0, NULL, false, "true",
     "Start it when it is declared; false: it waits, stopped, for a start."},
    {"autorestart", {0}, OPTION_BOOL, FIELD(autorestart), 0, 0, NULL, true, "true",
     "Start the app again when it exits by itself; false is the same as \"restart\": \"never\"."},
    {"restart", {0}, OPTION_WORD, FIELD(restart), 0, 0, restarts, false, "always",
     "When it is started again: after every exit, after one with an error, or never."},
    {"stop_exit_codes", {0}, OPTION_EXIT_CODES, FIELD(stop_exit_codes), 0, 0, NULL, false, NULL,
     "Exit codes and signals after which it is not started again."},
    {"restart_delay", {0}, OPTION_DURATION, FIELD(restart_delay_ms), 0, DURATION_MAX_MS, NULL, true, "0",
     "The wait before such a restart."},
    {"exp_backoff_restart_delay", {0}, OPTION_DURATION, FIELD(exp_backoff_restart_delay_ms), 0, DURATION_MAX_MS, NULL, false, "0",
     "The first such wait; each one after it is half as long again, up to 15 seconds."},
    {"max_restarts", {0}, OPTION_INT, FIELD(max_restarts), 0, RESTARTS_MAX, NULL, true, "16",
     "After so many exits before min_uptime the app is given up as errored."},
    {"min_uptime", {0}, OPTION_DURATION, FIELD(min_uptime_ms), 0, DURATION_MAX_MS, NULL, true, "1000",
     "An app that lives shorter than this counts as one that failed to start."},
    {"max_memory_restart", {0}, OPTION_SIZE, FIELD(max_memory_restart), MEMORY_MIN, 0, NULL, false, "0",
     "It is restarted when it and its children use more memory than this; 0: no limit."},
    {"cron_restart", {"cron"}, OPTION_CRON, FIELD(cron_restart), 0, 0, NULL, false, NULL,
     "Times at which it is restarted, or started."},
    {"cron_timezone", {0}, OPTION_ZONE, FIELD(cron_timezone), 0, 0, NULL, false, NULL,
     "The time zone of cron_restart; without it, that of the host."},
    {"cron_overlap", {0}, OPTION_WORD, FIELD(cron_overlap), 0, 0, overlaps, false, "restart",
     "What happens at such a time to one that still runs; of a job the default is skip."},

    {"wait_ready", {0}, OPTION_BOOL, FIELD(wait_ready), 0, 0, NULL, false, "false",
     "It counts as online when it says so by process.send('ready')."},
    {"listen_timeout", {0}, OPTION_DURATION, FIELD(listen_timeout_ms), 0, DURATION_MAX_MS, NULL, false, "3000",
     "How long a start or a reload waits for that, or for the first port; then it has failed."},
    {"kill_signal", {0}, OPTION_SIGNAL, FIELD(kill_signal), 0, 0, NULL, false, "SIGINT",
     "The signal that asks it to stop."},
    {"kill_timeout", {0}, OPTION_DURATION, FIELD(kill_timeout_ms), 0, DURATION_MAX_MS, NULL, true, "1600",
     "The time between the stop signal and SIGKILL."},
    {"shutdown_with_message", {0}, OPTION_BOOL, FIELD(shutdown_with_message), 0, 0, NULL, false, "false",
     "A Node app is asked to stop by the message 'shutdown' instead of the signal."},
    {"treekill", {0}, OPTION_BOOL, FIELD(treekill), 0, 0, NULL, false, "true",
     "A stop reaches all processes that it has started; false: only the first."},

    {"watch", {0}, OPTION_WATCH, FIELD(watch), 0, 0, NULL, false, NULL,
     "Files and folders whose changes restart it; true: its cwd."},
    {"ignore_watch", {0}, OPTION_LIST, FIELD(ignore_watch), 0, 0, NULL, false, ".* node_modules",
     "What is left out of watch; a list replaces the default, which is hidden files and node_modules."},
    {"watch_delay", {0}, OPTION_DURATION, FIELD(watch_delay_ms), 0, DURATION_MAX_MS, NULL, false, "0",
     "The wait between a change and the restart."},

    {"out_file", {"out", "output", "out_log"}, OPTION_PATH, FIELD(out_file), 0, 0, NULL, false, NULL,
     "The file of standard output, relative to cwd; /dev/null or NULL: none."},
    {"error_file", {"error", "err", "err_file", "err_log"}, OPTION_PATH, FIELD(error_file), 0, 0, NULL, false, NULL,
     "The file of standard error; the same."},
    {"log_file", {"log"}, OPTION_LOG_FILE, FIELD(log_file), 0, 0, NULL, false, NULL,
     "A file of both together; true: in the usual place."},
    {"merge_logs", {"combine_logs"}, OPTION_BOOL, FIELD(merge_logs), 0, 0, NULL, false, "false",
     "All instances write to the same files, whose names are without the number of the instance."},
    {"disable_logs", {0}, OPTION_BOOL, FIELD(disable_logs), 0, 0, NULL, false, "false",
     "What it prints is dropped."},
    {"log_type", {0}, OPTION_WORD, FIELD(log_type), 0, 0, log_types, false, "raw",
     "Whether log files hold the lines as they are or a JSON object for each."},
    {"log_date_format", {0}, OPTION_TEXT, FIELD(log_date_format), 0, 0, NULL, false, NULL,
     "The form of the time before each line, as of day.js: YYYY-MM-DD HH:mm:ss."},
    {"time", {0}, OPTION_BOOL, FIELD(time), 0, 0, NULL, false, "false",
     "The same as log_date_format YYYY-MM-DDTHH:mm:ss."},
    {"log_max_size", {0}, OPTION_SIZE, FIELD(log_max_size), LOG_SIZE_MIN, 0, NULL, true, "32M",
     "A log that is larger becomes an archive; 0: not for its size."},
    {"log_rotate_every", {0}, OPTION_DURATION, FIELD(log_rotate_every_ms), 0, ROTATE_MAX_MS, NULL, true, "1d",
     "So does one whose first line is older, unless it is empty; 0: not for its age."},
    {"log_keep", {0}, OPTION_INT, FIELD(log_keep), 1, LOG_KEEP_MAX, NULL, true, "10",
     "How many archives are kept of each log; log_quota in settings.json bounds those of all apps together."},
    {"pid_file", {"pid"}, OPTION_PATH, FIELD(pid_file), 0, 0, NULL, false, NULL,
     "A file that holds its process id while it runs."},

    {"profiling", {"pmx"}, OPTION_PROFILING, FIELD(profiling), 0, 0, NULL, true, "on-demand",
     "Whether the app may be profiled: \"on-demand\", false, or \"always\" (inspector open from the start)."},
    {"inspector", {0}, OPTION_BOOL, FIELD(inspector), 0, 0, NULL, true, "false",
     "The inspector may be opened without anybody asking, for rules and before a shutdown."},
};

static const struct ignored_key ignored_keys[] = {
    /* Not supported yet. */
    {"ready", NULL, false}, {"execute_command", "true", false}, {"disable_source_map_support", "true", false},
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

struct kind {
    enum option_storage storage;
    const char *expected;
};

// clang-format off
static const struct kind kinds[] = {
    [OPTION_NAME] = {STORE_STRING, "a string"},
    [OPTION_STRING] = {STORE_STRING, "a string"},
    [OPTION_TEXT] = {STORE_STRING, "a string"},
    [OPTION_PATH] = {STORE_STRING, "the path of a file"},
    [OPTION_LOG_FILE] = {STORE_STRING, "the path of a file, true or false"},
    [OPTION_VARIABLE] = {STORE_STRING, "the name of a variable"},
    [OPTION_USER] = {STORE_STRING, "a name or a number"},
    [OPTION_CRON] = {STORE_STRING, "times such as \"0 3 * * *\" or \"@daily\""},
    [OPTION_ZONE] = {STORE_STRING, "a time zone such as \"Europe/Berlin\" or \"UTC\""},
    [OPTION_LIST] = {STORE_LIST, "a list of strings or one string"},
    [OPTION_FILES] = {STORE_LIST, "the path of a file, or a list of them"},
    [OPTION_NAMES] = {STORE_LIST, "a list of names of apps, or one name"},
    [OPTION_WATCH] = {STORE_LIST, "true, false or a list of paths"},
    [OPTION_EXIT_CODES] = {STORE_LIST, "exit codes from 0 to 255 and names of signals"},
    [OPTION_ENV_FILTER] = {STORE_LIST, "true, false, a string or a list of strings"},
    [OPTION_ENV] = {STORE_LIST, "an object of names and values"},
    [OPTION_BOOL] = {STORE_BOOL, "true or false"},
    [OPTION_INT] = {STORE_INT, "a whole number"},
    [OPTION_DURATION] = {STORE_INT, "milliseconds or a time such as \"500ms\", \"5s\" or \"2m\""},
    [OPTION_INSTANCES] = {STORE_INT, "a number or \"max\""},
    [OPTION_SIGNAL] = {STORE_INT, "a signal such as \"SIGTERM\" or 15"},
    [OPTION_WORD] = {STORE_INT, NULL},
    [OPTION_PROFILING] = {STORE_INT, "\"on-demand\", false or \"always\""},
    [OPTION_SIZE] = {STORE_SIZE, "bytes or a size such as \"512K\", \"32M\" or \"1G\""},
};
// clang-format on

enum option_storage option_storage(enum option_type type)
{
    return kinds[type].storage;
}

const char *option_word(const struct option *o, int number, char space[static OPTION_EXPECTED_TEXT])
{
    const char *word = o->words[number];
    (void)snprintf(space, OPTION_EXPECTED_TEXT, "%.*s", (int)strcspn(word, " "), word);
    return space;
}

/* Is `text` one of the words in `words`, which are separated by blanks? */
static bool among(const char *text, const char *words)
{
    for (size_t len; *words; words += len + (words[len] == ' ')) {
        len = strcspn(words, " ");
        if (strlen(text) == len && memcmp(text, words, len) == 0)
            return true;
    }
    return false;
}

int option_word_find(const struct option *o, const char *text)
{
    for (int i = 0; o->words[i]; i++)
        if (among(text, o->words[i]))
            return i;
    return -1;
}

const char *option_expected(const struct option *o, char space[static OPTION_EXPECTED_TEXT])
{
    char word[OPTION_EXPECTED_TEXT];
    size_t len = 0;
    if (o->type != OPTION_WORD)
        return kinds[o->type].expected;
    for (int i = 0; o->words[i] && len < OPTION_EXPECTED_TEXT; i++) {
        const char *between = i == 0 ? "" : o->words[i + 1] ? ", " : " or ";
        len += (size_t)snprintf(space + len, OPTION_EXPECTED_TEXT - len, "%s\"%s\"", between,
                                option_word(o, i, word));
    }
    return space;
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
