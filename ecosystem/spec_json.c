#include "ecosystem/spec_json.h"

#include <stdio.h>

#include "ecosystem/config_error.h"
#include "ecosystem/env_filter.h"
#include "ecosystem/exit_codes.h"
#include "ecosystem/node.h"
#include "ecosystem/option_set.h"
#include "ecosystem/options.h"
#include "ecosystem/spec.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

static json_t *profiling_to_json(enum profiling profiling)
{
    switch (profiling) {
    case PROFILING_ON_DEMAND:
        return json_string("on-demand");
    case PROFILING_OFF:
        return json_false();
    case PROFILING_ALWAYS:
        return json_string("always");
    }
    return json_null();
}

static json_t *list_to_json(const struct option *o, const struct strlist *list)
{
    switch (o->type) {
    case OPTION_ENV:
        return json_from_env(list);
    case OPTION_ENV_FILTER:
        return env_filter_to_json(list);
    default:
        return json_from_strlist(list);
    }
}

static json_t *int_to_json(const struct option *o, int value)
{
    char space[OPTION_EXPECTED_TEXT], name[EXIT_CODE_TEXT];
    switch (o->type) {
    case OPTION_WORD:
        return json_string(option_word(o, value, space));
    case OPTION_SIGNAL:
        return json_string(signal_name(value, name));
    case OPTION_PROFILING:
        return profiling_to_json((enum profiling)value);
    default:
        return json_integer(value);
    }
}

static void add_field(json_t *object, const struct option *o, const void *field)
{
    switch (option_storage(o->type)) {
    case STORE_STRING:
        json_set_string(object, o->key, *(char *const *)field);
        return;
    case STORE_LIST:
        (void)json_object_set_new(object, o->key, list_to_json(o, field));
        return;
    case STORE_BOOL:
        json_set_bool(object, o->key, *(const bool *)field);
        return;
    case STORE_INT:
        (void)json_object_set_new(object, o->key, int_to_json(o, *(const int *)field));
        return;
    case STORE_SIZE:
        json_set_int(object, o->key, *(const int64_t *)field);
        return;
    }
}

json_t *app_spec_to_json(const struct app_spec *spec)
{
    json_t *object = json_object();
    for (const struct option *o = options; o < options + option_count; o++)
        add_field(object, o, option_field_const(o, spec));
    return object;
}

static int check_absolute(const char *key, const char *path, struct config_error *reterr)
{
    if (!path)
        return config_error_set(reterr, ERR_INVALID, 0, key, "missing");
    if (path[0] == '/')
        return 0;
    return config_error_set(reterr, ERR_INVALID, 0, key, "expected an absolute path, found \"%s\"",
                            path);
}

/* Of the paths that need not be there. */
static int check_path(const struct option *o, const struct app_spec *spec,
                      struct config_error *reterr)
{
    const void *field = option_field_const(o, spec);
    const char *path = option_storage(o->type) == STORE_STRING ? *(char *const *)field : NULL;
    bool is_path = o->type == OPTION_PATH || (o->type == OPTION_LOG_FILE && !str_eq(path, "true"));
    if (is_path && path)
        return check_absolute(o->key, path, reterr);
    const struct strlist *files = o->type == OPTION_FILES ? field : NULL;
    for (size_t i = 0; files && i < files->count; i++) {
        int r = check_absolute(o->key, files->items[i], reterr);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_resolved(const struct app_spec *spec, struct config_error *reterr)
{
    if (!spec->name)
        return config_error_set(reterr, ERR_INVALID, 0, "name", "missing");
    int r = check_absolute("script", spec->script, reterr);
    if (r == 0)
        r = check_absolute("cwd", spec->cwd, reterr);
    if (r == 0 && !str_eq(spec->interpreter, "none"))
        r = check_absolute("interpreter", spec->interpreter, reterr);
    for (const struct option *o = options; r == 0 && o < options + option_count; o++)
        r = check_path(o, spec, reterr);
    return r;
}

static int read_fields(const struct node *object, struct app_spec *spec,
                       struct config_error *reterr)
{
    for (const struct option *o = options; o < options + option_count; o++) {
        const struct node *value = node_get(object, o->key);
        int r = value ? option_set(o, spec, value, reterr) : 0;
        if (r < 0)
            return r;
    }
    /* Apps from the time before there was a choice ran so. */
    if (spec->exec_mode == EXEC_AUTO)
        spec->exec_mode = EXEC_FORK;
    return check_resolved(spec, reterr);
}

int app_spec_from_json(const json_t *j, struct app_spec *ret_spec, char *reterr_text,
                       size_t reterr_size)
{
    AUTONODE struct node object = {0};
    AUTOSPEC struct app_spec spec = {0};
    struct config_error error;
    char space[CONFIG_ERROR_TEXT];
    int r;
    if (!json_is_object(j)) {
        r = config_error_set(&error, ERR_INVALID, 0, NULL, "an app must be an object");
    } else {
        node_from_json(j, &object);
        app_spec_init(&spec);
        r = read_fields(&object, &spec, &error);
    }
    if (r < 0) {
        config_error_place(&error, NULL, json_string_value(json_object_get(j, "name")));
        config_error_copy(reterr_text, reterr_size, config_error_format(&error, space));
        return r;
    }
    *ret_spec = spec;
    spec = (struct app_spec){0};
    return 0;
}
