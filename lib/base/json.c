#include "lib/base/json.h"

#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

/* jansson goes 2048 levels deep, in recursion.  Whether the text is JSON at all is its business. */
static bool is_too_deep(const char *text, size_t len)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < len && depth <= LIMIT_JSON_DEPTH; i++) {
        char c = text[i];
        if (c == '"')
            in_string = !in_string;
        else if (in_string)
            i += c == '\\';
        else if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && depth > 0)
            depth--;
    }
    return depth > LIMIT_JSON_DEPTH;
}

json_t *json_object_parse(const char *text, size_t len)
{
    if (is_too_deep(text, len))
        return NULL;
    json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(j))
        return j;
    json_decref(j);
    return NULL;
}

static int add_piece(const char *piece, size_t len, void *arg)
{
    return buf_add(arg, piece, len) < 0 ? -1 : 0;
}

int json_to_buf(const json_t *j, struct buf *out)
{
    size_t before = out->len;
    if (json_dump_callback(j, add_piece, out, JSON_COMPACT | JSON_ENCODE_ANY) == 0)
        return 0;
    buf_cut(out, before);
    return buf_add(out, "", out->limit - before + 1);
}

const char *json_get_string(const json_t *object, const char *key, const char *fallback)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : fallback;
}

int64_t json_get_int(const json_t *object, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? json_integer_value(value) : fallback;
}

double json_get_number(const json_t *object, const char *key, double fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : fallback;
}

bool json_get_bool(const json_t *object, const char *key, bool fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : fallback;
}

/* jansson refuses text that is not UTF-8; a log tail or an environment may hold any bytes. */
static json_t *any_string(const char *value)
{
    json_t *j = json_string(value);
    if (j)
        return j;
    AUTOFREE char *plain = xstrdup(value);
    for (char *c = plain; *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    return json_string(plain);
}

void json_set_string(json_t *object, const char *key, const char *value)
{
    if (value)
        (void)json_object_set_new(object, key, any_string(value));
}

void json_set_int(json_t *object, const char *key, int64_t value)
{
    (void)json_object_set_new(object, key, json_integer(value));
}

void json_set_bool(json_t *object, const char *key, bool value)
{
    (void)json_object_set_new(object, key, json_boolean(value));
}

void json_set_time(json_t *object, const char *key, int64_t at_ms)
{
    (void)json_object_set_new(object, key, at_ms ? json_integer(at_ms) : json_null());
}

json_t *json_from_strlist(const struct strlist *list)
{
    json_t *array = json_array();
    for (size_t i = 0; i < list->count; i++)
        (void)json_array_append_new(array, any_string(list->items[i]));
    return array;
}

void json_to_strlist(const json_t *array, struct strlist *list)
{
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item) if (json_is_string(item))
        strlist_add(list, json_string_value(item));
}

json_t *json_from_env(const struct strlist *env)
{
    json_t *object = json_object();
    for (size_t i = 0; i < env->count; i++) {
        const char *equals = strchr(env->items[i], '=');
        if (!equals)
            continue;
        AUTOFREE char *name = xstrndup(env->items[i], (size_t)(equals - env->items[i]));
        if (json_object_set_new(object, name, any_string(equals + 1)) < 0)
            log_debug("the environment's variable %s has a name that is not UTF-8, passing it over",
                      name);
    }
    return object;
}

void json_to_env(const json_t *object, struct strlist *env)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value) if (json_is_string(value))
        env_set(env, name, json_string_value(value));
}
