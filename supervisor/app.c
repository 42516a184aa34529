#include "supervisor/app.h"

#include <stdlib.h>

#include "lib/base/mem.h"
#include "supervisor/instance.h"
#include "supervisor/supervisor.h"

static void take_spec(struct app *app, struct app_spec *spec, struct strlist *shell_env)
{
    app_spec_clear(&app->spec);
    strlist_clear(&app->shell_env);
    app->spec = *spec;
    app->shell_env = *shell_env;
    *spec = (struct app_spec){0};
    *shell_env = (struct strlist){0};
}

struct app *app_new(struct supervisor *sup, struct app_spec *spec, struct strlist *shell_env)
{
    struct app *app = xcalloc(1, sizeof *app);
    app->sup = sup;
    list_init(&app->instances);
    take_spec(app, spec, shell_env);
    list_add(&sup->apps, &app->link, app);
    return app;
}

void app_free(struct app *app)
{
    list_remove(&app->link);
    app_spec_clear(&app->spec);
    strlist_clear(&app->shell_env);
    free(app);
}

void app_redefine(struct app *app, struct app_spec *spec, struct strlist *shell_env)
{
    take_spec(app, spec, shell_env);
}

struct instance *app_instance(struct app *app, unsigned number)
{
    struct instance *in;
    LIST_EACH(in, &app->instances)
    if (in->number == number)
        return in;
    return NULL;
}

void app_scale(struct app *app)
{
    for (unsigned number = 0; number < (unsigned)app->spec.instances; number++)
        if (!app_instance(app, number))
            (void)instance_new(app, number, supervisor_next_pm_id(app->sup));
}
