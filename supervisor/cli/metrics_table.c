#include "supervisor/cli/metrics_table.h"

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "supervisor/cli/app_table.h"
#include "supervisor/cli/table.h"
#include "supervisor/cli/text.h"

// clang-format off
static const struct table_column columns[] = {
    {"id", true, false}, {"name", false, true}, {"inst", true, false}, {"status", false, false}, {"cpu", true, false},
    {"1 h", true, false}, {"mem", true, false}, {"1 h", true, false}, {"procs", true, false}, {"all mem", true, false},
    {"fds", true, false}, {"threads", true, false},
};
// clang-format on

double metrics_peak(const json_t *values, double least)
{
    size_t i;
    json_t *value;
    json_array_foreach((json_t *)values, i, value)
    {
        if (json_is_number(value) && json_number_value(value) > least)
            least = json_number_value(value);
    }
    return least;
}

static void add_number(struct table *t, const json_t *process, const char *member)
{
    char text[TEXT_SHORT];
    (void)snprintf(text, sizeof text, "%lld", (long long)json_get_int(process, member, 0));
    table_add(t, text, COLOR_NONE);
}

static void add_use(struct table *t, const json_t *process)
{
    char text[TEXT_SHORT];
    const json_t *history = json_object_get(process, "history");
    double cpu = json_get_number(process, "cpu", 0), memory = json_get_number(process, "memory", 0);
    double most = metrics_peak(json_object_get(history, "cpu"), cpu);
    table_add(t, text_percent(cpu, text), COLOR_NONE);
    table_add(t, text_percent(most, text), COLOR_DIM);
    most = metrics_peak(json_object_get(history, "memory"), memory);
    table_add(t, text_bytes((int64_t)memory, text), COLOR_NONE);
    table_add(t, text_bytes((int64_t)most, text), COLOR_DIM);
    add_number(t, process, "processes");
    table_add(t, text_bytes(json_get_int(process, "tree_memory", 0), text), COLOR_NONE);
    add_number(t, process, "fds");
    add_number(t, process, "threads");
}

static void add_process(struct table *t, const json_t *process)
{
    const char *status = json_get_string(process, "status", "?");
    add_number(t, process, "pm_id");
    table_add(t, json_get_string(process, "name", "?"), COLOR_CYAN);
    add_number(t, process, "instance");
    table_add(t, status, app_status_color(status));
    if (json_get_int(process, "pid", 0) > 0) {
        add_use(t, process);
        return;
    }
    for (size_t i = 4; i < ARRAY_SIZE(columns); i++)
        table_add(t, NULL, COLOR_NONE);
}

void metrics_table_print(const json_t *processes, FILE *out)
{
    AUTOTABLE struct table t;
    table_init(&t, columns, ARRAY_SIZE(columns));
    size_t i;
    json_t *process;
    json_array_foreach((json_t *)processes, i, process)
    {
        add_process(&t, process);
    }
    table_print(&t, out, say_width(out), say_colors(out));
}
