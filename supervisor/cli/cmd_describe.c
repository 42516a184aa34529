#include "supervisor/cli/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "supervisor/cli/app_request.h"
#include "supervisor/cli/app_table.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/out.h"
#include "supervisor/cli/secret.h"
#include "supervisor/cli/target_args.h"
#include "supervisor/cli/text.h"

enum { KEY_WIDTH = 14, LINE_BYTES = 1 << 20 };

static const struct arg_option options[] = {
    {"json", 'j', NULL, "prints {\"version\":1,\"apps\":[...]} with all details"},
    {"show-env", 0, NULL, "prints the environment, and values that look secret as they are"},
    {NULL, 0, NULL, NULL},
};

/* ---- one line each --------------------------------------------------------------------------- */

static void put(const char *key, const char *value)
{
    if (!value || !*value)
        return;
    AUTOFREE char *safe = xstrdup(value);
    text_make_safe(safe);
    (void)printf("  %-*s %s\n", KEY_WIDTH, key, safe);
}

static void put_int(const char *key, const json_t *object, const char *member)
{
    char text[TEXT_SHORT];
    (void)snprintf(text, sizeof text, "%lld", (long long)json_get_int(object, member, 0));
    put(key, text);
}

static void put_ms(const char *key, const json_t *object, const char *member)
{
    char text[TEXT_SHORT];
    int64_t ms = json_get_int(object, member, -1);
    if (ms < 0)
        return;
    (void)snprintf(text, sizeof text, "%lld ms", (long long)ms);
    put(key, text);
}

static void put_clock(const char *key, const json_t *object, const char *member)
{
    char text[TEXT_SHORT];
    int64_t ms = json_get_int(object, member, 0);
    if (ms > 0)
        put(key, text_clock(ms, false, text));
}

/* Words with blanks between them; one that has blanks itself in quotes. */
static void put_list(const char *key, const json_t *array)
{
    AUTOBUF struct buf line = BUF_INIT(LINE_BYTES);
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)array, i, item)
    {
        AUTOFREE char *quoted = json_dumps(item, JSON_ENCODE_ANY);
        const char *word = json_string_value(item);
        bool plain = word && *word && !strpbrk(word, " \t\n\"'\\");
        (void)buf_addf(&line, "%s%s", i ? " " : "", plain ? word : quoted ? quoted : "?");
    }
    put(key, buf_str(&line));
}

static void put_env(const json_t *env)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)env, name, value)
    {
        AUTOFREE char *line = xasprintf("%s=%s", name, json_string_value(value));
        put("environment", line);
    }
}

/* ---- one instance ---------------------------------------------------------------------------- */

static void put_exit(const json_t *end)
{
    if (!json_is_object(end))
        return;
    char when[TEXT_SHORT];
    int64_t signal = json_get_int(end, "signal", 0), at_ms = json_get_int(end, "at_ms", 0);
    if (json_get_bool(end, "unknown", false)) {
        put("last exit", "not known: it ended while both supervisor and keeper were away");
        return;
    }
    AUTOFREE char *text =
        xasprintf("%s %lld%s%s", signal > 0 ? "by signal" : "with code",
                  (long long)(signal > 0 ? signal : json_get_int(end, "code", 0)),
                  at_ms > 0 ? " at " : "", at_ms > 0 ? text_clock(at_ms, false, when) : "");
    put("last exit", text);
}

static void put_process(const json_t *app)
{
    char text[TEXT_SHORT];
    if (json_get_int(app, "pid", 0) <= 0)
        return;
    put_int("pid", app, "pid");
    put("uptime", text_age(json_get_int(app, "uptime_ms", 0), text));
    put("cpu", text_percent(json_get_number(app, "cpu", 0), text));
    put("memory", text_bytes(json_get_int(app, "memory", 0), text));
}

static void put_profiling(const json_t *value)
{
    put("profiling", json_is_false(value) ? "off" : json_string_value(value));
}

static void put_rotation(const json_t *spec)
{
    char size[TEXT_SHORT], age[TEXT_SHORT];
    int64_t bytes = json_get_int(spec, "log_max_size", 0);
    int64_t every_ms = json_get_int(spec, "log_rotate_every", 0);
    bool sized = bytes > 0, aged = every_ms > 0;
    AUTOFREE char *text = xasprintf(
        "%s%s%s%s%s, %lld archives", sized ? "at " : "", sized ? text_bytes(bytes, size) : "",
        sized && aged ? " or " : "", aged ? "after " : "", aged ? text_age(every_ms, age) : "",
        (long long)json_get_int(spec, "log_keep", 0));
    put("log rotation", sized || aged ? text : "off");
}

static void put_spec(const json_t *spec)
{
    put("script", json_get_string(spec, "script", NULL));
    put_list("arguments", json_object_get(spec, "args"));
    put("interpreter", json_get_string(spec, "interpreter", NULL));
    put_list("node args", json_object_get(spec, "node_args"));
    put("cwd", json_get_string(spec, "cwd", NULL));
    put_int("instances", spec, "instances");
    put("autorestart", json_get_bool(spec, "autorestart", true) ? "yes" : "no");
    put_ms("restart delay", spec, "restart_delay");
    put_int("max restarts", spec, "max_restarts");
    put_ms("min uptime", spec, "min_uptime");
    put_ms("kill timeout", spec, "kill_timeout");
    put_rotation(spec);
    put_profiling(json_object_get(spec, "profiling"));
}

/* "Heap Size: 5.73 MiB", one line each; values come as numbers and as strings. */
static void put_metrics(const json_t *metrics)
{
    const char *name;
    json_t *metric;
    json_object_foreach((json_t *)metrics, name, metric)
    {
        json_t *value = json_object_get(metric, "value");
        AUTOFREE char *number = json_is_string(value)
                                    ? NULL
                                    : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
        const char *text = number ? number : json_string_value(value);
        AUTOFREE char *line =
            xasprintf("%s: %s %s", name, text ? text : "?", json_get_string(metric, "unit", ""));
        put("metric", line);
    }
}

static void put_ipc(const json_t *ipc)
{
    if (!json_is_object(ipc))
        return;
    put_int("messages", ipc, "messages");
    put_list("actions", json_object_get(ipc, "actions"));
    put_metrics(json_object_get(ipc, "metrics"));
}

static void put_app(const json_t *app, bool show_env)
{
    AUTOFREE char *label = app_label(app);
    const json_t *spec = json_object_get(app, "spec");
    text_make_safe(label);
    (void)printf("%s\n", label);
    put("status", json_get_string(app, "status", NULL));
    put("error", json_get_string(app, "error", NULL));
    put_int("id", app, "pm_id");
    put_process(app);
    put_int("restarts", app, "restart_time");
    put_int("quick exits", app, "unstable_restarts");
    put_exit(json_object_get(app, "exit"));
    put_clock("created", app, "created_at_ms");
    put_clock("started", app, "started_at_ms");
    put_spec(spec);
    put("node", json_get_string(app, "node_version", NULL));
    put_ipc(json_object_get(app, "ipc"));
    put("output", json_get_string(app, "out_log", NULL));
    put("errors", json_get_string(app, "err_log", NULL));
    if (json_get_int(app, "log_dropped_lines", 0) > 0)
        put_int("lines dropped", app, "log_dropped_lines");
    put_env(show_env ? json_object_get(app, "env") : json_object_get(spec, "env"));
}

static int run(const struct args *args)
{
    AUTOCLIENT struct client c = CLIENT_NONE;
    AUTOSTRLIST struct strlist targets = {0};
    int code = target_args(&c, args, 0, &targets);
    if (code != CMD_DONE)
        return code;
    bool show_env = args_has(args, "show-env");
    json_t *params = app_request_targets(&targets);
    json_set_bool(params, "detail", true);
    json_set_bool(params, "show_env", true);
    AUTOMSG struct msg answer = {0};
    code = connect_call(&c, "cannot describe", "app.list", params, &answer);
    if (code != CMD_DONE)
        return code;
    json_t *apps = json_object_get(answer.result, "apps"), *app;
    if (!show_env)
        secret_mask_apps(apps);
    if (args_has(args, "json")) {
        out_json(answer.result);
        return CMD_DONE;
    }
    if (json_array_size(apps) == 0) {
        say_error("there is no app '%s'", args->operands[0]);
        return CMD_FAILED;
    }
    size_t i;
    json_array_foreach(apps, i, app)
    {
        (void)fputs(i ? "\n" : "", stdout);
        put_app(app, show_env);
    }
    return CMD_DONE;
}

const struct cmd cmd_describe = {
    .name = "describe",
    .aliases = {"desc", "info", "show"},
    .usage = "TARGET... [--json] [--show-env]",
    .help = "Tells all about apps: process, settings, last exit, log files.",
    .options = options,
    .operands_min = 1,
    .operands_max = OPERANDS_ANY,
    .run = run,
};
