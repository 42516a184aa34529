/* launch.h -- from an app's spec to a running process: command line, environment, descriptors. */
#pragma once

#include "lib/base/str.h"
#include "supervisor/node_flags.h"

struct instance;

/* Starts the instance's process; its runtime version must be known.  Returns 0, or a negative code with a sentence in
 * `*reterr_text` (the caller frees). */
int launch_process(struct instance *in, char **reterr_text);

/* The environment and command line that it gets (`env` and `argv` are empty on entry); `ret_flags` and
 * `ret_user_opens` as node_flags_apply() sets them. */
void launch_environment(const struct instance *in, struct strlist *env,
                        enum inspector_flags *ret_flags, bool *ret_user_opens);
void launch_command(const struct instance *in, struct strlist *argv);
