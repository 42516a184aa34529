#include "supervisor/cli/app_table.h"

#include "lib/base/auto.h"
#include "lib/base/buf.h"
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
static const struct table_column group_columns[] = {
    {"name", false, true}, {"instances", true, false}, {"status", false, false}, {"↺", true, false},
    {"uptime", true, false}, {"cpu", true, false}, {"mem", true, false}, {"ids", false, false},
};
// clang-format on

enum { PID_COLUMN = 8, NODE_COLUMN = 9 };

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
static void add_use(struct table *t, const json_t *app, bool with_pid)
{
    char text[TEXT_SHORT];
    int64_t pid = json_get_int(app, "pid", 0);
    if (pid <= 0) {
        for (int i = with_pid ? 0 : 1; i < 4; i++)
            table_add(t, NULL, COLOR_NONE);
        return;
    }
    table_add(t, text_age(json_get_int(app, "uptime_ms", 0), text), COLOR_NONE);
    table_add(t, text_percent(json_get_number(app, "cpu", 0), text), COLOR_NONE);
    table_add(t, text_bytes(json_get_int(app, "memory", 0), text), COLOR_NONE);
    if (with_pid)
        add_number(t, pid);
}

/* The last columns go when there is no room for them. */
static void add_app(struct table *t, const json_t *app)
{
    const char *status = json_get_string(app, "status", "?");
    const char *node = json_get_string(app, "node_version", NULL);
    add_number(t, json_get_int(app, "pm_id", 0));
    table_add(t, json_get_string(app, "name", "?"), COLOR_CYAN);
    add_number(t, json_get_int(app, "instance", 0));
    table_add(t, status, app_status_color(status));
    add_number(t, json_get_int(app, "restart_time", 0));
    add_use(t, app, t->column_count > PID_COLUMN);
    if (t->column_count > NODE_COLUMN)
        table_add(t, node && node[0] == 'v' ? node + 1 : node, COLOR_NONE);
}

/* With the first `count` columns. */
static void fill(struct table *t, const json_t *apps, size_t count)
{
    size_t i;
    json_t *app;
    table_init(t, columns, count);
    json_array_foreach((json_t *)apps, i, app)
    {
        add_app(t, app);
    }
}

void app_table_print(const json_t *apps, FILE *out)
{
    unsigned width = say_width(out);
    AUTOTABLE struct table t;
    fill(&t, apps, ARRAY_SIZE(columns));
    for (size_t count = ARRAY_SIZE(columns); width > 0 && count > PID_COLUMN; count--) {
        if (table_width(&t) <= width)
            break;
        table_clear(&t);
        fill(&t, apps, count - 1);
    }
    table_print(&t, out, width, say_colors(out));
}

void app_table_wide(const json_t *apps, FILE *out)
{
    AUTOTABLE struct table t;
    fill(&t, apps, ARRAY_SIZE(columns));
    table_print(&t, out, 0, say_colors(out));
}

/* ---- one row for each app -------------------------------------------------------------------- */

struct group {
    const char *name;
    unsigned count, online;
    int64_t restarts, youngest_ms, memory, first_id, last_id;
    double cpu;
    json_t *statuses; /* word -> how many */
};

static void add_to_group(struct group *g, const json_t *app)
{
    const char *status = json_get_string(app, "status", "?");
    int64_t uptime_ms = json_get_int(app, "uptime_ms", 0), id = json_get_int(app, "pm_id", 0);
    bool runs = json_get_int(app, "pid", 0) > 0;
    if (runs && (g->online++ == 0 || uptime_ms < g->youngest_ms))
        g->youngest_ms = uptime_ms;
    g->first_id = g->count == 0 || id < g->first_id ? id : g->first_id;
    g->last_id = id > g->last_id ? id : g->last_id;
    g->restarts += json_get_int(app, "restart_time", 0);
    g->cpu += runs ? json_get_number(app, "cpu", 0) : 0;
    g->memory += runs ? json_get_int(app, "memory", 0) : 0;
    json_set_int(g->statuses, status, json_get_int(g->statuses, status, 0) + 1);
    g->count++;
}

/* "online", or "6 online, 2 errored"; in the colour of the worst. */
static void add_statuses(struct table *t, const struct group *g)
{
    AUTOBUF struct buf text = BUF_INIT(1000);
    enum color color = COLOR_GREEN;
    const char *word;
    json_t *number;
    bool one = json_object_size(g->statuses) == 1;
    json_object_foreach(g->statuses, word, number)
    {
        enum color own = app_status_color(word);
        color = own == COLOR_GREEN || color == COLOR_RED ? color : own;
        if (!one)
            (void)buf_addf(&text, "%s%lld ", text.len ? ", " : "",
                           (long long)json_integer_value(number));
        (void)buf_addstr(&text, word);
    }
    table_add(t, buf_str(&text), color);
}

static void add_group(struct table *t, const struct group *g)
{
    char text[TEXT_SHORT];
    table_add(t, g->name, COLOR_CYAN);
    add_number(t, g->count);
    add_statuses(t, g);
    add_number(t, g->restarts);
    table_add(t, g->online ? text_age(g->youngest_ms, text) : NULL, COLOR_NONE);
    table_add(t, g->online ? text_percent(g->cpu, text) : NULL, COLOR_NONE);
    table_add(t, g->online ? text_bytes(g->memory, text) : NULL, COLOR_NONE);
    (void)snprintf(text, sizeof text, g->count > 1 ? "%lld-%lld" : "%lld", (long long)g->first_id,
                   (long long)g->last_id);
    table_add(t, text, COLOR_NONE);
}

static void end_group(struct table *t, struct group *g)
{
    if (g->count > 0)
        add_group(t, g);
    json_decref(g->statuses);
    *g = (struct group){0};
}

/* The instances of an app stand together. */
void app_table_groups(const json_t *apps, FILE *out)
{
    AUTOTABLE struct table t;
    struct group g = {0};
    size_t i;
    json_t *app;
    table_init(&t, group_columns, ARRAY_SIZE(group_columns));
    json_array_foreach((json_t *)apps, i, app)
    {
        const char *name = json_get_string(app, "name", "?");
        if (!str_eq(name, g.name)) {
            end_group(&t, &g);
            g = (struct group){.name = name, .statuses = json_object()};
        }
        add_to_group(&g, app);
    }
    end_group(&t, &g);
    table_print(&t, out, say_width(out), say_colors(out));
}
