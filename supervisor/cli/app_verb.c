#include "supervisor/cli/app_verb.h"

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "supervisor/cli/app_file.h"
#include "supervisor/cli/app_request.h"
#include "supervisor/cli/args.h"
#include "supervisor/cli/cmd.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/daemon.h"
#include "supervisor/cli/target_args.h"

/* Sorts the operands into targets and specs. */
static int read_operands(const struct args *args, bool applies, struct strlist *targets,
                         json_t *apps)
{
    int code = CMD_DONE;
    for (size_t i = 0; code == CMD_DONE && i < args->operand_count; i++) {
        const char *operand = args->operands[i];
        if (!app_file_is(operand))
            strlist_add(targets, operand);
        else if (applies)
            code = app_file_load(operand, args_value(args, "env"), apps);
        else
            code = app_file_names(operand, targets);
    }
    return code;
}

/* An app that is declared as before goes on running, so it joins the targets of the verb. */
static int apply(struct client *c, json_t *apps, bool update_env, struct strlist *targets,
                 struct app_outcome *outcome)
{
    json_t *params = json_object();
    (void)json_object_set(params, "apps", apps);
    app_request_add_env(params);
    json_set_bool(params, "update_env", update_env);
    int code = app_request(c, "app.apply", params, outcome);
    strlist_copy(targets, &outcome->unchanged);
    return code;
}

static int request(struct client *c, const char *verb, const struct strlist *targets,
                   bool update_env, struct app_outcome *outcome)
{
    AUTOFREE char *method = xasprintf("app.%s", verb);
    json_t *params = app_request_targets(targets);
    if (update_env)
        app_request_add_env(params);
    return app_request(c, method, params, outcome);
}

int app_verb(const char *verb, const struct args *args, bool applies)
{
    AUTOSTRLIST struct strlist targets = {0};
    AUTOJSON json_t *apps = json_array();
    int code = read_operands(args, applies, &targets, apps);
    if (code != CMD_DONE)
        return code;
    AUTOCLIENT struct client c = CLIENT_NONE;
    bool update_env = args_has(args, "update-env");
    bool has_file = json_array_size(apps) > 0;
    code = has_file ? daemon_connect(&c) : connect_running(&c);
    if (code == CMD_DONE)
        code = target_expand(&c, &targets);
    AUTOOUTCOME struct app_outcome outcome = {0};
    if (code == CMD_DONE && has_file)
        code = apply(&c, apps, update_env, &targets, &outcome);
    if (code == CMD_DONE && targets.count > 0)
        code = request(&c, verb, &targets, update_env, &outcome);
    app_request_table(&c, &outcome.names);
    return code;
}
