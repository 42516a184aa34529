#include "supervisor/cli/args.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

struct parser {
    struct args *args;
    const struct arg_option *table;
    char *const *rest; /* arguments not looked at yet */
    char *const *end;
    char *error;
};

static const struct arg_option help_option = {"help", 'h', NULL, "shows this help"};

enum { CANDIDATES_MAX = 64 };

static int unknown_long(struct parser *p, const char *name)
{
    const char *candidates[CANDIDATES_MAX];
    size_t count = 0;
    for (const struct arg_option *o = p->table; o && o->name && count < CANDIDATES_MAX; o++)
        candidates[count++] = o->name;
    const char *nearest = str_nearest(name, candidates, count);
    if (nearest)
        (void)snprintf(p->error, ARGS_ERROR_TEXT, "unknown option '--%.60s'; did you mean '--%s'?",
                       name, nearest);
    else
        (void)snprintf(p->error, ARGS_ERROR_TEXT, "unknown option '--%.60s'", name);
    return ERR_USAGE;
}

static const struct arg_option *find_long(const struct parser *p, const char *name)
{
    for (const struct arg_option *o = p->table; o && o->name; o++)
        if (str_eq(o->name, name))
            return o;
    return str_eq(name, help_option.name) ? &help_option : NULL;
}

static const struct arg_option *find_letter(const struct parser *p, char letter)
{
    for (const struct arg_option *o = p->table; o && o->name; o++)
        if (o->letter == letter)
            return o;
    return letter == help_option.letter ? &help_option : NULL;
}

static void add_given(struct parser *p, const struct arg_option *option, const char *value)
{
    struct args *a = p->args;
    if (option == &help_option) {
        a->help = true;
        return;
    }
    a->given = xreallocarray(a->given, a->given_count + 1, sizeof *a->given);
    a->given[a->given_count++] = (struct arg_given){option, value};
}

static void add_operand(struct parser *p, const char *text)
{
    struct args *a = p->args;
    a->operands = xreallocarray(a->operands, a->operand_count + 2, sizeof *a->operands);
    a->operands[a->operand_count++] = text;
    a->operands[a->operand_count] = NULL;
}

/* Adds an option whose value, when it needs one, is `attached` or else the next argument. */
static int add_option(struct parser *p, const struct arg_option *option, const char *attached)
{
    if (!option->value) {
        if (attached) {
            (void)snprintf(p->error, ARGS_ERROR_TEXT, "option '--%s' takes no value", option->name);
            return ERR_USAGE;
        }
        add_given(p, option, NULL);
        return 0;
    }
    if (!attached && p->rest == p->end) {
        (void)snprintf(p->error, ARGS_ERROR_TEXT, "option '--%s' needs a value (%s)", option->name,
                       option->value);
        return ERR_USAGE;
    }
    add_given(p, option, attached ? attached : *p->rest++);
    return 0;
}

static int parse_long(struct parser *p, const char *text)
{
    const char *equals = strchr(text, '=');
    AUTOFREE char *name = equals ? xstrndup(text, (size_t)(equals - text)) : xstrdup(text);
    const struct arg_option *option = find_long(p, name);
    return option ? add_option(p, option, equals ? equals + 1 : NULL) : unknown_long(p, name);
}

static int parse_letters(struct parser *p, const char *letters)
{
    for (; *letters; letters++) {
        const struct arg_option *option = find_letter(p, *letters);
        if (!option) {
            (void)snprintf(p->error, ARGS_ERROR_TEXT, "unknown option '-%c'", *letters);
            return ERR_USAGE;
        }
        if (option->value)
            return add_option(p, option, letters[1] ? letters + 1 : NULL);
        add_given(p, option, NULL);
    }
    return 0;
}

/* "-3" is a number, as for `scale`: no option is called like that. */
static bool is_negative(const char *text)
{
    return text[1] >= '0' && text[1] <= '9';
}

static int parse_all(struct parser *p)
{
    while (p->rest < p->end) {
        const char *text = *p->rest++;
        if (str_eq(text, "--"))
            break;
        int r = 0;
        if (str_starts(text, "--"))
            r = parse_long(p, text + 2);
        else if (text[0] == '-' && text[1] && !is_negative(text))
            r = parse_letters(p, text + 1);
        else
            add_operand(p, text);
        if (r < 0)
            return r;
    }
    p->args->plain_count = p->args->operand_count;
    while (p->rest < p->end)
        add_operand(p, *p->rest++);
    return 0;
}

int args_parse(struct args *a, const struct arg_option *table, int argc, char *const *argv,
               char reterr_text[static ARGS_ERROR_TEXT])
{
    *a = (struct args){.operands = xcalloc(1, sizeof *a->operands)};
    struct parser p = {
        .args = a, .table = table, .rest = argv, .end = argv + argc, .error = reterr_text};
    int r = parse_all(&p);
    if (r < 0)
        args_clear(a);
    return r;
}

void args_clear(struct args *a)
{
    free(a->given);
    free(a->operands);
    *a = (struct args){0};
}

bool args_has(const struct args *a, const char *name)
{
    for (size_t i = 0; i < a->given_count; i++)
        if (str_eq(a->given[i].option->name, name))
            return true;
    return false;
}

const char *args_value(const struct args *a, const char *name)
{
    const char *value = NULL;
    for (size_t i = 0; i < a->given_count; i++)
        if (str_eq(a->given[i].option->name, name))
            value = a->given[i].value;
    return value;
}
