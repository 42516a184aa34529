#include "supervisor/cli/cmd.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/base/uuid.h"
#include "supervisor/cli/capture_report.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/out.h"
#include "supervisor/cli/say.h"
#include "supervisor/cli/table.h"
#include "supervisor/cli/text.h"

/* The first 13 characters of an id are its time in milliseconds. */
enum { ID_SHOWN_MIN = 13 };

// clang-format off
static const struct arg_option options[] = {
    {"json", 'j', NULL, "prints {\"version\":1,\"captures\":[...]}"},
    {"output", 'o', "FILE", "of get: a file, a folder, or - for standard output"},
    {NULL, 0, NULL, NULL},
};

static const struct table_column columns[] = {
    {"id", false, false}, {"kind", false, false}, {"process", false, true}, {"state", false, false},
    {"created", false, false}, {"took", true, false}, {"size", true, false},
};
// clang-format on

/* ---- the list -------------------------------------------------------------------------------- */

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

static void print_list(const json_t *captures)
{
    AUTOTABLE struct table t;
    table_init(&t, columns, ARRAY_SIZE(columns));
    size_t width = id_width(captures), i;
    json_t *record;
    json_array_foreach((json_t *)captures, i, record)
    {
        add_capture(&t, record, width);
    }
    table_print(&t, stdout, say_width(stdout), say_colors(stdout));
}

static int list(struct client *c, const struct args *args)
{
    AUTOMSG struct msg answer = {0};
    int code = connect_call(c, "cannot list the captures", "capture.list", NULL, &answer);
    if (code != CMD_DONE)
        return code;
    if (args_has(args, "json")) {
        json_set_int(answer.result, "version", 1);
        out_json(answer.result);
        return CMD_DONE;
    }
    print_list(json_object_get(answer.result, "captures"));
    int64_t left_out = json_get_int(answer.result, "left_out", 0);
    if (left_out > 0)
        say_note("%lld older captures are not shown", (long long)left_out);
    return CMD_DONE;
}

/* ---- one capture ----------------------------------------------------------------------------- */

/* The whole id that `prefix` begins; NULL with the sentence said.  The caller frees. */
static char *find_id(struct client *c, const char *prefix)
{
    AUTOMSG struct msg answer = {0};
    if (uuid_valid_v7(prefix))
        return xstrdup(prefix);
    if (connect_call(c, "cannot list the captures", "capture.list", NULL, &answer) != CMD_DONE)
        return NULL;
    const char *found = NULL;
    size_t i;
    json_t *record;
    json_array_foreach(json_object_get(answer.result, "captures"), i, record)
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

static json_t *id_params(const char *id)
{
    json_t *params = json_object();
    json_set_string(params, "id", id);
    return params;
}

static int get(struct client *c, const char *id, const struct args *args)
{
    AUTOMSG struct msg answer = {0};
    AUTOJSON json_t *array = json_array();
    bool as_json = args_has(args, "json");
    int r = connect_ask(c, "capture.get", id_params(id), &answer);
    const json_t *record = json_object_get(answer.result, "record");
    AUTOFREE char *label = r < 0 ? xstrdup(id) : capture_label(record);
    /* The file is named after the time of the capture, so that it is the same whenever it is
     * fetched. */
    struct capture_report report = {.wanted = args_value(args, "output"),
                                    .json = as_json ? array : NULL,
                                    .epoch_ms = json_get_int(record, "created_ms", 0)};
    int code = capture_report(&report, label, r, &answer);
    free(report.last_file);
    if (as_json && json_array_size(array) > 0)
        out_json(json_array_get(array, 0));
    return code;
}

static int end(struct client *c, bool keeps, const char *id)
{
    AUTOMSG struct msg answer = {0};
    int code = connect_call(c, keeps ? "cannot stop the capture" : "cannot cancel the capture",
                            keeps ? "capture.stop" : "capture.cancel", id_params(id), &answer);
    if (code == CMD_DONE)
        (void)printf("%s: %s\n", id, keeps ? "ending, the result is kept" : "cancelled");
    return code;
}

static int run_one(struct client *c, const struct args *args)
{
    const char *verb = args->operands[0];
    AUTOFREE char *id = find_id(c, args->operands[1]);
    if (!id)
        return CMD_FAILED;
    return str_eq(verb, "get") ? get(c, id, args) : end(c, str_eq(verb, "stop"), id);
}

static int run(const struct args *args)
{
    static const char *const verbs[] = {"get", "stop", "cancel"};
    const char *verb = args->operand_count > 0 ? args->operands[0] : NULL;
    bool known = !verb;
    for (size_t i = 0; verb && i < ARRAY_SIZE(verbs); i++)
        known |= str_eq(verb, verbs[i]);
    if (!known)
        return cmd_usage_error("captures", "unknown action '%s'; there are get, stop and cancel",
                               verb);
    if (verb && args->operand_count < 2)
        return cmd_usage_error("captures", "'%s' needs the id of a capture", verb);
    if (args_has(args, "output") && !str_eq(verb, "get"))
        return cmd_usage_error("captures", "'--output' belongs to get");
    if (args_has(args, "json") && str_eq(args_value(args, "output"), "-"))
        return cmd_usage_error("captures", "'--json' and '-o -' want the same output");
    AUTOCLIENT struct client c = CLIENT_NONE;
    int code = connect_running(&c);
    if (code != CMD_DONE)
        return code;
    return verb ? run_one(&c, args) : list(&c, args);
}

const struct cmd cmd_captures = {
    .name = "captures",
    .usage = "[get|stop|cancel ID]",
    .help = "Lists captures, fetches a result, or ends a running one.",
    .more = "The beginning of an ID is enough when no other begins like it.",
    .options = options,
    .operands_max = 2,
    .run = run,
};
