/* cmd.h -- the commands that administer a console: `proctor-console token|user|host …`.
 *
 * They work on DATA itself, with db_open(), whether a server runs on it or not; a server that runs sees what they changed within a
 * second.  Each change leaves a row in the audit log ("command line"). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct console_cmd {
    const char *name;
    const char *usage; /* its verbs, a line each */
    const char *help;  /* one sentence */
    int (*run)(int argc, char **argv);
};

/* For the help of the program; NULL name past the last. */
extern const struct console_cmd console_cmds[];

/* argv[0] is the command's own name.  Return the exit code: 0, 1 (failed: one sentence on standard error), 2 (wrong use). */
int cmd_token(int argc, char **argv);
int cmd_user(int argc, char **argv);
int cmd_host(int argc, char **argv);
