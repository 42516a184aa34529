#include "supervisor/cli/cmd.h"

#include "supervisor/cli/app_verb.h"

static const struct arg_option options[] = {
    {"update-env", 'a', NULL, "take the environment of this shell"},
    {"env", 0, "NAME", "of a file: merge env_NAME over env"},
    {NULL, 0, NULL, NULL},
};

static int run(const struct args *args)
{
    return app_verb("reload", args, true);
}

const struct cmd cmd_reload = {
    .name = "reload",
    .usage = "TARGET|FILE.json...",
    .help = "Reloads apps; in this version the same as restart.",
    .options = options,
    .operands_min = 1,
    .operands_max = OPERANDS_ANY,
    .run = run,
};
