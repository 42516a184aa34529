#include "ecosystem/option_set.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ecosystem/config_error.h"
#include "ecosystem/cron.h"
#include "ecosystem/env_filter.h"
#include "ecosystem/exit_codes.h"
#include "ecosystem/node.h"
#include "ecosystem/spec.h"
#include "ecosystem/words.h"
#include "ecosystem/zone.h"
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
    char found[NODE_FOUND_TEXT], expected[OPTION_EXPECTED_TEXT];
    return config_error_set(reterr, ERR_INVALID, v->line, o->key, "expected %s, found %s",
                            option_expected(o, expected), node_found(v, found));
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

static int refuse(const struct option *o, const struct node *v, struct config_error *reterr,
                  const char *problem)
{
    return config_error_set(reterr, ERR_INVALID, v->line, o->key, "%s", problem);
}

/* `*field` becomes a copy of `text`. */
static void replace_string(char **field, const char *text)
{
    char *copy = xstrdup_null(text);
    free(*field);
    *field = copy;
}

/* A text that is there and that the kernel takes. */
static int check_string(const struct option *o, const struct node *v, struct config_error *reterr)
{
    if (v->kind != NODE_STRING)
        return wrong_type(o, v, reterr);
    int r = check_text(o->key, v, reterr);
    if (r < 0)
        return r;
    return v->len == 0 && o->type != OPTION_NAME ? refuse(o, v, reterr, "must not be empty") : 0;
}

static int set_string(const struct option *o, void *field, const struct node *v,
                      struct config_error *reterr)
{
    int r = check_string(o, v, reterr);
    if (r == 0)
        replace_string(field, v->text);
    return r;
}

/* PM2 takes an empty text for none. */
static int set_text(const struct option *o, void *field, const struct node *v,
                    struct config_error *reterr)
{
    if (v->kind != NODE_STRING || v->len > 0)
        return set_string(o, field, v, reterr);
    replace_string(field, NULL);
    return 0;
}

static int set_name(const struct option *o, void *field, const struct node *v,
                    struct config_error *reterr)
{
    char space[NAME_PROBLEM_TEXT];
    int r = check_string(o, v, reterr);
    const char *problem = r == 0 ? app_name_problem(v->text, space) : NULL;
    if (problem)
        r = refuse(o, v, reterr, problem);
    if (r == 0)
        replace_string(field, v->text);
    return r;
}

static int set_log_file(const struct option *o, void *field, const struct node *v,
                        struct config_error *reterr)
{
    if (v->kind != NODE_BOOL)
        return v->kind == NODE_STRING ? set_text(o, field, v, reterr) : wrong_type(o, v, reterr);
    replace_string(field, v->truth ? "true" : NULL);
    return 0;
}

static int set_variable_name(const struct option *o, void *field, const struct node *v,
                             struct config_error *reterr)
{
    int r = check_string(o, v, reterr);
    if (r == 0 && strchr(v->text, '='))
        r = refuse(o, v, reterr, "a variable's name must not contain '='");
    if (r == 0)
        replace_string(field, v->text);
    return r;
}

/* Whether there is such a user is asked when the app is resolved. */
static int set_user(const struct option *o, void *field, const struct node *v,
                    struct config_error *reterr)
{
    int64_t id;
    if (v->kind == NODE_STRING && v->len > 0 && strspn(v->text, "0123456789") < v->len)
        return set_string(o, field, v, reterr);
    if (!get_whole(v, &id) || id < 0 || id >= UINT32_MAX)
        return wrong_type(o, v, reterr);
    AUTOFREE char *text = xasprintf("%lld", (long long)id);
    replace_string(field, text);
    return 0;
}

static bool is_none(const struct node *v)
{
    if (v->kind == NODE_STRING)
        return v->len == 0 || str_eq(v->text, "0");
    return (v->kind == NODE_BOOL && !v->truth) || (v->kind == NODE_NUMBER && v->number == 0);
}

static int set_cron(const struct option *o, void *field, const struct node *v,
                    struct config_error *reterr)
{
    char problem[CRON_ERROR_TEXT], found[NODE_FOUND_TEXT], expected[OPTION_EXPECTED_TEXT];
    struct cron unused;
    if (is_none(v)) {
        replace_string(field, NULL);
        return 0;
    }
    int r = check_string(o, v, reterr);
    if (r < 0)
        return r;
    if (cron_parse(v->text, &unused, problem) < 0)
        return config_error_set(reterr, ERR_INVALID, v->line, o->key, "expected %s, found %s: %s",
                                option_expected(o, expected), node_found(v, found), problem);
    replace_string(field, v->text);
    return 0;
}

static int set_zone(const struct option *o, void *field, const struct node *v,
                    struct config_error *reterr)
{
    AUTOZONE struct zone *zone = NULL;
    int r = check_string(o, v, reterr);
    if (r < 0)
        return r;
    if (zone_load(v->text, &zone) < 0)
        return wrong_type(o, v, reterr);
    replace_string(field, v->text);
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

static int set_list(const struct option *o, void *field, const struct node *v,
                    struct config_error *reterr)
{
    AUTOSTRLIST struct strlist list = {0};
    int r = read_list(o, v, &list, reterr);
    if (r == 0)
        replace_list(field, &list);
    return r;
}

static int set_files(const struct option *o, void *field, const struct node *v,
                     struct config_error *reterr)
{
    AUTOSTRLIST struct strlist list = {0};
    int r = v->kind == NODE_STRING ? check_string(o, v, reterr) : read_list(o, v, &list, reterr);
    if (r < 0)
        return r;
    if (v->kind == NODE_STRING)
        strlist_add(&list, v->text);
    for (size_t i = 0; i < list.count; i++)
        if (!*list.items[i])
            return refuse(o, v, reterr, "has an empty path in it");
    replace_list(field, &list);
    return 0;
}

static int set_names(const struct option *o, void *field, const struct node *v,
                     struct config_error *reterr)
{
    char space[NAME_PROBLEM_TEXT];
    AUTOSTRLIST struct strlist list = {0};
    int r = v->kind == NODE_STRING ? check_string(o, v, reterr) : read_list(o, v, &list, reterr);
    if (r == 0 && v->kind == NODE_STRING)
        strlist_add(&list, v->text);
    for (size_t i = 0; r == 0 && i < list.count; i++) {
        const char *problem = app_name_problem(list.items[i], space);
        if (problem)
            r = refuse(o, v, reterr, problem);
    }
    if (r == 0)
        replace_list(field, &list);
    return r;
}

static int set_watch(const struct option *o, void *field, const struct node *v,
                     struct config_error *reterr)
{
    AUTOSTRLIST struct strlist list = {0};
    if (v->kind != NODE_BOOL)
        return v->kind == NODE_STRING || v->kind == NODE_LIST ? set_list(o, field, v, reterr)
                                                              : wrong_type(o, v, reterr);
    if (v->truth)
        strlist_add(&list, ".");
    replace_list(field, &list);
    return 0;
}

static int set_exit_codes(const struct option *o, void *field, const struct node *v,
                          struct config_error *reterr)
{
    char normal[EXIT_CODE_TEXT], expected[OPTION_EXPECTED_TEXT];
    AUTOSTRLIST struct strlist list = {0}, codes = {0};
    int r = v->kind == NODE_NUMBER ? add_item(o, v, &list, reterr) : read_list(o, v, &list, reterr);
    if (r < 0)
        return r;
    for (size_t i = 0; i < list.count; i++) {
        if (!exit_code_normal(list.items[i], normal))
            return config_error_set(reterr, ERR_INVALID, v->line, o->key,
                                    "expected %s, found \"%s\"", option_expected(o, expected),
                                    list.items[i]);
        strlist_add(&codes, normal);
    }
    replace_list(field, &codes);
    return 0;
}

static int set_env_filter(const struct option *o, void *field, const struct node *v,
                          struct config_error *reterr)
{
    AUTOSTRLIST struct strlist list = {0}, filter = {0};
    int r = 0;
    if (v->kind == NODE_BOOL && v->truth)
        strlist_add(&filter, "*");
    else if (v->kind == NODE_STRING)
        r = check_text(o->key, v, reterr);
    else if (v->kind != NODE_BOOL)
        r = v->kind == NODE_LIST ? read_list(o, v, &list, reterr) : wrong_type(o, v, reterr);
    if (r < 0)
        return r;
    for (size_t i = 0; i < list.count; i++)
        if (*list.items[i])
            env_filter_add_part(&filter, list.items[i]);
    if (v->kind == NODE_STRING && v->len > 0 && strchr(v->text, '*'))
        return refuse(o, v, reterr,
                      "a variable's name must not contain '*'; write a list for "
                      "parts of names");
    if (v->kind == NODE_STRING && v->len > 0)
        strlist_add(&filter, v->text);
    replace_list(field, &filter);
    return 0;
}

static int set_bool(const struct option *o, void *field, const struct node *v,
                    struct config_error *reterr)
{
    char found[NODE_FOUND_TEXT];
    bool quoted = v->kind == NODE_STRING && (str_eq(v->text, "true") || str_eq(v->text, "false"));
    if (quoted)
        return config_error_set(reterr, ERR_INVALID, v->line, o->key,
                                "expected true or false, found the string %s; write it without "
                                "quotes",
                                node_found(v, found));
    if (v->kind != NODE_BOOL)
        return wrong_type(o, v, reterr);
    *(bool *)field = v->truth;
    return 0;
}

static int set_int(const struct option *o, void *field, const struct node *v,
                   struct config_error *reterr)
{
    char found[NODE_FOUND_TEXT];
    int64_t value;
    if (!get_whole(v, &value))
        return wrong_type(o, v, reterr);
    if (value < o->min || value > o->max)
        return config_error_set(reterr, ERR_INVALID, v->line, o->key,
                                "expected a whole number from %d to %d, found %s", o->min, o->max,
                                node_found(v, found));
    *(int *)field = (int)value;
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

static int set_duration(const struct option *o, void *field, const struct node *v,
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
    *(int *)field = (int)(ms + 0.5);
    return 0;
}

static bool get_size(const struct node *v, int64_t *ret_bytes)
{
    if (v->kind == NODE_STRING)
        return str_to_size(v->text, ret_bytes) == 0;
    return get_whole(v, ret_bytes);
}

static int set_size(const struct option *o, void *field, const struct node *v,
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
    *(int64_t *)field = bytes;
    return 0;
}

static int64_t cpu_count(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count;
}

static int set_instances(const struct option *o, void *field, const struct node *v,
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
    *(int *)field = value < 1 ? 1 : (int)value;
    return 0;
}

static int set_profiling(const struct option *o, void *field, const struct node *v,
                         struct config_error *reterr)
{
    enum profiling *profiling = field;
    if (v->kind == NODE_BOOL)
        *profiling = v->truth ? PROFILING_ON_DEMAND : PROFILING_OFF;
    else if (v->kind == NODE_STRING && str_eq(v->text, "on-demand"))
        *profiling = PROFILING_ON_DEMAND;
    else if (v->kind == NODE_STRING && str_eq(v->text, "always"))
        *profiling = PROFILING_ALWAYS;
    else
        return wrong_type(o, v, reterr);
    return 0;
}

static int set_signal(const struct option *o, void *field, const struct node *v,
                      struct config_error *reterr)
{
    int signal = v->kind == NODE_STRING || v->kind == NODE_NUMBER ? signal_from_text(v->text) : 0;
    if (signal == 0)
        return wrong_type(o, v, reterr);
    *(int *)field = signal;
    return 0;
}

static int set_word(const struct option *o, void *field, const struct node *v,
                    struct config_error *reterr)
{
    int number = v->kind == NODE_STRING ? option_word_find(o, v->text) : -1;
    if (number < 0)
        return wrong_type(o, v, reterr);
    *(int *)field = number;
    return 0;
}

static int set_env(const struct option *o, void *field, const struct node *v,
                   struct config_error *reterr)
{
    return option_read_env(o->key, v, field, reterr);
}

typedef int (*set_cb)(const struct option *o, void *field, const struct node *v,
                      struct config_error *reterr);

// clang-format off
static const set_cb setters[] = {
    [OPTION_NAME] = set_name, [OPTION_STRING] = set_string, [OPTION_TEXT] = set_text, [OPTION_PATH] = set_text,
    [OPTION_LOG_FILE] = set_log_file, [OPTION_VARIABLE] = set_variable_name, [OPTION_USER] = set_user,
    [OPTION_CRON] = set_cron, [OPTION_ZONE] = set_zone, [OPTION_LIST] = set_list,
    [OPTION_FILES] = set_files, [OPTION_NAMES] = set_names, [OPTION_WATCH] = set_watch,
    [OPTION_EXIT_CODES] = set_exit_codes, [OPTION_ENV_FILTER] = set_env_filter, [OPTION_ENV] = set_env,
    [OPTION_BOOL] = set_bool, [OPTION_INT] = set_int, [OPTION_DURATION] = set_duration,
    [OPTION_INSTANCES] = set_instances, [OPTION_SIGNAL] = set_signal, [OPTION_WORD] = set_word,
    [OPTION_PROFILING] = set_profiling, [OPTION_SIZE] = set_size,
};
// clang-format on

/* Two settings that say the same in two ways stay of one mind; the later counts. */
static void follow(const struct option *o, struct app_spec *spec)
{
    if (o->offset == offsetof(struct app_spec, restart))
        spec->autorestart = spec->restart != RESTART_NEVER;
    else if (o->offset == offsetof(struct app_spec, autorestart) && !spec->autorestart)
        spec->restart = RESTART_NEVER;
    else if (o->offset == offsetof(struct app_spec, autorestart) && spec->restart == RESTART_NEVER)
        spec->restart = RESTART_ALWAYS;
    else if (o->offset == offsetof(struct app_spec, instances))
        spec->instances_given = true;
}

int option_set(const struct option *o, struct app_spec *spec, const struct node *value,
               struct config_error *reterr)
{
    int r = setters[o->type](o, option_field(o, spec), value, reterr);
    if (r == 0)
        follow(o, spec);
    return r;
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

/* Is `text` for this option a boolean rather than a text? */
static bool is_truth(const struct option *o, const char *text)
{
    switch (o->type) {
    case OPTION_BOOL:
    case OPTION_PROFILING:
    case OPTION_LOG_FILE:
    case OPTION_WATCH:
    case OPTION_ENV_FILTER:
    case OPTION_CRON:
        return str_eq(text, "true") || str_eq(text, "false");
    default:
        return false;
    }
}

int option_set_text(const struct option *o, struct app_spec *spec, const char *text,
                    struct config_error *reterr)
{
    struct node value = {.kind = NODE_STRING, .text = (char *)text, .len = strlen(text)};
    if (!text_is_utf8(text))
        return config_error_set(reterr, ERR_INVALID, 0, o->key, "is not UTF-8");
    int r = check_text(o->key, &value, reterr);
    if (r < 0)
        return r;
    if (o->type == OPTION_ENV)
        return set_variable(option_field(o, spec), text, reterr);
    if (is_truth(o, text))
        value = (struct node){.kind = NODE_BOOL, .truth = str_eq(text, "true")};
    return option_set(o, spec, &value, reterr);
}

int app_spec_set(struct app_spec *spec, const char *key, const char *text,
                 struct config_error *reterr)
{
    const struct option *o = option_find(key, NULL);
    if (o)
        return option_set_text(o, spec, text, reterr);
    const char *nearest = option_nearest(key);
    return config_error_set(reterr, ERR_INVALID, 0, key, "there is no such setting%s%s%s",
                            nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                            nearest ? "\"?" : "");
}
