#include "supervisor/cli/completion.h"

#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/str.h"
#include "supervisor/cli/cmd.h"

/* Does it take names of apps? */
static bool takes_targets(const struct cmd *c)
{
    return strstr(c->usage, "TARGET") || strstr(c->usage, "NAME") || strstr(c->usage, "APP");
}

/* Words that are the first operand of some commands. */
static const struct {
    const char *command;
    const char *words;
} operands[] = {
    {"profile", "cpu heap"},
    {"captures", "list get stop cancel"},
    {"completion", "bash zsh fish"},
};

static const char *operand_words(const struct cmd *c)
{
    for (size_t i = 0; i < ARRAY_SIZE(operands); i++)
        if (str_eq(operands[i].command, c->name))
            return operands[i].words;
    return str_eq(c->name, "help") ? "$commands" : "";
}

/* ---- bash and zsh ---------------------------------------------------------------------------- */

static void print_names(FILE *out)
{
    for (const struct cmd *const *c = cmd_table; *c; c++)
        (void)fprintf(out, "%s%s", c == cmd_table ? "" : " ", (*c)->name);
    for (const struct cmd_program *p = cmd_programs; p->name; p++)
        (void)fprintf(out, " %s", p->name);
}

static void print_options(const struct cmd *c, FILE *out)
{
    for (const struct arg_option *o = c->options; o && o->name; o++)
        (void)fprintf(out, "--%s ", o->name);
    (void)fputs("--help", out);
}

static void print_bash(FILE *out)
{
    (void)fputs("# proctor completion bash; to be sourced\n"
                "_proctor() {\n"
                "    local cur=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} options= words= "
                "targets=\n"
                "    local commands=\"",
                out);
    print_names(out);
    (void)fputs("\"\n"
                "    COMPREPLY=()\n"
                "    if [ \"$COMP_CWORD\" = 1 ]; then\n"
                "        COMPREPLY=($(compgen -W \"$commands\" -- \"$cur\"))\n"
                "        return\n"
                "    fi\n"
                "    case $command in\n",
                out);
    for (const struct cmd *const *c = cmd_table; *c; c++) {
        (void)fprintf(out, "    %s", (*c)->name);
        for (const char *const *alias = (*c)->aliases; *alias; alias++)
            (void)fprintf(out, "|%s", *alias);
        (void)fputs(") options=\"", out);
        print_options(*c, out);
        (void)fprintf(out, "\" words=\"%s\" targets=%s ;;\n", operand_words(*c),
                      takes_targets(*c) ? "1" : "");
    }
    (void)fputs(
        "    esac\n"
        "    case $cur in\n"
        "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$cur\")) ;;\n"
        "    *)\n"
        "        [ \"$COMP_CWORD\" != 2 ] || COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
        "        [ -z \"$targets\" ] || COMPREPLY+=($(compgen -W \"$(proctor completion names "
        "2>/dev/null)\" -- \"$cur\"))\n"
        "        [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$cur\"))\n"
        "        ;;\n"
        "    esac\n"
        "}\n"
        "complete -F _proctor proctor\n",
        out);
}

/* Its own bashcompinit runs what is for bash. */
static void print_zsh(FILE *out)
{
    (void)fputs("# proctor completion zsh; to be sourced after compinit\n"
                "autoload -U +X bashcompinit && bashcompinit\n",
                out);
    print_bash(out);
}

/* ---- fish ------------------------------------------------------------------------------------ */

/* Between single quotes. */
static void print_quoted(const char *text, FILE *out)
{
    (void)fputc('\'', out);
    for (; *text; text++)
        (void)fprintf(out, *text == '\'' || *text == '\\' ? "\\%c" : "%c", *text);
    (void)fputc('\'', out);
}

static void print_fish_name(const char *name, const char *help, FILE *out)
{
    (void)fprintf(out, "complete -c proctor -n __fish_use_subcommand -a %s -d ", name);
    print_quoted(help, out);
    (void)fputc('\n', out);
}

static void print_fish_command(const struct cmd *c, FILE *out)
{
    print_fish_name(c->name, c->help, out);
    for (const struct arg_option *o = c->options; o && o->name; o++) {
        (void)fprintf(out, "complete -c proctor -n '__fish_seen_subcommand_from %s' -l %s", c->name,
                      o->name);
        if (o->letter)
            (void)fprintf(out, " -s %c", o->letter);
        (void)fputs(o->value ? " -r -d " : " -d ", out);
        print_quoted(o->help, out);
        (void)fputc('\n', out);
    }
    if (takes_targets(c))
        (void)fprintf(out,
                      "complete -c proctor -n '__fish_seen_subcommand_from %s' -a '(proctor "
                      "completion names 2>/dev/null)'\n",
                      c->name);
    else if (*operand_words(c) && operand_words(c)[0] != '$')
        (void)fprintf(out, "complete -c proctor -n '__fish_seen_subcommand_from %s' -a '%s'\n",
                      c->name, operand_words(c));
}

static void print_fish(FILE *out)
{
    (void)fputs("# proctor completion fish | source\n", out);
    for (const struct cmd *const *c = cmd_table; *c; c++)
        print_fish_command(*c, out);
    for (const struct cmd_program *p = cmd_programs; p->name; p++)
        print_fish_name(p->name, p->help, out);
}

bool completion_print(const char *shell, FILE *out)
{
    static const struct {
        const char *shell;
        void (*print)(FILE *out);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    for (size_t i = 0; i < ARRAY_SIZE(shells); i++) {
        if (!str_eq(shells[i].shell, shell))
            continue;
        shells[i].print(out);
        return true;
    }
    return false;
}
