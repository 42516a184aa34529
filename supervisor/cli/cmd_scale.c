#include "supervisor/cli/cmd.h"

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "supervisor/cli/app_request.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/say.h"
#include "supervisor/cli/target_args.h"

enum { COUNT_MAX = 4096 };

/* The one app that the operand means; its name is in `targets` afterwards. */
static int find_app(struct client *c, const char *operand, struct strlist *targets)
{
    strlist_add(targets, operand);
    int code = connect_running(c);
    if (code == CMD_DONE)
        code = target_expand(c, targets);
    if (code != CMD_DONE || targets->count == 1)
        return code;
    say_error("'%s' means %zu apps; one at a time can be scaled", operand, targets->count);
    return CMD_FAILED;
}

static int run(const struct args *args)
{
    AUTOCLIENT struct client c = CLIENT_NONE;
    AUTOSTRLIST struct strlist targets = {0};
    AUTOOUTCOME struct app_outcome outcome = {0};
    const char *text = args->operands[1];
    bool relative = text[0] == '+' || text[0] == '-';
    int64_t count;
    if (str_to_int(text[0] == '+' ? text + 1 : text, -COUNT_MAX, COUNT_MAX, &count) < 0 ||
        (!relative && count < 1))
        return say_usage("scale", "'%s' is not a number of instances: N, +N or -N", text);
    int code = find_app(&c, args->operands[0], &targets);
    if (code != CMD_DONE)
        return code;
    json_t *params = json_object();
    json_set_string(params, "app", targets.items[0]);
    json_set_int(params, relative ? "by" : "instances", count);
    code = app_request(&c, "app.scale", params, &outcome);
    app_request_table(&c, &outcome.names);
    return code;
}

const struct cmd cmd_scale = {
    .name = "scale",
    .usage = "APP N|+N|-N",
    .help = "Changes how many instances an app has; the newest go first.",
    .operands_min = 2,
    .operands_max = 2,
    .run = run,
};
