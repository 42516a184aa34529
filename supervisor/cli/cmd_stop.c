#include "supervisor/cli/cmd.h"

#include "supervisor/cli/app_verb.h"

static int run(const struct args *args)
{
    return app_verb("stop", args, false);
}

const struct cmd cmd_stop = {
    .name = "stop",
    .usage = "TARGET|FILE.json...",
    .help = "Stops apps; they stay in the list.",
    .operands_min = 1,
    .operands_max = OPERANDS_ANY,
    .run = run,
};
