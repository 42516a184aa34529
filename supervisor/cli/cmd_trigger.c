#include "supervisor/cli/cmd.h"

#include <stdio.h>

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "supervisor/cli/app_request.h"
#include "supervisor/cli/app_table.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/out.h"
#include "supervisor/cli/target_args.h"
#include "supervisor/cli/text.h"

enum { DEFAULT_MS = 10000 };

static const struct arg_option options[] = {
    {"timeout", 't', "TIME", "how long an app may take to answer; default 10s"},
    {"json", 'j', NULL, "prints {\"answers\":[...]}"},
    {NULL, 0, NULL, NULL},
};

static int read_timeout(const struct args *args, int64_t *ret_ms)
{
    const char *text = args_value(args, "timeout");
    int64_t us = DEFAULT_MS * 1000;
    if (text &&
        (str_to_duration_us(text, 1000000, &us) < 0 || us < 1000 || us > LIMIT_TRIGGER_MS * 1000ll))
        return say_usage("trigger", "--timeout: '%s' is not a time from 1ms to 1h", text);
    *ret_ms = us / 1000;
    return CMD_DONE;
}

/* "web-0: ANSWER" for each that answered, an error for each that did not. */
static int print_answers(const json_t *answers)
{
    int code = CMD_DONE;
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)answers, i, item)
    {
        AUTOFREE char *label = app_label(item);
        const char *error = json_get_string(item, "error", NULL);
        if (error) {
            say_error("%s: %s", label, error);
            code = CMD_FAILED;
            continue;
        }
        AUTOFREE char *value = json_dumps(json_object_get(item, "return"), JSON_ENCODE_ANY);
        AUTOFREE char *line = xasprintf("%s: %s", label, value ? value : "null");
        text_make_safe(line);
        (void)printf("%s\n", line);
    }
    return code;
}

static int run(const struct args *args)
{
    AUTOCLIENT struct client c = CLIENT_NONE;
    AUTOSTRLIST struct strlist targets = {0};
    int64_t timeout_ms = DEFAULT_MS;
    int code = read_timeout(args, &timeout_ms);
    strlist_add(&targets, args->operands[0]);
    if (code == CMD_DONE)
        code = connect_running(&c);
    if (code == CMD_DONE)
        code = target_expand(&c, &targets);
    if (code != CMD_DONE)
        return code;
    json_t *params = app_request_targets(&targets);
    json_set_string(params, "action", args->operands[1]);
    if (args->operand_count > 2)
        json_set_string(params, "param", args->operands[2]);
    json_set_int(params, "timeout_ms", timeout_ms);
    AUTOMSG struct msg answer = {0};
    code = connect_call(&c, "cannot trigger", "app.trigger", params, &answer);
    if (code != CMD_DONE)
        return code;
    const json_t *answers = json_object_get(answer.result, "answers");
    if (!args_has(args, "json"))
        return print_answers(answers);
    out_json(answer.result);
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)answers, i, item) if (json_object_get(item, "error")) code =
        CMD_FAILED;
    return code;
}

const struct cmd cmd_trigger = {
    .name = "trigger",
    .usage = "TARGET ACTION [PARAM] [--timeout TIME] [--json]",
    .help = "Calls an action that Node apps have registered (axm:action).",
    .options = options,
    .operands_min = 2,
    .operands_max = 3,
    .run = run,
};
