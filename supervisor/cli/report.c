#include "supervisor/cli/report.h"

#include <stdbool.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/str.h"

/* A member of one of these names is replaced by its size. */
static const char *const secrets[] = {"env", "args",     "node_args",  "stderr",
                                      "ipc", "env_file", "filter_env", "token"};

static bool is_secret(const char *key)
{
    for (size_t i = 0; i < ARRAY_SIZE(secrets); i++)
        if (str_eq(secrets[i], key))
            return true;
    return false;
}

static json_t *size_of(const json_t *value)
{
    if (json_is_array(value))
        return json_integer((json_int_t)json_array_size(value));
    if (json_is_object(value))
        return json_integer((json_int_t)json_object_size(value));
    return json_integer((json_int_t)json_string_length(value));
}

/* A reason may end with the last lines of stderr. */
static void cut_error(json_t *object)
{
    const char *text = json_string_value(json_object_get(object, "error"));
    const char *end = text ? strstr(text, "; stderr ended with:") : NULL;
    if (end)
        (void)json_object_set_new(object, "error", json_stringn(text, (size_t)(end - text)));
}

void report_strip(json_t *j)
{
    const char *key;
    json_t *value;
    void *next;
    size_t i;
    json_array_foreach(j, i, value)
    {
        report_strip(value);
    }
    json_object_foreach_safe(j, next, key, value)
    {
        if (is_secret(key))
            (void)json_object_set_new(j, key, size_of(value));
        else
            report_strip(value);
    }
    if (json_is_object(j))
        cut_error(j);
}
