#include "supervisor/cli/away_args.h"

#include <stddef.h>

#include "lib/base/auto.h"
#include "supervisor/cli/args.h"
#include "supervisor/cli/cmd.h"
#include "supervisor/cli/say.h"

int away_args_check(const char *command, const struct args *args)
{
    static const char *const others[] = {"token-file", "ca"};
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (args_has(args, others[i]) && !args_has(args, "console"))
            return say_usage(command, "'--%s' belongs to '--console URL'", others[i]);
    return CMD_DONE;
}
