#include "supervisor/cli/away/target.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

enum { CANDIDATES_MAX = 1000 };

char *target_label(const json_t *process)
{
    return xasprintf("%s-%lld@%s", json_get_string(process, "app", "?"),
                     (long long)json_get_int(process, "instance", 0),
                     json_get_string(process, "host_name", json_get_string(process, "host", "?")));
}

/* ---- matching -------------------------------------------------------------------------------- */

static bool on_host(const json_t *process, const char *host)
{
    return !host || str_eq(json_get_string(process, "host_name", NULL), host) ||
           str_eq(json_get_string(process, "host", NULL), host);
}

static json_t *find_app(const json_t *processes, const char *app, int64_t instance,
                        const char *host)
{
    json_t *found = json_array(), *process;
    size_t i;
    json_array_foreach((json_t *)processes, i, process)
    {
        if (str_eq(json_get_string(process, "app", NULL), app) && on_host(process, host) &&
            (instance < 0 || json_get_int(process, "instance", 0) == instance))
            (void)json_array_append(found, process);
    }
    return found;
}

/* APP or APP-N; an app that is named like APP-N goes first. */
static json_t *find(const json_t *processes, const char *name, const char *host)
{
    int64_t number;
    const char *dash = strrchr(name, '-');
    AUTOJSON json_t *whole = find_app(processes, name, -1, host);
    if (json_array_size(whole) > 0 || !dash ||
        str_to_int(dash + 1, 0, LIMIT_INSTANCES, &number) < 0)
        return TAKE(whole);
    AUTOFREE char *app = xstrndup(name, (size_t)(dash - name));
    return find_app(processes, app, number, host);
}

/* A name may hold an '@' of its own. */
static json_t *find_target(const json_t *processes, const char *target)
{
    const char *at = strrchr(target, '@');
    AUTOJSON json_t *whole = find(processes, target, NULL);
    if (json_array_size(whole) > 0 || !at)
        return TAKE(whole);
    AUTOFREE char *name = xstrndup(target, (size_t)(at - target));
    return find(processes, name, at + 1);
}

/* ---- leaving out ----------------------------------------------------------------------------- */

static bool runs(const json_t *process)
{
    return json_get_int(process, "pid", 0) > 0;
}

static bool is_reachable(const json_t *process)
{
    return !json_get_bool(process, "stale", false);
}

/* Those of `all` (taken) that are `good`; all of them when none is. */
static json_t *prefer(json_t *all, bool (*good)(const json_t *process))
{
    json_t *some = json_array(), *process;
    size_t i;
    json_array_foreach(all, i, process)
    {
        if (good(process))
            (void)json_array_append(some, process);
    }
    bool any = json_array_size(some) > 0;
    json_decref(any ? all : some);
    return any ? some : all;
}

static json_t *only_instance(json_t *all, int64_t instance)
{
    json_t *some = json_array(), *process;
    size_t i;
    json_array_foreach(all, i, process)
    {
        if (json_get_int(process, "instance", 0) == instance)
            (void)json_array_append(some, process);
    }
    json_decref(all);
    return some;
}

/* ---- sentences ------------------------------------------------------------------------------- */

/* The nearest of the values of `key` on `host` (NULL: on all); NULL when none is near.  Borrowed. */
static const char *nearest(const json_t *processes, const char *host, const char *key,
                           const char *word)
{
    const char *candidates[CANDIDATES_MAX];
    size_t count = 0, i;
    json_t *process;
    json_array_foreach((json_t *)processes, i, process)
    {
        const char *value = json_get_string(process, key, NULL);
        if (value && on_host(process, host) && count < CANDIDATES_MAX &&
            (count == 0 || !str_eq(candidates[count - 1], value)))
            candidates[count++] = value;
    }
    return str_nearest(word, candidates, count);
}

static bool has_host(const json_t *processes, const char *host)
{
    size_t i;
    json_t *process;
    json_array_foreach((json_t *)processes, i, process)
    {
        if (on_host(process, host))
            return true;
    }
    return false;
}

static void say_missing(const json_t *processes, const char *target, char *text, size_t size)
{
    const char *at = strrchr(target, '@'), *host = at ? at + 1 : NULL;
    AUTOFREE char *name = at ? xstrndup(target, (size_t)(at - target)) : xstrdup(target);
    bool no_host = host && !has_host(processes, host);
    const char *near = no_host ? nearest(processes, NULL, "host_name", host)
                               : nearest(processes, host, "app", name);
    AUTOFREE char *hint = near ? xasprintf("; did you mean \"%s\"?", near) : xstrdup("");
    if (no_host)
        (void)snprintf(text, size, "no host with processes is called \"%.100s\"%s", host, hint);
    else if (host)
        (void)snprintf(text, size, "host \"%.100s\" has no app \"%.100s\"%s", host, name, hint);
    else
        (void)snprintf(text, size, "no host of this console has an app \"%.100s\"%s", name, hint);
}

/* ---- choosing -------------------------------------------------------------------------------- */

json_t *target_select(const json_t *processes, const struct target_choice *choice,
                      char *reterr_text, size_t size)
{
    AUTOJSON json_t *found = find_target(processes, choice->target);
    if (json_array_size(found) == 0) {
        say_missing(processes, choice->target, reterr_text, size);
        return NULL;
    }
    if (choice->instance >= 0)
        found = only_instance(found, choice->instance);
    found = prefer(prefer(found, is_reachable), runs);
    size_t count = json_array_size(found);
    if (count == 0)
        (void)snprintf(reterr_text, size, "%s has no such instance", choice->target);
    else if (count > LIMIT_CAPTURE_TARGETS)
        (void)snprintf(reterr_text, size,
                       "%s means %zu processes, and at most %u are captured at once; name the "
                       "host: APP@HOST",
                       choice->target, count, LIMIT_CAPTURE_TARGETS);
    else if (choice->pid > 0 && count > 1)
        (void)snprintf(reterr_text, size,
                       "%s means %zu processes: with --pid say which one's child, as in "
                       "APP-N@HOST",
                       choice->target, count);
    else
        return TAKE(found);
    return NULL;
}
