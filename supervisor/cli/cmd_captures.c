#include "supervisor/cli/cmd.h"

#include <stdio.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/base/uuid.h"
#include "supervisor/cli/capture_report.h"
#include "supervisor/cli/capture_table.h"
#include "supervisor/cli/captures_args.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/out.h"
#include "supervisor/cli/say.h"

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
    capture_table_print(json_object_get(answer.result, "captures"), false);
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
    return capture_table_find(json_object_get(answer.result, "captures"), prefix);
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
    int code = captures_args_check(args);
    if (code != CMD_DONE)
        return code;
    if (args_has(args, "console"))
        return cmd_exec_away("captures", args);
    AUTOCLIENT struct client c = CLIENT_NONE;
    code = connect_running(&c);
    if (code != CMD_DONE)
        return code;
    return captures_args_verb(args) ? run_one(&c, args) : list(&c, args);
}

const struct cmd cmd_captures = {
    .name = "captures",
    .usage = "[list | get|stop|cancel ID]",
    .help = "Lists captures, fetches a result, or ends a running one.",
    .more = "The beginning of an ID is enough when no other begins like it.",
    .options = captures_options,
    .operands_max = 2,
    .run = run,
};
