#include "supervisor/cli/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "supervisor/cli/app_table.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/metrics_table.h"
#include "supervisor/cli/out.h"

enum { POINTS = 360, PER_CALL = 100, COPY_BYTES = 65536 };

static const struct arg_option options[] = {
    {"json", 'j', NULL,
     "prints {\"version\":1,\"step_ms\":10000,\"processes\":[...]} with the last hour"},
    {"prometheus", 0, NULL, "prints everything in Prometheus' text format"},
    {NULL, 0, NULL, NULL},
};

/* ---- for Prometheus ---------------------------------------------------------------------------- */

static int print_file(int fd)
{
    char space[COPY_BYTES];
    ssize_t n;
    while ((n = read(fd, space, sizeof space)) > 0)
        (void)fwrite(space, 1, (size_t)n, stdout);
    if (n == 0)
        return CMD_DONE;
    say_error("cannot read the metrics: %s", err_str(-errno));
    return CMD_FAILED;
}

static int print_text(struct client *c)
{
    AUTOMSG struct msg answer = {0};
    json_t *params = json_object();
    json_set_bool(params, "prometheus", true);
    int code = connect_call(c, "no metrics", "app.metrics", params, &answer);
    if (code != CMD_DONE)
        return code;
    AUTOCLOSE int fd = msg_take_fd(&answer);
    return print_file(fd);
}

/* ---- with history ------------------------------------------------------------------------------ */

static int ask(struct client *c, json_t *targets, int points, struct msg *ret_answer)
{
    json_t *params = json_object();
    (void)json_object_set_new(params, "targets", targets);
    json_set_int(params, "points", points);
    return connect_call(c, "no metrics", "app.metrics", params, ret_answer);
}

/* The ids of so many as one answer holds with their history. */
static json_t *some_of(const json_t *processes, size_t from)
{
    json_t *ids = json_array();
    for (size_t i = from; i < from + PER_CALL && i < json_array_size(processes); i++)
        (void)json_array_append_new(
            ids, json_sprintf("%lld",
                              (long long)json_get_int(json_array_get(processes, i), "pm_id", 0)));
    return ids;
}

static int add_processes(struct client *c, const json_t *all, json_t *out)
{
    int code = CMD_DONE;
    for (size_t i = 0; code == CMD_DONE && i < json_array_size(all); i += PER_CALL) {
        AUTOMSG struct msg answer = {0};
        code = ask(c, some_of(all, i), POINTS, &answer);
        if (code == CMD_DONE)
            (void)json_array_extend(out, json_object_get(answer.result, "processes"));
    }
    return code;
}

static json_t *targets_of(const struct args *args)
{
    json_t *targets = json_array();
    for (size_t i = 0; i < args->operand_count; i++)
        (void)json_array_append_new(targets, json_string(args->operands[i]));
    return targets;
}

static int run(const struct args *args)
{
    AUTOCLIENT struct client c = CLIENT_NONE;
    AUTOMSG struct msg answer = {0};
    AUTOJSON json_t *processes = json_array();
    bool for_prometheus = args_has(args, "prometheus");
    if (for_prometheus && (args->operand_count > 0 || args_has(args, "json")))
        return say_usage("metrics", "--prometheus prints everything, in its own format");
    int code = connect_running(&c);
    if (code != CMD_DONE)
        return code;
    if (for_prometheus)
        return print_text(&c);
    code = ask(&c, targets_of(args), 0, &answer);
    if (code == CMD_DONE)
        code = add_processes(&c, json_object_get(answer.result, "processes"), processes);
    if (code != CMD_DONE)
        return code;
    if (!args_has(args, "json")) {
        metrics_table_print(processes, stdout);
        return CMD_DONE;
    }
    (void)json_object_set(answer.result, "processes", processes);
    out_json(answer.result);
    return CMD_DONE;
}

const struct cmd cmd_metrics = {
    .name = "metrics",
    .usage = "[TARGET...] [--json | --prometheus]",
    .help = "Shows what processes use, now and over the last hour.",
    .options = options,
    .operands_max = OPERANDS_ANY,
    .run = run,
};
