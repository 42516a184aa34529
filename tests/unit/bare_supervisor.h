/* bare_supervisor.h -- a supervisor without a home, a keeper or handles of its own: enough to declare apps in. */
#pragma once

#include "tests/unit/support.h"

#include <sys/mman.h>

#include "lib/base/loop.h"
#include "supervisor/app.h"
#include "supervisor/instance.h"
#include "supervisor/runtime.h"
#include "supervisor/supervisor.h"

static inline int bare_open(struct supervisor *sup)
{
    *sup = (struct supervisor){.keep = {.sock = -1}, .slots = {.fd = -1}, .metrics = {.fd = -1}};
    list_init(&sup->apps);
    list_init(&sup->captures.all);
    operations_init(&sup->operations, sup);
    triggers_init(&sup->triggers, sup);
    int r = slots_open(&sup->slots, "", memfd_create("slots", MFD_CLOEXEC));
    if (r == 0)
        r = uv_loop_init(&sup->loop);
    if (r == 0)
        sup->runtimes = runtimes_new(&sup->loop);
    return r;
}

/* What else was opened on the loop is closed already. */
static inline int bare_close(struct supervisor *sup)
{
    struct app *app;
    struct instance *in;
    LIST_EACH(app, &sup->apps)
    {
        LIST_EACH(in, &app->instances)
        instance_free(in);
        app_free(app);
    }
    (void)uv_run(&sup->loop, UV_RUN_DEFAULT);
    runtimes_free(sup->runtimes);
    triggers_close(&sup->triggers);
    operations_clear(&sup->operations);
    slots_close(&sup->slots);
    return loop_end(&sup->loop);
}
