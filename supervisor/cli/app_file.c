#include "supervisor/cli/app_file.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ecosystem/config_error.h"
#include "ecosystem/ecosystem.h"
#include "ecosystem/option_set.h"
#include "ecosystem/resolve.h"
#include "ecosystem/spec_json.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/str.h"
#include "supervisor/cli/app_load.h"
#include "supervisor/cli/app_request.h"
#include "supervisor/cli/args.h"
#include "supervisor/cli/cmd.h"
#include "supervisor/cli/say.h"
#include "supervisor/cli/stdin_file.h"

/* Options of `start` and the settings they stand for. */
struct script_option {
    const char *option;
    const char *key;
    const char *value; /* of a flag; NULL: the option's own */
};

static const struct script_option script_options[] = {
    {"name", "name", NULL},
    {"instances", "instances", NULL},
    {"interpreter", "interpreter", NULL},
    {"node-args", "node_args", NULL},
    {"cwd", "cwd", NULL},
    {"no-autorestart", "autorestart", "false"},
    {"restart-delay", "restart_delay", NULL},
    {"max-restarts", "max_restarts", NULL},
    {"min-uptime", "min_uptime", NULL},
    {"kill-timeout", "kill_timeout", NULL},
    {"no-profiling", "profiling", "false"},
};

static int say_config_error(const struct config_error *e)
{
    char text[CONFIG_ERROR_TEXT];
    say_error("%s", config_error_format(e, text));
    return CMD_FAILED;
}

bool app_file_is(const char *operand)
{
    if (str_eq(operand, "-"))
        return true;
    return ecosystem_is_file_name(operand) &&
           (!str_ends(operand, ".json") || access(operand, F_OK) == 0);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void say_warnings(const struct strlist *warnings)
{
    for (size_t i = 0; i < warnings->count; i++)
        say_note("warning: %s", warnings->items[i]);
}

static int load(const char *path, const char *env_name, struct ecosystem **ret_eco)
{
    struct config_error error = {0};
    AUTOSTRLIST struct strlist warnings = {0};
    AUTOSTDIN char *spooled = NULL;
    if (str_eq(path, "-") && !(path = spooled = stdin_file()))
        return CMD_FAILED;
    if (app_load(path, env_name, ret_eco, &warnings, &error) == 0)
        return CMD_DONE;
    say_warnings(&warnings);
    return say_config_error(&error);
}

int app_file_load(const char *path, const char *env_name, json_t *apps)
{
    AUTOECO struct ecosystem *eco = NULL;
    int code = load(path, env_name, &eco);
    if (code != CMD_DONE)
        return code;
    if (env_name)
        ecosystem_select_env(eco, env_name);
    say_warnings(&eco->warnings);
    AUTOFREE char *cwd = path_cwd();
    const struct strlist env = app_request_env();
    struct config_error error = {0};
    if (ecosystem_resolve(eco, cwd, &env, &error) < 0)
        return say_config_error(&error);
    for (size_t i = 0; i < eco->count; i++)
        (void)json_array_append_new(apps, app_spec_to_json(&eco->apps[i]));
    return CMD_DONE;
}

int app_file_names(const char *path, struct strlist *names)
{
    AUTOECO struct ecosystem *eco = NULL;
    int code = load(path, NULL, &eco);
    if (code != CMD_DONE)
        return code;
    for (size_t i = 0; i < eco->count; i++) {
        const struct app_spec *app = &eco->apps[i];
        bool is_command = app->script && strpbrk(app->script, " \t");
        if (app->name)
            strlist_add(names, app->name);
        else
            strlist_add_taken(names, app_name_from_script(app->script, is_command));
    }
    return CMD_DONE;
}

/* ---- scripts --------------------------------------------------------------------------------- */

const char *app_file_script_option(const struct args *args)
{
    for (size_t i = 0; i < ARRAY_SIZE(script_options); i++)
        if (args_has(args, script_options[i].option))
            return script_options[i].option;
    return NULL;
}

static int set_options(struct app_spec *spec, const struct args *args, struct config_error *error)
{
    for (size_t i = 0; i < ARRAY_SIZE(script_options); i++) {
        const struct script_option *o = &script_options[i];
        if (!args_has(args, o->option))
            continue;
        const char *value = o->value ? o->value : args_value(args, o->option);
        if (app_spec_set(spec, o->key, value, error) < 0) {
            say_error("option '--%s': %s", o->option, error->text);
            return CMD_USAGE;
        }
    }
    for (size_t i = args->plain_count; i < args->operand_count; i++)
        strlist_add(&spec->args, args->operands[i]);
    return CMD_DONE;
}

int app_file_script(const char *script, const struct args *args, json_t *apps)
{
    AUTOSPEC struct app_spec spec;
    app_spec_init(&spec);
    struct config_error error = {0};
    if (app_spec_set(&spec, "script", script, &error) < 0)
        return say_config_error(&error);
    int code = set_options(&spec, args, &error);
    if (code != CMD_DONE)
        return code;
    AUTOFREE char *cwd = path_cwd();
    const struct strlist env = app_request_env();
    if (app_spec_resolve(&spec, cwd, &env, &error) < 0)
        return say_config_error(&error);
    (void)json_array_append_new(apps, app_spec_to_json(&spec));
    return CMD_DONE;
}
