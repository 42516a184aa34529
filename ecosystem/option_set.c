#include "ecosystem/option_set.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ecosystem/config_error.h"
#include "ecosystem/node.h"
#include "ecosystem/spec.h"
#include "ecosystem/words.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

void *option_field(const struct option *o, struct app_spec *spec)
{
    return (char *)spec + o->offset;
}

const void *option_field_const(const struct option *o, const struct app_spec *spec)
{
    return (const char *)spec + o->offset;
}

static int wrong_type(const struct option *o, const struct node *v, struct config_error *reterr)
{
    char found[NODE_FOUND_TEXT];
    return config_error_set(reterr, ERR_INVALID, v->line, o->key, "expected %s, found %s",
                            option_type_text(o->type), node_found(v, found));
}

/* What no string of ours may be: too long for the kernel, or cut short by a NUL. */
static int check_text(const char *key, const struct node *v, struct config_error *reterr)
{
    if (v->len >= LIMIT_STRING)
        return config_error_set(reterr, ERR_INVALID, v->line, key,
                                "has %zu bytes, and one string may have at most %u", v->len,
                                LIMIT_STRING - 1);
    if (strlen(v->text) != v->len)
        return config_error_set(reterr, ERR_INVALID, v->line, key, "contains a NUL character");
    return 0;
}

static int set_string(const struct option *o, char **field, const struct node *v,
                      struct config_error *reterr)
{
    char space[NAME_PROBLEM_TEXT];
    if (v->kind != NODE_STRING)
        return wrong_type(o, v, reterr);
    int r = check_text(o->key, v, reterr);
    if (r < 0)
        return r;
    const char *problem = v->len == 0 ? "must not be empty" : NULL;
    if (o->type == OPTION_NAME)
        problem = app_name_problem(v->text, space);
    if (problem)
        return config_error_set(reterr, ERR_INVALID, v->line, o->key, "%s", problem);
    free(*field);
    *field = xstrdup(v->text);
    return 0;
}

static int too_many(const char *key, unsigned line, struct config_error *reterr)
{
    return config_error_set(reterr, ERR_INVALID, line, key, "has more than %u entries", LIMIT_LIST);
}

static int add_item(const struct option *o, const struct node *item, struct strlist *list,
                    struct config_error *reterr)
{
    char found[NODE_FOUND_TEXT];
    if (item->kind == NODE_BOOL) {
        strlist_add(list, item->truth ? "true" : "false");
        return 0;
    }
    if (item->kind != NODE_STRING && item->kind != NODE_NUMBER)
        return config_error_set(reterr, ERR_INVALID, item->line, o->key,
                                "expected only strings in the list, found %s",
                                node_found(item, found));
    int r = check_text(o->key, item, reterr);
    if (r == 0)
        strlist_add(list, item->text);
    return r;
}

static int read_list(const struct option *o, const struct node *v, struct strlist *list,
                     struct config_error *reterr)
{
    char found[NODE_FOUND_TEXT];
    if (v->kind == NODE_STRING) {
        int r = check_text(o->key, v, reterr);
        if (r < 0)
            return r;
        if (words_split(v->text, list) < 0)
            return config_error_set(reterr, ERR_INVALID, v->line, o->key,
                                    "a quote is not closed in %s", node_found(v, found));
        return list->count > LIMIT_LIST ? too_many(o->key, v->line, reterr) : 0;
    }
    if (v->kind != NODE_LIST)
        return wrong_type(o, v, reterr);
    for (const struct node *item = v->first; item; item = item->next) {
        if (list->count == LIMIT_LIST)
            return too_many(o->key, item->line, reterr);
        int r = add_item(o, item, list, reterr);
        if (r < 0)
            return r;
    }
    return 0;
}

/* `*field` becomes `*list`, which is empty afterwards. */
static void replace_list(struct strlist *field, struct strlist *list)
{
    strlist_clear(field);
    *field = *list;
    *list = (struct strlist){0};
}

static int set_list(const struct option *o, struct strlist *field, const struct node *v,
                    struct config_error *reterr)
{
    AUTOSTRLIST struct strlist list = {0};
    int r = read_list(o, v, &list, reterr);
    if (r == 0)
        replace_list(field, &list);
    return r;
}

static int set_bool(const struct option *o, bool *field, const struct node *v,
                    struct config_error *reterr)
{
    char found[NODE_FOUND_TEXT];
    bool quoted = v->kind == NODE_STRING && (str_eq(v->text, "true") || str_eq(v->text, "false"));
    if (quoted)
        return config_error_set(reterr, ERR_INVALID, v->line, o->key,
                                "expected %s, found the string %s; write it without quotes",
                                option_type_text(o->type), node_found(v, found));
    if (v->kind != NODE_BOOL)
        return wrong_type(o, v, reterr);
    *field = v->truth;
    return 0;
}

/* A whole number, also one in a string; 4.0 and 1e3 are whole. */
static bool get_whole(const struct node *v, int64_t *ret_value)
{
    if (v->kind == NODE_STRING)
        return str_to_int(v->text, INT64_MIN, INT64_MAX, ret_value) == 0;
    if (v->kind != NODE_NUMBER || fabs(v->number) > 0x1p53 || floor(v->number) != v->number)
        return false;
    *ret_value = (int64_t)v->number;
    return true;
}

static int set_int(const struct option *o, int *field, const struct node *v,
                   struct config_error *reterr)
{
    char found[NODE_FOUND_TEXT];
    int64_t value;
    if (!get_whole(v, &value))
        return wrong_type(o, v, reterr);
    if (value < o->min || value > o->max)
        return config_error_set(reterr, ERR_INVALID, v->line, o->key,
                                "expected %s from %d to %d, found %s", option_type_text(o->type),
                                o->min, o->max, node_found(v, found));
    *field = (int)value;
    return 0;
}

static bool get_ms(const struct node *v, double *ret_ms)
{
    int64_t us;
    if (v->kind == NODE_STRING) {
        if (str_to_duration_us(v->text, 1000, &us) < 0)
            return false;
        *ret_ms = (double)us / 1000;
        return true;
    }
    *ret_ms = v->number;
    return v->kind == NODE_NUMBER;
}

static int set_duration(const struct option *o, int *field, const struct node *v,
                        struct config_error *reterr)
{
    char found[NODE_FOUND_TEXT];
    double ms;
    if (!get_ms(v, &ms))
        return wrong_type(o, v, reterr);
    if (ms < o->min || ms > o->max)
        return config_error_set(reterr, ERR_INVALID, v->line, o->key,
                                "expected a time from %d to %d ms, found %s", o->min, o->max,
                                node_found(v, found));
    *field = (int)(ms + 0.5);
    return 0;
}

static bool get_size(const struct node *v, int64_t *ret_bytes)
{
    if (v->kind == NODE_STRING)
        return str_to_size(v->text, ret_bytes) == 0;
    return get_whole(v, ret_bytes);
}

static int set_size(const struct option *o, int64_t *field, const struct node *v,
                    struct config_error *reterr)
{
    char found[NODE_FOUND_TEXT];
    int64_t bytes;
    if (!get_size(v, &bytes))
        return wrong_type(o, v, reterr);
    if (bytes != 0 && bytes < o->min)
        return config_error_set(reterr, ERR_INVALID, v->line, o->key,
                                "expected 0 or a size of at least %d bytes, found %s", o->min,
                                node_found(v, found));
    *field = bytes;
    return 0;
}

static int64_t cpu_count(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count;
}

static int set_instances(const struct option *o, int *field, const struct node *v,
                         struct config_error *reterr)
{
    char found[NODE_FOUND_TEXT];
    int64_t value = 0;
    bool max = v->kind == NODE_STRING && str_eq(v->text, "max");
    if (!max && !get_whole(v, &value))
        return wrong_type(o, v, reterr);
    if (value > LIMIT_INSTANCES_PER_APP)
        return config_error_set(reterr, ERR_INVALID, v->line, o->key,
                                "expected at most %u instances, found %s", LIMIT_INSTANCES_PER_APP,
                                node_found(v, found));
    if (value <= 0)
        value = cpu_count() + (value < INT_MIN ? INT_MIN : value);
    if (value > LIMIT_INSTANCES_PER_APP)
        value = LIMIT_INSTANCES_PER_APP;
    *field = value < 1 ? 1 : (int)value;
    return 0;
}

static int set_profiling(const struct option *o, enum profiling *field, const struct node *v,
                         struct config_error *reterr)
{
    if (v->kind == NODE_BOOL)
        *field = v->truth ? PROFILING_ON_DEMAND : PROFILING_OFF;
    else if (v->kind == NODE_STRING && str_eq(v->text, "on-demand"))
        *field = PROFILING_ON_DEMAND;
    else if (v->kind == NODE_STRING && str_eq(v->text, "always"))
        *field = PROFILING_ALWAYS;
    else
        return wrong_type(o, v, reterr);
    return 0;
}

/* ---- environments ---------------------------------------------------------------------------- */

static int env_error(const char *key, const struct node *v, struct config_error *reterr,
                     const char *problem)
{
    AUTOFREE char *place = xasprintf("%s.%s", key, v->key);
    return config_error_set(reterr, ERR_INVALID, v->line, place, "%s", problem);
}

static int env_value(const char *key, const struct node *v, struct buf *text,
                     struct config_error *reterr)
{
    int r = 0;
    switch (v->kind) {
    case NODE_NULL:
        return env_error(key, v, reterr, "null is no value; write \"\" or leave the variable out");
    case NODE_BOOL:
        r = buf_addstr(text, v->truth ? "true" : "false");
        break;
    case NODE_NUMBER:
    case NODE_STRING:
        r = buf_add(text, v->text, v->len);
        break;
    case NODE_LIST:
    case NODE_OBJECT:
        if (!v->raw)
            return env_error(key, v, reterr, "expected a string");
        r = node_raw_compact(v, text);
        break;
    }
    if (r < 0)
        return env_error(key, v, reterr,
                         "longer than the 128 KiB that the kernel allows for a variable");
    if (strlen(buf_str(text)) != text->len)
        return env_error(key, v, reterr, "contains a NUL character");
    return 0;
}

static int add_variable(const char *key, const struct node *v, struct strlist *env,
                        struct config_error *reterr)
{
    if (v->key[0] == '\0')
        return config_error_set(reterr, ERR_INVALID, v->line, key, "a variable has an empty name");
    if (strchr(v->key, '='))
        return env_error(key, v, reterr, "a variable's name must not contain '='");
    AUTOBUF struct buf entry = BUF_INIT(LIMIT_STRING - 1);
    int r = buf_addf(&entry, "%s=", v->key);
    if (r < 0)
        return config_error_set(reterr, ERR_INVALID, v->line, key, "a variable's name is too long");
    r = env_value(key, v, &entry, reterr);
    if (r == 0)
        strlist_add_taken(env, buf_take(&entry));
    return r;
}

int option_read_env(const char *key, const struct node *value, struct strlist *env,
                    struct config_error *reterr)
{
    char found[NODE_FOUND_TEXT];
    AUTOSTRLIST struct strlist list = {0};
    if (value->kind != NODE_OBJECT)
        return config_error_set(reterr, ERR_INVALID, value->line, key, "expected %s, found %s",
                                option_type_text(OPTION_ENV), node_found(value, found));
    for (const struct node *v = value->first; v; v = v->next) {
        if (list.count == LIMIT_LIST)
            return too_many(key, v->line, reterr);
        int r = add_variable(key, v, &list, reterr);
        if (r < 0)
            return r;
    }
    replace_list(env, &list);
    return 0;
}

int option_set(const struct option *o, struct app_spec *spec, const struct node *value,
               struct config_error *reterr)
{
    void *field = option_field(o, spec);
    switch (o->type) {
    case OPTION_NAME:
    case OPTION_STRING:
        return set_string(o, field, value, reterr);
    case OPTION_LIST:
        return set_list(o, field, value, reterr);
    case OPTION_BOOL:
        return set_bool(o, field, value, reterr);
    case OPTION_INT:
        return set_int(o, field, value, reterr);
    case OPTION_DURATION:
        return set_duration(o, field, value, reterr);
    case OPTION_SIZE:
        return set_size(o, field, value, reterr);
    case OPTION_INSTANCES:
        return set_instances(o, field, value, reterr);
    case OPTION_ENV:
        return option_read_env(o->key, value, field, reterr);
    case OPTION_PROFILING:
        return set_profiling(o, field, value, reterr);
    }
    return ERR_INVALID;
}

/* ---- single options from text ---------------------------------------------------------------- */

static int set_variable(struct strlist *env, const char *text, struct config_error *reterr)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return config_error_set(reterr, ERR_INVALID, 0, "env", "expected NAME=value, found \"%s\"",
                                text);
    AUTOFREE char *name = xstrndup(text, (size_t)(equals - text));
    if (env->count >= LIMIT_LIST && !env_get(env, name))
        return too_many("env", 0, reterr);
    env_set(env, name, equals + 1);
    return 0;
}

int app_spec_set(struct app_spec *spec, const char *key, const char *text,
                 struct config_error *reterr)
{
    const struct option *o = option_find(key, NULL);
    if (!o) {
        const char *nearest = option_nearest(key);
        return config_error_set(reterr, ERR_INVALID, 0, key, "there is no such setting%s%s%s",
                                nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                                nearest ? "\"?" : "");
    }
    struct node value = {.kind = NODE_STRING, .text = (char *)text, .len = strlen(text)};
    if (!text_is_utf8(text))
        return config_error_set(reterr, ERR_INVALID, 0, o->key, "is not UTF-8");
    int r = check_text(o->key, &value, reterr);
    if (r < 0)
        return r;
    if (o->type == OPTION_ENV)
        return set_variable(option_field(o, spec), text, reterr);
    bool truth = str_eq(text, "true");
    bool takes_bool = o->type == OPTION_BOOL || o->type == OPTION_PROFILING;
    if (takes_bool && (truth || str_eq(text, "false")))
        value = (struct node){.kind = NODE_BOOL, .truth = truth};
    return option_set(o, spec, &value, reterr);
}
