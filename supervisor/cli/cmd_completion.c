#include "supervisor/cli/cmd.h"

#include <stdio.h>

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "supervisor/cli/completion.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/say.h"

/* Names of apps, for the shells; nothing is said when there are none. */
static int print_names(void)
{
    AUTOCLIENT struct client c = CLIENT_NONE;
    AUTOMSG struct msg answer = {0};
    size_t i;
    json_t *app;
    if (connect_try(&c) < 0 || connect_ask(&c, "app.list", json_object(), &answer) < 0)
        return CMD_DONE;
    const char *before = "";
    json_array_foreach(json_object_get(answer.result, "apps"), i, app)
    {
        const char *name = json_get_string(app, "name", "");
        if (!str_eq(name, before))
            (void)puts(name);
        before = name;
    }
    (void)puts("all");
    return CMD_DONE;
}

static int run(const struct args *args)
{
    const char *shell = args->operands[0];
    if (str_eq(shell, "names"))
        return print_names();
    if (!completion_print(shell, stdout))
        return say_usage("completion", "'%s' is not bash, zsh or fish", shell);
    return CMD_DONE;
}

const struct cmd cmd_completion = {
    .name = "completion",
    .usage = "bash|zsh|fish",
    .help = "Prints what makes a shell complete our command lines.",
    .more = "bash: source <(proctor completion bash)",
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
