/* proctor-away -- `proctor profile` and `proctor captures` with --console: the same verbs through a console's API.  Run by proctor,
 * which stays free of libcurl and OpenSSL. */
#include <signal.h>
#include <stdio.h>

#include "lib/base/auto.h"
#include "lib/base/std_fds.h"
#include "lib/base/str.h"
#include "supervisor/cli/args.h"
#include "supervisor/cli/away/away.h"
#include "supervisor/cli/captures_args.h"
#include "supervisor/cli/cmd.h"
#include "supervisor/cli/profile_args.h"
#include "supervisor/cli/say.h"

static const struct verb {
    const char *name;
    const struct arg_option *options;
    size_t operands_min;
    size_t operands_max;
    int (*run)(const struct args *args);
} verbs[] = {
    {"profile", profile_options, 2, 2, away_profile},
    {"captures", captures_options, 0, 2, away_captures},
};

static int run(const struct verb *verb, int argc, char **argv)
{
    char error[ARGS_ERROR_TEXT];
    struct args args;
    if (args_parse(&args, verb->options, argc, argv, error) < 0)
        return say_usage(verb->name, "%s", error);
    bool fits =
        args.operand_count >= verb->operands_min && args.operand_count <= verb->operands_max;
    int code = fits ? verb->run(&args) : say_usage(verb->name, "wrong number of arguments");
    args_clear(&args);
    return code;
}

int main(int argc, char **argv)
{
    std_fds_occupy();
    /* A closed pipe is seen at the write, so that it can end us quietly. */
    (void)signal(SIGPIPE, SIG_IGN);
    for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(verbs); i++)
        if (str_eq(argv[1], verbs[i].name))
            return say_finish(run(&verbs[i], argc - 2, argv + 2));
    say_error("proctor-away is run by 'proctor profile' and 'proctor captures' with --console");
    return CMD_USAGE;
}
