#include "supervisor/cli/help.h"

#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "supervisor/cli/cmd.h"

enum { NAME_WIDTH = 10, OPTION_WIDTH = 26, LINE_WIDTH = 79 };

void help_all(FILE *out)
{
    (void)fputs("usage: proctor COMMAND [ARGUMENTS]\n\n", out);
    for (const struct cmd *const *c = cmd_table; *c; c++)
        (void)fprintf(out, "  %-*s %s\n", NAME_WIDTH, (*c)->name, (*c)->help);
    for (const struct cmd_program *p = cmd_programs; p->name; p++)
        (void)fprintf(out, "  %-*s %s\n", NAME_WIDTH, p->name, p->help);
    (void)fputs(
        "\nTARGET is an app's name, one instance of it (NAME-0), an id from the list, 'all',\n"
        "a file of apps ('-': standard input), /PATTERN/ of names, or a script.\n"
        "'proctor help COMMAND' tells more; proctor(1) tells all.\n",
        out);
}

static void print_option(const struct arg_option *o, FILE *out)
{
    char letter[8] = "    ", left[64];
    if (o->letter)
        (void)snprintf(letter, sizeof letter, "-%c, ", o->letter);
    (void)snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->value ? " " : "",
                   o->value ? o->value : "");
    (void)fprintf(out, "  %-*s %s\n", OPTION_WIDTH, left, o->help);
}

/* "[-d TIME]": the letter when there is one.  The caller frees. */
static char *short_option(const struct arg_option *o)
{
    const char letter[] = {o->letter, '\0'};
    return xasprintf("[%s%s%s%s]", o->letter ? "-" : "--", o->letter ? letter : o->name,
                     o->value ? " " : "", o->value ? o->value : "");
}

/* Options first: behind "--" they would be none.  On further lines when they are many. */
static void print_usage(const struct cmd *c, FILE *out)
{
    AUTOSTRLIST struct strlist words = {0};
    for (const struct arg_option *o = c->options; o && o->name; o++)
        strlist_add_taken(&words, short_option(o));
    if (*c->usage)
        strlist_add(&words, c->usage);
    int indent = (int)strlen("usage: proctor ") + (int)strlen(c->name), column = indent;
    (void)fprintf(out, "usage: proctor %s", c->name);
    for (size_t i = 0; i < words.count; i++) {
        int len = 1 + (int)strlen(words.items[i]);
        if (column + len > LINE_WIDTH) {
            (void)fprintf(out, "\n%*s", indent, "");
            column = indent;
        }
        (void)fprintf(out, " %s", words.items[i]);
        column += len;
    }
    (void)fputs("\n", out);
}

void help_command(const struct cmd *c, FILE *out)
{
    print_usage(c, out);
    (void)fprintf(out, "\n%s\n", c->help);
    if (c->more)
        (void)fprintf(out, "\n%s\n", c->more);
    if (c->aliases[0]) {
        (void)fputs("\nThe same:", out);
        for (const char *const *alias = c->aliases; *alias; alias++)
            (void)fprintf(out, " %s", *alias);
        (void)fputs("\n", out);
    }
    if (!c->options)
        return;
    (void)fputs("\n", out);
    for (const struct arg_option *o = c->options; o->name; o++)
        print_option(o, out);
}
