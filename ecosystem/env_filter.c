#include "ecosystem/env_filter.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

void env_filter_add_part(struct strlist *filter, const char *text)
{
    strlist_addf(filter, "*%s*", text);
}

static bool is_part(const char *pattern)
{
    size_t len = strlen(pattern);
    return len > 2 && pattern[0] == '*' && pattern[len - 1] == '*';
}

/* What stands between the stars; the caller frees. */
static char *part_of(const char *pattern)
{
    return xstrndup(pattern + 1, strlen(pattern) - 2);
}

bool env_filter_drops(const struct strlist *filter, const char *name)
{
    for (size_t i = 0; i < filter->count; i++) {
        const char *pattern = filter->items[i];
        if (str_eq(pattern, "*") || str_eq(pattern, name))
            return true;
        if (!is_part(pattern))
            continue;
        AUTOFREE char *part = part_of(pattern);
        if (strstr(name, part))
            return true;
    }
    return false;
}

void env_filter_apply(const struct strlist *filter, struct strlist *env)
{
    AUTOSTRLIST struct strlist kept = {0};
    for (size_t i = 0; i < env->count; i++) {
        const char *entry = env->items[i];
        AUTOFREE char *name = xstrndup(entry, strcspn(entry, "="));
        if (!env_filter_drops(filter, name))
            strlist_add(&kept, entry);
    }
    strlist_clear(env);
    *env = kept;
    kept = (struct strlist){0};
}

json_t *env_filter_to_json(const struct strlist *filter)
{
    if (filter->count == 0)
        return json_false();
    if (str_eq(filter->items[0], "*"))
        return json_true();
    if (!is_part(filter->items[0]))
        return json_string(filter->items[0]);
    json_t *list = json_array();
    for (size_t i = 0; i < filter->count; i++) {
        AUTOFREE char *part = part_of(filter->items[i]);
        (void)json_array_append_new(list, json_string(part));
    }
    return list;
}
