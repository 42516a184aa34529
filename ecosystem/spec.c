#include "ecosystem/spec.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ecosystem/config_error.h"
#include "ecosystem/option_set.h"
#include "ecosystem/options.h"
#include "ecosystem/words.h"
#include "lib/base/auto.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"

void app_spec_init(struct app_spec *spec)
{
    *spec = (struct app_spec){0};
    for (const struct option *o = options; o < options + option_count; o++) {
        struct config_error error;
        if (!o->fallback)
            continue;
        int r = option_set_text(o, spec, o->fallback, &error);
        assert(r == 0);
        (void)r;
    }
    spec->instances_given = false;
}

static void clear_field(const struct option *o, void *field)
{
    switch (option_storage(o->type)) {
    case STORE_STRING:
        free(*(char **)field);
        return;
    case STORE_LIST:
        strlist_clear(field);
        return;
    case STORE_BOOL:
    case STORE_INT:
    case STORE_SIZE:
        return;
    }
}

static void clear_env_blocks(struct app_spec *spec)
{
    for (size_t i = 0; i < spec->env_named_count; i++) {
        free(spec->env_named[i].name);
        strlist_clear(&spec->env_named[i].env);
    }
    free(spec->env_named);
    spec->env_named = NULL;
    spec->env_named_count = 0;
}

void app_spec_clear(struct app_spec *spec)
{
    for (const struct option *o = options; o < options + option_count; o++)
        clear_field(o, option_field(o, spec));
    clear_env_blocks(spec);
    *spec = (struct app_spec){0};
}

/* `to` is zero. */
static void copy_field(const struct option *o, void *to, const void *from)
{
    switch (option_storage(o->type)) {
    case STORE_STRING:
        *(char **)to = xstrdup_null(*(char *const *)from);
        return;
    case STORE_LIST:
        strlist_copy(to, from);
        return;
    case STORE_BOOL:
        *(bool *)to = *(const bool *)from;
        return;
    case STORE_INT:
        *(int *)to = *(const int *)from;
        return;
    case STORE_SIZE:
        *(int64_t *)to = *(const int64_t *)from;
        return;
    }
}

void app_spec_copy(struct app_spec *to, const struct app_spec *from)
{
    if (to == from)
        return;
    app_spec_clear(to);
    for (const struct option *o = options; o < options + option_count; o++)
        copy_field(o, option_field(o, to), option_field_const(o, from));
    for (size_t i = 0; i < from->env_named_count; i++)
        strlist_copy(&app_spec_env_block(to, from->env_named[i].name)->env,
                     &from->env_named[i].env);
    to->instances_given = from->instances_given;
    to->line = from->line;
}

static bool fields_equal(const struct option *o, const void *a, const void *b)
{
    switch (option_storage(o->type)) {
    case STORE_STRING:
        return str_eq(*(char *const *)a, *(char *const *)b);
    case STORE_LIST:
        return strlist_equal(a, b);
    case STORE_BOOL:
        return *(const bool *)a == *(const bool *)b;
    case STORE_INT:
        return *(const int *)a == *(const int *)b;
    case STORE_SIZE:
        return *(const int64_t *)a == *(const int64_t *)b;
    }
    return false;
}

bool app_spec_field_equal(const struct option *o, const struct app_spec *a,
                          const struct app_spec *b)
{
    return fields_equal(o, option_field_const(o, a), option_field_const(o, b));
}

bool app_spec_equal(const struct app_spec *a, const struct app_spec *b)
{
    for (const struct option *o = options; o < options + option_count; o++)
        if (!app_spec_field_equal(o, a, b))
            return false;
    if (a->env_named_count != b->env_named_count)
        return false;
    for (size_t i = 0; i < a->env_named_count; i++)
        if (!str_eq(a->env_named[i].name, b->env_named[i].name) ||
            !strlist_equal(&a->env_named[i].env, &b->env_named[i].env))
            return false;
    return true;
}

static struct env_block *find_env_block(const struct app_spec *spec, const char *name)
{
    for (size_t i = 0; i < spec->env_named_count; i++)
        if (str_eq(spec->env_named[i].name, name))
            return &spec->env_named[i];
    return NULL;
}

struct env_block *app_spec_env_block(struct app_spec *spec, const char *name)
{
    struct env_block *block = find_env_block(spec, name);
    if (block)
        return block;
    size_t count = spec->env_named_count + 1;
    spec->env_named = xreallocarray(spec->env_named, count, sizeof *spec->env_named);
    block = &spec->env_named[spec->env_named_count++];
    *block = (struct env_block){.name = xstrdup(name)};
    return block;
}

static char *nearest_env_block(const struct app_spec *spec, const char *name)
{
    AUTOFREE const char **names = xcalloc(spec->env_named_count, sizeof *names);
    for (size_t i = 0; i < spec->env_named_count; i++) {
        names[i] = spec->env_named[i].name;
        /* "prod" for "production" is no slip but a habit. */
        if (str_starts(names[i], name))
            return xstrdup(names[i]);
    }
    return xstrdup_null(str_nearest(name, names, spec->env_named_count));
}

bool app_spec_select_env(struct app_spec *spec, const char *name, char **ret_nearest)
{
    const struct env_block *block = find_env_block(spec, name);
    if (!block && ret_nearest)
        *ret_nearest = nearest_env_block(spec, name);
    for (size_t i = 0; block && i < block->env.count; i++) {
        const char *entry = block->env.items[i], *equals = strchr(entry, '=');
        AUTOFREE char *variable = xstrndup(entry, (size_t)(equals - entry));
        env_set(&spec->env, variable, equals + 1);
    }
    clear_env_blocks(spec);
    return block != NULL;
}

const char *app_name_problem(const char *name, char space[static NAME_PROBLEM_TEXT])
{
    size_t len = strlen(name);
    if (len == 0)
        return "a name must not be empty";
    if (len > LIMIT_NAME) {
        (void)snprintf(space, NAME_PROBLEM_TEXT, "a name has at most %u bytes, this one %zu",
                       LIMIT_NAME, len);
        return space;
    }
    if (str_eq(name, "all"))
        return "\"all\" is reserved: commands take it for all apps";
    if (!text_is_utf8(name))
        return "a name must be UTF-8";
    for (const char *p = name; *p; p++) {
        unsigned char c = (unsigned char)*p, next = (unsigned char)p[1];
        bool c1 = c == 0xc2 && next < 0xa0;
        if (c == '/')
            return "a name must not contain '/', because log files are named after it";
        if (c >= 0x20 && c != 0x7f && !c1)
            continue;
        (void)snprintf(space, NAME_PROBLEM_TEXT,
                       "a name must not contain the control character U+%04X", c1 ? next : c);
        return space;
    }
    return NULL;
}

/* The program's word in a command line: the first that is no assignment. */
static char *command_word(const char *command)
{
    AUTOSTRLIST struct strlist words = {0};
    if (words_split(command, &words) < 0)
        return xstrdup(command);
    for (size_t i = 0; i < words.count; i++)
        if (!strchr(words.items[i], '='))
            return xstrdup(words.items[i]);
    return xstrdup(command);
}

char *app_name_from_script(const char *script, bool is_command)
{
    AUTOFREE char *program = is_command ? command_word(script) : xstrdup(script);
    const char *base = path_base(program), *dot = strrchr(base, '.');
    return xstrndup(base, dot && dot != base ? (size_t)(dot - base) : strlen(base));
}
