#include "supervisor/cli/capture_table.h"

#include <stdio.h>

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "supervisor/cli/capture_report.h"
#include "supervisor/cli/say.h"
#include "supervisor/cli/table.h"
#include "supervisor/cli/text.h"

/* The first 13 characters of an id are its time in milliseconds. */
enum { ID_SHOWN_MIN = 13 };

// clang-format off
static const struct table_column columns[] = {
    {"host", false, true},
    {"id", false, false}, {"kind", false, false}, {"process", false, true}, {"state", false, false},
    {"created", false, false}, {"took", true, false}, {"size", true, false},
};
// clang-format on

static size_t common_prefix(const char *a, const char *b)
{
    size_t n = 0;
    while (a[n] && a[n] == b[n])
        n++;
    return n;
}

/* How many characters tell all ids apart. */
static size_t id_width(const json_t *captures)
{
    size_t width = ID_SHOWN_MIN, count = json_array_size(captures);
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++) {
            size_t same = common_prefix(json_get_string(json_array_get(captures, i), "id", ""),
                                        json_get_string(json_array_get(captures, j), "id", ""));
            if (same >= width)
                width = same + 1;
        }
    return width;
}

static enum color state_color(const char *state)
{
    if (str_eq(state, "done"))
        return COLOR_GREEN;
    if (str_eq(state, "failed") || str_eq(state, "expired"))
        return COLOR_RED;
    return str_eq(state, "cancelled") ? COLOR_DIM : COLOR_YELLOW;
}

static void add_capture(struct table *t, const json_t *record, size_t width)
{
    char text[TEXT_SHORT];
    const char *state = json_get_string(record, "state", "?");
    AUTOFREE char *id = xstrndup(json_get_string(record, "id", "?"), width);
    AUTOFREE char *label = capture_label(record);
    int64_t measured_us = json_get_int(record, "measured_us", -1);
    int64_t bytes = json_get_int(record, "bytes", -1);
    table_add(t, id, COLOR_NONE);
    table_add(t, json_get_string(record, "kind", "?"), COLOR_NONE);
    table_add(t, label, COLOR_CYAN);
    table_add(t, state, state_color(state));
    table_add(t, text_clock(json_get_int(record, "created_ms", 0), false, text), COLOR_NONE);
    table_add(t, measured_us >= 0 ? text_seconds(measured_us / 1000, text) : NULL, COLOR_NONE);
    table_add(t, bytes > 0 ? text_bytes(bytes, text) : NULL, COLOR_NONE);
}

void capture_table_print(const json_t *captures, bool hosts)
{
    AUTOTABLE struct table t;
    table_init(&t, hosts ? columns : columns + 1, ARRAY_SIZE(columns) - !hosts);
    size_t width = id_width(captures), i;
    json_t *record;
    json_array_foreach((json_t *)captures, i, record)
    {
        if (hosts)
            table_add(&t, json_get_string(record, "host_name", "?"), COLOR_NONE);
        add_capture(&t, record, width);
    }
    table_print(&t, stdout, say_width(stdout), say_colors(stdout));
}

char *capture_table_find(const json_t *captures, const char *prefix)
{
    const char *found = NULL;
    size_t i;
    json_t *record;
    json_array_foreach((json_t *)captures, i, record)
    {
        const char *id = json_get_string(record, "id", "");
        if (!str_starts(id, prefix))
            continue;
        if (found) {
            say_error("'%s' begins more than one capture's id", prefix);
            return NULL;
        }
        found = id;
    }
    if (!found)
        say_error("there is no capture '%s' (see 'proctor captures')", prefix);
    return xstrdup_null(found);
}
