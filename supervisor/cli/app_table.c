#include "supervisor/cli/app_table.h"

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "supervisor/cli/table.h"
#include "supervisor/cli/text.h"

// clang-format off
static const struct table_column columns[] = {
    {"id", true, false}, {"name", false, true}, {"inst", true, false}, {"status", false, false}, {"↺", true, false},
    {"uptime", true, false}, {"cpu", true, false}, {"mem", true, false}, {"pid", true, false}, {"node", false, false},
};
// clang-format on

enum color app_status_color(const char *status)
{
    if (str_eq(status, "online"))
        return COLOR_GREEN;
    if (str_eq(status, "errored"))
        return COLOR_RED;
    return str_eq(status, "stopped") ? COLOR_DIM : COLOR_YELLOW;
}

char *app_label(const json_t *instance)
{
    return xasprintf("%s-%lld", json_get_string(instance, "name", "?"),
                     (long long)json_get_int(instance, "instance", 0));
}

static void add_number(struct table *t, int64_t value)
{
    char text[TEXT_SHORT];
    (void)snprintf(text, sizeof text, "%lld", (long long)value);
    table_add(t, text, COLOR_NONE);
}

/* What only a running process has. */
static void add_use(struct table *t, const json_t *app)
{
    char text[TEXT_SHORT];
    int64_t pid = json_get_int(app, "pid", 0);
    if (pid <= 0) {
        for (int i = 0; i < 4; i++)
            table_add(t, NULL, COLOR_NONE);
        return;
    }
    table_add(t, text_age(json_get_int(app, "uptime_ms", 0), text), COLOR_NONE);
    table_add(t, text_percent(json_get_number(app, "cpu", 0), text), COLOR_NONE);
    table_add(t, text_bytes(json_get_int(app, "memory", 0), text), COLOR_NONE);
    add_number(t, pid);
}

static void add_app(struct table *t, const json_t *app)
{
    const char *status = json_get_string(app, "status", "?");
    const char *node = json_get_string(app, "node_version", NULL);
    add_number(t, json_get_int(app, "pm_id", 0));
    table_add(t, json_get_string(app, "name", "?"), COLOR_CYAN);
    add_number(t, json_get_int(app, "instance", 0));
    table_add(t, status, app_status_color(status));
    add_number(t, json_get_int(app, "restart_time", 0));
    add_use(t, app);
    table_add(t, node && node[0] == 'v' ? node + 1 : node, COLOR_NONE);
}

void app_table_print(const json_t *apps, FILE *out)
{
    AUTOTABLE struct table t;
    table_init(&t, columns, ARRAY_SIZE(columns));
    size_t i;
    json_t *app;
    json_array_foreach((json_t *)apps, i, app)
    {
        add_app(&t, app);
    }
    table_print(&t, out, say_width(out), say_colors(out));
}
