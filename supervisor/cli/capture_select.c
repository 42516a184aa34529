#include "supervisor/cli/capture_select.h"

#include <stdbool.h>

#include "lib/base/json.h"

static bool is_meant(const json_t *app, const struct capture_choice *choice)
{
    if (choice->instance >= 0 && json_get_int(app, "instance", 0) != choice->instance)
        return false;
    return choice->owner == 0 || json_get_int(app, "pid", 0) == choice->owner;
}

json_t *capture_select(const json_t *apps, const struct capture_choice *choice)
{
    json_t *meant = json_array(), *running = json_array(), *app;
    size_t i;
    json_array_foreach((json_t *)apps, i, app)
    {
        if (!is_meant(app, choice))
            continue;
        (void)json_array_append(meant, app);
        if (json_get_int(app, "pid", 0) > 0)
            (void)json_array_append(running, app);
    }
    bool leave_out = json_array_size(meant) > 1 && json_array_size(running) > 0;
    json_decref(leave_out ? meant : running);
    return leave_out ? running : meant;
}
