#include "supervisor/cli/cmd.h"

#include "supervisor/cli/app_verb.h"

static const struct arg_option options[] = {
    {"update-env", 'a', NULL, "take the environment of this shell"},
    {"env", 0, "NAME", "of a file: merge env_NAME over env"},
    {NULL, 0, NULL, NULL},
};

static int run(const struct args *args)
{
    return app_verb("restart", args, true);
}

const struct cmd cmd_restart = {
    .name = "restart",
    .usage = "TARGET|FILE.json...",
    .help = "Stops apps and starts them again; a file is applied again.",
    .options = options,
    .operands_min = 1,
    .operands_max = OPERANDS_ANY,
    .run = run,
};
