#include "supervisor/cli/secret.h"

#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/str.h"

static bool has_credentials(const char *value)
{
    const char *host = strstr(value, "://");
    if (!host)
        return false;
    host += 3;
    const char *at = memchr(host, '@', strcspn(host, "/?# "));
    return at && at > host;
}

bool secret_looks(const char *name, const char *value)
{
    static const char *const words[] = {"KEY",        "TOKEN", "SECRET",  "PASS",   "PWD",
                                        "CREDENTIAL", "AUTH",  "PRIVATE", "COOKIE", "DSN"};
    /* The shell's working directories. */
    if (str_eq(name, "PWD") || str_eq(name, "OLDPWD"))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strcasestr(name, words[i]))
            return true;
    return has_credentials(value);
}

void secret_mask_env(json_t *env)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(env, next, name, value)
    {
        if (json_is_string(value) && secret_looks(name, json_string_value(value)))
            (void)json_object_set_new(env, name, json_string("***"));
    }
}

void secret_mask_apps(json_t *apps)
{
    size_t i;
    json_t *app;
    json_array_foreach(apps, i, app)
    {
        secret_mask_env(json_object_get(app, "env"));
        secret_mask_env(json_object_get(json_object_get(app, "spec"), "env"));
    }
}
