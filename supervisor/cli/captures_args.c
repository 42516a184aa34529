#include "supervisor/cli/captures_args.h"

#include <stdbool.h>

#include "lib/base/auto.h"
#include "lib/base/str.h"
#include "supervisor/cli/args.h"
#include "supervisor/cli/away_args.h"
#include "supervisor/cli/cmd.h"
#include "supervisor/cli/say.h"

// clang-format off
const struct arg_option captures_options[] = {
    {"json", 'j', NULL, "prints {\"version\":1,\"captures\":[...]}"},
    {"output", 'o', "FILE", "of get: a file, a folder, or - for standard output"},
    AWAY_OPTIONS,
    {NULL, 0, NULL, NULL},
};
// clang-format on

const char *captures_args_verb(const struct args *args)
{
    const char *verb = args->operand_count > 0 ? args->operands[0] : NULL;
    return str_eq(verb, "list") ? NULL : verb;
}

static bool is_known(const char *verb)
{
    static const char *const verbs[] = {"get", "stop", "cancel"};
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (str_eq(verb, verbs[i]))
            return true;
    return !verb;
}

int captures_args_check(const struct args *args)
{
    const char *verb = captures_args_verb(args);
    if (!is_known(verb))
        return say_usage("captures", "unknown action '%s'; there are get, stop and cancel", verb);
    if (verb && args->operand_count < 2)
        return say_usage("captures", "'%s' needs the id of a capture", verb);
    if (!verb && args->operand_count > 1)
        return say_usage("captures", "'%s' is too much", args->operands[1]);
    if (args_has(args, "output") && !str_eq(verb, "get"))
        return say_usage("captures", "'--output' belongs to get");
    if (args_has(args, "json") && str_eq(args_value(args, "output"), "-"))
        return say_usage("captures", "'--json' and '-o -' want the same output");
    return away_args_check("captures", args);
}
