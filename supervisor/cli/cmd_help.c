#include "supervisor/cli/cmd.h"

#include <stdio.h>

#include "supervisor/cli/help.h"
#include "supervisor/cli/say.h"

static int run(const struct args *args)
{
    if (args->operand_count == 0) {
        help_all(stdout);
        return CMD_DONE;
    }
    const char *name = args->operands[0];
    const struct cmd *c = cmd_find(name);
    if (c) {
        help_command(c, stdout);
        return CMD_DONE;
    }
    char *program[] = {(char *)name, (char[]){"--help"}, NULL};
    cmd_exec_program(program);
    return say_usage("help", "there is no command '%s'", name);
}

const struct cmd cmd_help = {
    .name = "help",
    .usage = "[COMMAND]",
    .help = "Shows the commands, or one of them.",
    .operands_max = 1,
    .run = run,
};
