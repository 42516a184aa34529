#include "supervisor/cli/cmd.h"

#include "supervisor/cli/app_verb.h"

static int run(const struct args *args)
{
    return app_verb("delete", args, false);
}

const struct cmd cmd_delete = {
    .name = "delete",
    .aliases = {"del"},
    .usage = "TARGET|FILE.json...",
    .help = "Stops apps and forgets them.",
    .operands_min = 1,
    .operands_max = OPERANDS_ANY,
    .run = run,
};
