#include "supervisor/cli/run_watch.h"

#include "lib/base/json.h"
#include "lib/base/str.h"

static bool is_over(const json_t *app)
{
    const char *status = json_get_string(app, "status", "");
    return str_eq(status, "stopped") || str_eq(status, "errored");
}

bool run_watch_alive(const json_t *apps)
{
    size_t i;
    json_t *app;
    json_array_foreach((json_t *)apps, i, app)
    {
        if (!is_over(app))
            return true;
    }
    return false;
}

static int code_of(const json_t *app)
{
    const json_t *end = json_object_get(app, "exit");
    int64_t signal = json_get_int(end, "signal", 0), code = json_get_int(end, "code", 0);
    if (signal > 0)
        return (int)(128 + signal);
    bool failed = str_eq(json_get_string(app, "status", ""), "errored");
    return code == 0 && failed ? 1 : (int)code;
}

int run_watch_code(const json_t *apps)
{
    size_t i;
    json_t *app;
    json_array_foreach((json_t *)apps, i, app)
    {
        int code = code_of(app);
        if (code != 0)
            return code;
    }
    return 0;
}
