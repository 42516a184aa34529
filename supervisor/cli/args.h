/* args.h -- splits a command's arguments into options and operands, as the command's option table
 * says.
 *
 * Options and operands may be mixed; "--" ends the options.  Values: --name=VALUE, --name VALUE,
 * -nVALUE, -n VALUE; single letters may be bundled.  "-3" is an operand.  --help and -h are options of every command.
 * Pure: prints nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct arg_option {
    const char *name;  /* without "--"; NULL ends a table */
    char letter;       /* 0: none */
    const char *value; /* what the help calls its value; NULL: a flag */
    const char *help;  /* one sentence */
};

struct arg_given {
    const struct arg_option *option;
    const char *value; /* NULL for a flag */
};

struct args {
    struct arg_given *given;
    size_t given_count;
    const char **operands; /* NULL-terminated */
    size_t operand_count;
    size_t plain_count; /* operands before "--"; the others stand behind it */
    bool help;
};

enum { ARGS_ERROR_TEXT = 256 };

/* `argv` (without the command's name) is borrowed while `a` is used.  Returns 0, or ERR_USAGE with
 * one sentence; then `a` is empty. */
int args_parse(struct args *a, const struct arg_option *table, int argc, char *const *argv,
               char reterr_text[static ARGS_ERROR_TEXT]);
void args_clear(struct args *a);

bool args_has(const struct args *a, const char *name);

/* The value of an option, the last when it was given twice; NULL when it was not given. */
const char *args_value(const struct args *a, const char *name);
