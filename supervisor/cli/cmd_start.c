#include "supervisor/cli/cmd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ecosystem/ecosystem.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/path.h"
#include "lib/base/str.h"
#include "supervisor/cli/app_file.h"
#include "supervisor/cli/app_request.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/daemon.h"
#include "supervisor/cli/say.h"

// clang-format off
static const struct arg_option options[] = {
    {"name", 0, "NAME", "the app's name; otherwise the script's, without its extension"},
    {"instances", 'i', "N", "how many processes: a number, max (one per CPU), -1 (one less)"},
    {"interpreter", 0, "PATH", "the program that runs the script, or none"},
    {"node-args", 0, "ARGS", "arguments of the interpreter, before the script"},
    {"cwd", 0, "DIR", "the working directory; otherwise this one"},
    {"no-autorestart", 0, NULL, "do not start it again when it exits"},
    {"restart-delay", 0, "TIME", "wait before such a restart (500ms, 2s)"},
    {"max-restarts", 0, "N", "give up after so many quick exits (16)"},
    {"min-uptime", 0, "TIME", "an exit before that counts as quick (1s)"},
    {"kill-timeout", 0, "TIME", "from the stop signal to SIGKILL (1600ms)"},
    {"no-profiling", 0, NULL, "the app is never profiled"},
    {"env", 0, "NAME", "of a file: merge env_NAME over env"},
    {"update-env", 'a', NULL, "take this shell's environment, restart a known app for it"},
    {NULL, 0, NULL, NULL},
};
// clang-format on

struct start {
    const struct args *args;
    struct client client;
    bool connected;       /* false: no supervisor runs (yet) */
    json_t *apps;         /* specs to apply */
    struct strlist names; /* known apps to start */
    bool has_script;
    struct app_outcome outcome;
};

/* A bare name that is no file may be an app of the supervisor that ran here before: only a
 * supervisor can tell, and it starts those that shall run. */
static bool may_be_remembered(const char *operand)
{
    AUTOFREE char *home = path_home();
    AUTOFREE char *state = path_join(home, "state.json");
    return !strchr(operand, '/') && access(operand, F_OK) < 0 && access(state, F_OK) == 0;
}

static int connect_or_start(struct start *s)
{
    int code = s->connected ? CMD_DONE : daemon_connect(&s->client);
    s->connected = code == CMD_DONE;
    return code;
}

/* Looks an app up; ERR_STOPPING and -ETIMEDOUT with their sentence in `ret_answer`. */
static int look_up(struct start *s, const char *name, struct msg *ret_answer)
{
    AUTOSTRLIST struct strlist targets = {0};
    strlist_add(&targets, name);
    return connect_ask(&s->client, "app.list", app_request_targets(&targets), ret_answer);
}

/* Returns a bool, or an error with the sentence said. */
static int is_known(struct start *s, const char *name)
{
    if (!s->connected)
        return false;
    AUTOMSG struct msg answer = {0};
    int r = look_up(s, name, &answer);
    if (r == ERR_STOPPING) {
        s->connected = daemon_replace(&s->client) == CMD_DONE;
        if (!s->connected)
            return r;
        msg_clear(&answer);
        r = look_up(s, name, &answer);
    }
    if (r == -ETIMEDOUT || r == ERR_STOPPING) {
        say_error("cannot start: %s", say_reason(r, &answer));
        return r;
    }
    return r == 0 && json_array_size(json_object_get(answer.result, "apps")) > 0;
}

/* What describes a script cannot be said of a file or of a known app. */
static int check_no_script(const struct start *s, const char *operand, const char *what)
{
    const char *option = app_file_script_option(s->args);
    if (option)
        return say_usage("start", "option '--%s' is for a script, and '%s' is %s", option, operand,
                         what);
    if (s->args->operand_count > s->args->plain_count)
        return say_usage("start", "arguments after '--' are for a script, and '%s' is %s", operand,
                         what);
    return CMD_DONE;
}

static int take_file(struct start *s, const char *operand)
{
    int code = check_no_script(s, operand, "a file of apps");
    return code == CMD_DONE ? app_file_load(operand, args_value(s->args, "env"), s->apps) : code;
}

static int take_name(struct start *s, const char *operand)
{
    int code = check_no_script(s, operand, "an app that is known");
    if (code == CMD_DONE)
        strlist_add(&s->names, operand);
    return code;
}

static int take_script(struct start *s, const char *operand)
{
    if (s->has_script && args_has(s->args, "name"))
        return say_usage("start", "'--name' can name only one script");
    if (ecosystem_is_file_name(operand) && access(operand, F_OK) < 0) {
        say_error("there is no file %s", operand);
        return CMD_FAILED;
    }
    s->has_script = true;
    return app_file_script(operand, s->args, s->apps);
}

/* Sorts an operand into what is applied and what is merely started. */
static int take_operand(struct start *s, const char *operand)
{
    if (app_file_is(operand))
        return take_file(s, operand);
    if (!s->connected && may_be_remembered(operand)) {
        int code = connect_or_start(s);
        if (code != CMD_DONE)
            return code;
    }
    int known = is_known(s, operand);
    if (known < 0)
        return CMD_FAILED;
    return known ? take_name(s, operand) : take_script(s, operand);
}

static int apply(struct start *s)
{
    json_t *params = json_object();
    (void)json_object_set(params, "apps", s->apps);
    app_request_add_env(params);
    if (args_has(s->args, "update-env"))
        json_set_bool(params, "update_env", true);
    return app_request(&s->client, "app.apply", params, &s->outcome);
}

static int start_known(struct start *s)
{
    json_t *params = app_request_targets(&s->names);
    if (args_has(s->args, "update-env"))
        app_request_add_env(params);
    return app_request(&s->client, "app.start", params, &s->outcome);
}

static int run_steps(struct start *s)
{
    /* What goes wrong here shows again below. */
    s->connected = connect_try(&s->client) == 0;
    for (size_t i = 0; i < s->args->plain_count; i++) {
        int code = take_operand(s, s->args->operands[i]);
        if (code != CMD_DONE)
            return code;
    }
    int code = connect_or_start(s);
    if (code == CMD_DONE && json_array_size(s->apps) > 0)
        code = apply(s);
    if (s->names.count == 0 || code == CMD_NOT_RUNNING)
        return code;
    int started = start_known(s);
    return code != CMD_DONE ? code : started;
}

static bool names_a_file(const struct args *args)
{
    for (size_t i = 0; i < args->plain_count; i++)
        if (app_file_is(args->operands[i]))
            return true;
    return false;
}

static int run(const struct args *args)
{
    if (args->plain_count == 0)
        return say_usage("start", "what is missing: a file, a script or a name");
    if (args_has(args, "env") && !names_a_file(args))
        return say_usage("start",
                         "'--env %s' chooses env_%s of a file of apps, and '%s' is "
                         "none; set the variables before the command",
                         args_value(args, "env"), args_value(args, "env"), args->operands[0]);
    struct start s = {.args = args, .client = CLIENT_NONE, .apps = json_array()};
    int code = run_steps(&s);
    if (s.connected)
        app_request_table(&s.client, &s.outcome.names);
    app_outcome_clear(&s.outcome);
    client_close(&s.client);
    json_decref(s.apps);
    strlist_clear(&s.names);
    return code;
}

const struct cmd cmd_start = {
    .name = "start",
    .usage = "FILE.json|SCRIPT|NAME... [-- ARGUMENTS]",
    .help = "Starts a file's apps, a script as an app, or apps that are known.",
    .more = "A name that ends in .json and exists is a file of apps; else a name that the "
            "supervisor knows is\n"
            "started; else it is a script.  Starts the supervisor when none is running.",
    .options = options,
    .operands_min = 1,
    .operands_max = OPERANDS_ANY,
    .run = run,
};
