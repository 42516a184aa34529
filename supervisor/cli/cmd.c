#include "supervisor/cli/cmd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/std_fds.h"
#include "lib/base/str.h"
#include "supervisor/cli/help.h"
#include "supervisor/cli/say.h"

#define X(name) extern const struct cmd cmd_##name;
CMD_LIST(X)
#undef X

const struct cmd *const cmd_table[] = {
#define X(name) &cmd_##name,
    CMD_LIST(X)
#undef X
        NULL,
};

const struct cmd_program cmd_programs[] = {
    {"top", "Shows where the time or the memory of a profile went."},
    {"monit", "Shows all processes and a log on one screen, with keys to act on them."},
    {NULL, NULL},
};

const struct cmd *cmd_find(const char *name)
{
    for (const struct cmd *const *c = cmd_table; *c; c++) {
        if (str_eq((*c)->name, name))
            return *c;
        for (const char *const *alias = (*c)->aliases; *alias; alias++)
            if (str_eq(*alias, name))
                return *c;
    }
    return NULL;
}

/* ---- programs of their own ------------------------------------------------------------------- */

/* These are not for people: proctord, the agent and other commands start them. */
static bool internal(const char *name)
{
    static const char *const names[] = {"agent", "probe", "keeper", "away"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

/* Returns when there is none: -errno. */
static int exec_sibling(const char *program, char **argv)
{
    AUTOFREE char *path = path_sibling(program);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)execv(path, argv);
    int r = -errno;
    (void)signal(SIGPIPE, SIG_IGN);
    return r;
}

void cmd_exec_program(char **argv)
{
    const char *name = argv[0];
    if (internal(name) || !*name || name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-")])
        return;
    AUTOFREE char *program = xasprintf("proctor-%s", name);
    argv[0] = program;
    (void)exec_sibling(program, argv);
    argv[0] = (char *)name;
}

int cmd_exec_away(const char *name, const struct args *args)
{
    AUTOSTRLIST struct strlist argv = {0};
    strlist_add(&argv, "proctor-away");
    strlist_add(&argv, name);
    for (size_t i = 0; i < args->given_count; i++) {
        const struct arg_given *given = &args->given[i];
        strlist_addf(&argv, "--%s%s%s", given->option->name, given->value ? "=" : "",
                     given->value ? given->value : "");
    }
    strlist_add(&argv, "--");
    for (size_t i = 0; i < args->operand_count; i++)
        strlist_add(&argv, args->operands[i]);
    int r = exec_sibling("proctor-away", argv.items);
    say_error("cannot run proctor-away, which speaks with consoles: %s", err_str(r));
    return CMD_FAILED;
}

/* ---- running --------------------------------------------------------------------------------- */

static int check_operands(const struct cmd *c, const struct args *args)
{
    if (args->operand_count < c->operands_min)
        return say_usage(c->name, "what is missing: proctor %s %s", c->name, c->usage);
    if (args->operand_count > c->operands_max)
        return say_usage(c->name, "'%s' is too much", args->operands[c->operands_max]);
    return CMD_DONE;
}

static int run_cmd(const struct cmd *c, int argc, char **argv)
{
    char error[ARGS_ERROR_TEXT];
    struct args args;
    if (args_parse(&args, c->options, argc, argv, error) < 0)
        return say_usage(c->name, "%s", error);
    int code = CMD_DONE;
    if (args.help)
        help_command(c, stdout);
    else
        code = check_operands(c, &args);
    if (code == CMD_DONE && !args.help)
        code = c->run(&args);
    args_clear(&args);
    return code;
}

static int unknown(const char *name)
{
    const char *candidates[128];
    size_t count = 0;
    for (const struct cmd *const *c = cmd_table; *c; c++) {
        candidates[count++] = (*c)->name;
        for (const char *const *alias = (*c)->aliases; *alias; alias++)
            if (strlen(*alias) > 2)
                candidates[count++] = *alias;
    }
    for (const struct cmd_program *p = cmd_programs; p->name; p++)
        candidates[count++] = p->name;
    const char *nearest = str_nearest(name, candidates, count);
    if (nearest)
        say_error("unknown command '%s'; did you mean '%s'?", name, nearest);
    else
        say_error("unknown command '%s' (see 'proctor help')", name);
    return CMD_USAGE;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        help_all(stderr);
        return CMD_USAGE;
    }
    const char *name = argv[1];
    if (str_eq(name, "--version") || str_eq(name, "-V") || str_eq(name, "-v")) {
        (void)printf("proctor %s\n", PROCTOR_VERSION);
        return CMD_DONE;
    }
    if (str_eq(name, "--help") || str_eq(name, "-h"))
        name = "help";
    if (name[0] == '-') {
        say_error("unknown option '%s' (see 'proctor help')", name);
        return CMD_USAGE;
    }
    const struct cmd *c = cmd_find(name);
    if (c)
        return run_cmd(c, argc - 2, argv + 2);
    cmd_exec_program(argv + 1);
    return unknown(name);
}

int cmd_main(int argc, char **argv)
{
    std_fds_occupy();
    /* A closed pipe is seen at the write, so that it can end us quietly. */
    (void)signal(SIGPIPE, SIG_IGN);
    return say_finish(dispatch(argc, argv));
}
