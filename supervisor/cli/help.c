#include "supervisor/cli/help.h"

#include "supervisor/cli/cmd.h"

enum { NAME_WIDTH = 10, OPTION_WIDTH = 26 };

void help_all(FILE *out)
{
    (void)fputs("usage: proctor COMMAND [ARGUMENTS]\n\n", out);
    for (const struct cmd *const *c = cmd_table; *c; c++)
        (void)fprintf(out, "  %-*s %s\n", NAME_WIDTH, (*c)->name, (*c)->help);
    (void)fprintf(out, "  %-*s %s\n", NAME_WIDTH, "top",
                  "Shows where the time or the memory of a profile went.");
    (void)fputs(
        "\nTARGET is an app's name, one instance of it (NAME-0), an id from the list, or 'all'.\n"
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

void help_command(const struct cmd *c, FILE *out)
{
    (void)fprintf(out, "usage: proctor %s%s%s\n\n%s\n", c->name, *c->usage ? " " : "", c->usage,
                  c->help);
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
