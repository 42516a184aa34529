#include "supervisor/targets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "supervisor/app.h"
#include "supervisor/instance.h"
#include "supervisor/supervisor.h"

void targets_clear(struct targets *t)
{
    free(t->items);
    *t = (struct targets){0};
}

static void add(struct targets *t, struct instance *in)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->items[i] == in)
            return;
    t->items = xreallocarray(t->items, t->count + 1, sizeof(struct instance *));
    t->items[t->count++] = in;
}

static void add_app(struct targets *t, struct app *app)
{
    struct instance *in;
    LIST_EACH(in, &app->instances)
    add(t, in);
}

/* An app *named* like a number goes before the pm_id, as in PM2. */
static bool add_by_pm_id(struct supervisor *sup, const char *name, struct targets *t)
{
    struct app *app;
    struct instance *in;
    int64_t pm_id;
    if (str_to_int(name, 0, INT32_MAX, &pm_id) < 0)
        return false;
    LIST_EACH(app, &sup->apps)
    {
        LIST_EACH(in, &app->instances)
        {
            if (in->pm_id != pm_id)
                continue;
            add(t, in);
            return true;
        }
    }
    return false;
}

static bool add_by_namespace(struct supervisor *sup, const char *name, struct targets *t)
{
    struct app *app;
    bool found = false;
    LIST_EACH(app, &sup->apps)
    {
        const char *own = app->spec.namespace ? app->spec.namespace : "default";
        if (!str_eq(own, name))
            continue;
        add_app(t, app);
        found = true;
    }
    return found;
}

static bool add_by_instance(struct supervisor *sup, const char *name, struct targets *t)
{
    const char *dash = strrchr(name, '-');
    int64_t number;
    if (!dash || str_to_int(dash + 1, 0, LIMIT_INSTANCES, &number) < 0)
        return false;
    AUTOFREE char *app_name = xstrndup(name, (size_t)(dash - name));
    struct app *app = supervisor_app(sup, app_name);
    struct instance *in = app ? app_instance(app, (unsigned)number) : NULL;
    if (in)
        add(t, in);
    return in != NULL;
}

static int add_name(struct supervisor *sup, const char *name, struct targets *t, char *text)
{
    struct app *app = supervisor_app(sup, name);
    if (app) {
        add_app(t, app);
        return 0;
    }
    if (str_eq(name, "all")) {
        LIST_EACH(app, &sup->apps)
        add_app(t, app);
        return 0;
    }
    if (add_by_namespace(sup, name, t) || add_by_pm_id(sup, name, t) ||
        add_by_instance(sup, name, t))
        return 0;
    const char *nearest = supervisor_nearest_app(sup, name);
    (void)snprintf(text, TARGETS_TEXT, "there is no app \"%.100s\"%s%s%s", name,
                   nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                   nearest ? "\"?" : "");
    return ERR_NOT_FOUND;
}

int targets_resolve(struct supervisor *sup, const struct strlist *names,
                    struct targets *ret_targets, char reterr_text[static TARGETS_TEXT])
{
    for (size_t i = 0; i < names->count; i++) {
        int r = add_name(sup, names->items[i], ret_targets, reterr_text);
        if (r < 0)
            return r;
    }
    return 0;
}
