/* app.h -- a configured app: its checked spec, the environment it was declared with, its instances. */
#pragma once

#include <stdbool.h>

#include "ecosystem/spec.h"
#include "lib/base/list.h"
#include "lib/base/str.h"

struct instance;
struct supervisor;

struct app {
    struct list link; /* in supervisor->apps */
    struct supervisor *sup;
    struct app_spec spec;
    struct strlist shell_env; /* of the shell that declared it; never leaves the host */
    struct list instances;    /* by number */
};

/* Takes the content of `spec` and `shell_env` (left empty). */
struct app *app_new(struct supervisor *sup, struct app_spec *spec, struct strlist *shell_env);

/* Frees an app that has no instances any more. */
void app_free(struct app *app);

/* New settings for the next start; takes the contents. */
void app_redefine(struct app *app, struct app_spec *spec, struct strlist *shell_env);

/* Makes the instances that are missing of spec.instances; they are not started.  Those past it are the caller's to delete. */
void app_scale(struct app *app);

struct instance *app_instance(struct app *app, unsigned number);
