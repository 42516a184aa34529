/* captures_args.h -- what `proctor captures` was asked for, here or at a console. */
#pragma once

#include "supervisor/cli/args.h"

extern const struct arg_option captures_options[];

/* Checks the arguments.  Returns an exit code (cmd.h), with the sentence said. */
int captures_args_check(const struct args *args);

/* "get", "stop", "cancel"; NULL: the list. */
const char *captures_args_verb(const struct args *args);
