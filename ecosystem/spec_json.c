#include "ecosystem/spec_json.h"

#include <stdio.h>

#include "ecosystem/config_error.h"
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

static void add_field(json_t *object, const struct option *o, const void *field)
{
    switch (o->type) {
    case OPTION_NAME:
    case OPTION_STRING:
        json_set_string(object, o->key, *(char *const *)field);
        return;
    case OPTION_LIST:
        (void)json_object_set_new(object, o->key, json_from_strlist(field));
        return;
    case OPTION_ENV:
        (void)json_object_set_new(object, o->key, json_from_env(field));
        return;
    case OPTION_BOOL:
        json_set_bool(object, o->key, *(const bool *)field);
        return;
    case OPTION_INT:
    case OPTION_DURATION:
    case OPTION_INSTANCES:
        json_set_int(object, o->key, *(const int *)field);
        return;
    case OPTION_SIZE:
        json_set_int(object, o->key, *(const int64_t *)field);
        return;
    case OPTION_PROFILING:
        (void)json_object_set_new(object, o->key,
                                  profiling_to_json(*(const enum profiling *)field));
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

static int check_resolved(const struct app_spec *spec, struct config_error *reterr)
{
    if (!spec->name)
        return config_error_set(reterr, ERR_INVALID, 0, "name", "missing");
    int r = check_absolute("script", spec->script, reterr);
    if (r == 0)
        r = check_absolute("cwd", spec->cwd, reterr);
    if (r == 0 && !str_eq(spec->interpreter, "none"))
        r = check_absolute("interpreter", spec->interpreter, reterr);
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
