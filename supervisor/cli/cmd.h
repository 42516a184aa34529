/* cmd.h -- the commands of `proctor`: one `const struct cmd` per file cmd_<name>.c, listed in
 * CMD_LIST.  Finding a command, reading its arguments and all help texts follow from it.
 *
 * A name that is not in the list is a program of its own, proctor-<name>, when there is one. */
#pragma once

#include <stddef.h>

#include "supervisor/cli/args.h"

/* In the order of the help. */
#define CMD_LIST(X)                                                                                \
    X(start)                                                                                       \
    X(stop)                                                                                        \
    X(restart)                                                                                     \
    X(reload)                                                                                      \
    X(scale)                                                                                       \
    X(reset)                                                                                       \
    X(signal)                                                                                      \
    X(delete)                                                                                      \
    X(list)                                                                                        \
    X(describe)                                                                                    \
    X(why)                                                                                         \
    X(env)                                                                                         \
    X(metrics)                                                                                     \
    X(trigger)                                                                                     \
    X(logs)                                                                                        \
    X(flush)                                                                                       \
    X(reload_logs)                                                                                 \
    X(jlist)                                                                                       \
    X(profile)                                                                                     \
    X(captures)                                                                                    \
    X(link)                                                                                        \
    X(unlink)                                                                                      \
    X(ping)                                                                                        \
    X(upgrade)                                                                                     \
    X(kill)                                                                                        \
    X(run)                                                                                         \
    X(startup)                                                                                     \
    X(unstartup)                                                                                   \
    X(report)                                                                                      \
    X(import_pm2)                                                                                  \
    X(save)                                                                                        \
    X(resurrect)                                                                                   \
    X(completion)                                                                                  \
    X(help)

enum { CMD_ALIASES = 4, OPERANDS_ANY = 1 << 20 };

struct cmd {
    const char *name;
    const char *aliases[CMD_ALIASES + 1]; /* NULL-terminated */
    const char *usage;                    /* what follows the name: "TARGET..." */
    const char *help;                     /* one sentence */
    const char *more;                     /* further lines of its own help; may be NULL */
    const struct arg_option *options;     /* NULL: none */
    size_t operands_min;
    size_t operands_max;
    int (*run)(const struct args *args); /* returns one of cmd_exit */
};

/* Exit codes. */
enum cmd_exit {
    CMD_DONE,
    CMD_FAILED,
    CMD_USAGE,
    CMD_NOT_RUNNING, /* no supervisor runs here */
    CMD_POLICY,      /* the policy of the host refuses it */
};

extern const struct cmd *const cmd_table[]; /* NULL-terminated */

/* Commands that are programs of their own, for help and completion; ends with a NULL name. */
struct cmd_program {
    const char *name;
    const char *help;
};
extern const struct cmd_program cmd_programs[];

/* By name or alias; NULL: unknown. */
const struct cmd *cmd_find(const char *name);

/* Runs what the arguments ask for; returns the exit code. */
int cmd_main(int argc, char **argv);

/* Replaces this process by the program proctor-<argv[0]>; returns only when there is none. */
void cmd_exec_program(char **argv);

/* The command `name` with these arguments is for a console: replaces this process by proctor-away, which gets the same
 * arguments.  Returns an exit code only when that is not there, with the sentence said. */
int cmd_exec_away(const char *name, const struct args *args);
