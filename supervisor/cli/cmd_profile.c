#include "supervisor/cli/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/procfs.h"
#include "lib/base/str.h"
#include "lib/base/uuid.h"
#include "supervisor/cli/app_request.h"
#include "supervisor/cli/app_table.h"
#include "supervisor/cli/capture_report.h"
#include "supervisor/cli/capture_run.h"
#include "supervisor/cli/capture_save.h"
#include "supervisor/cli/capture_select.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/out.h"
#include "supervisor/cli/say.h"

/* A request that waited longer for its turn is not what the person wants any more. */
enum { NOT_AFTER_MS = 60000, PID_MAX = 1 << 30 };

// clang-format off
static const struct arg_option options[] = {
    {"duration", 'd', "TIME", "how long (10s, 2m); without it, until Ctrl-C"},
    {"interval", 0, "TIME|SIZE", "between samples: cpu a time (1ms), heap a size (512KB)"},
    {"output", 'o', "FILE", "a file, a folder, or - for standard output; %i is the instance"},
    {"instance", 0, "N", "one instance; otherwise all of the app's at once"},
    {"pid", 0, "PID", "a child process of the app, such as a cluster worker"},
    {"json", 'j', NULL, "prints {\"version\":1,\"captures\":[...]}"},
    {NULL, 0, NULL, NULL},
};
// clang-format on

struct profile {
    const char *kind;
    const char *target;
    const char *output;
    int64_t duration_ms; /* 0: until stopped */
    int64_t interval;    /* us or bytes; 0: the default */
    int64_t instance;    /* -1: any */
    int64_t pid;         /* 0: the instances' own */
    bool as_json;
};

static int64_t wall_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- arguments ------------------------------------------------------------------------------- */

static int read_interval(struct profile *p, const char *text)
{
    bool heap = str_eq(p->kind, "heap");
    int64_t low = heap ? 1024 : 50, high = heap ? 1 << 30 : 10000000;
    int r = heap ? str_to_size(text, &p->interval) : str_to_duration_us(text, 1, &p->interval);
    if (r == 0 && p->interval >= low && p->interval <= high)
        return CMD_DONE;
    return cmd_usage_error("profile", "'--interval %s': %s", text,
                           heap ? "expected a size from 1KB to 1GB, such as 512KB"
                                : "expected a time from 50us to 10s, such as 1ms");
}

static int read_duration(struct profile *p, const char *text)
{
    int64_t us;
    if (str_to_duration_us(text, 1000000, &us) == 0 && us >= 1000) {
        p->duration_ms = us / 1000;
        return CMD_DONE;
    }
    return cmd_usage_error("profile", "'--duration %s': expected a time such as 10s, 500ms or 2m",
                           text);
}

static int read_number(const char *option, const char *text, int64_t low, int64_t high,
                       int64_t *ret_value)
{
    if (!text || str_to_int(text, low, high, ret_value) == 0)
        return CMD_DONE;
    return cmd_usage_error("profile", "'--%s %s': expected a number", option, text);
}

static int read_args(struct profile *p, const struct args *args)
{
    *p = (struct profile){.kind = args->operands[0],
                          .target = args->operands[1],
                          .output = args_value(args, "output"),
                          .instance = -1,
                          .as_json = args_has(args, "json")};
    const char *duration = args_value(args, "duration"), *interval = args_value(args, "interval");
    if (!str_eq(p->kind, "cpu") && !str_eq(p->kind, "heap"))
        return cmd_usage_error("profile", "unknown kind '%s'; there are cpu and heap", p->kind);
    int code = duration ? read_duration(p, duration) : CMD_DONE;
    if (code == CMD_DONE && interval)
        code = read_interval(p, interval);
    if (code == CMD_DONE)
        code =
            read_number("instance", args_value(args, "instance"), 0, LIMIT_INSTANCES, &p->instance);
    if (code == CMD_DONE)
        code = read_number("pid", args_value(args, "pid"), 1, PID_MAX, &p->pid);
    if (code == CMD_DONE && p->as_json && str_eq(p->output, "-"))
        code = cmd_usage_error("profile", "'--json' and '-o -' want the same output");
    return code;
}

/* ---- which processes ------------------------------------------------------------------------- */

/* The pid of the instance that --pid descends from. */
static int64_t owner_of(const json_t *apps, int64_t pid)
{
    size_t i;
    json_t *app;
    json_array_foreach((json_t *)apps, i, app)
    {
        int64_t own = json_get_int(app, "pid", 0);
        if (own > 0 && procfs_descends((pid_t)pid, (pid_t)own))
            return own;
    }
    return 0;
}

static json_t *job_params(const struct profile *p, const json_t *app, int64_t epoch_ms)
{
    char id[UUID_TEXT];
    json_t *params = json_object();
    AUTOFREE char *requester = xasprintf("proctor profile, uid %u", (unsigned)geteuid());
    uuid_make(id);
    json_set_string(params, "id", id);
    json_set_string(params, "kind", p->kind);
    json_set_string(params, "app", json_get_string(app, "name", ""));
    json_set_int(params, "instance", json_get_int(app, "instance", 0));
    if (p->pid > 0 && p->pid != json_get_int(app, "pid", 0))
        json_set_int(params, "pid", p->pid);
    if (p->duration_ms > 0)
        json_set_int(params, "duration_ms", p->duration_ms);
    if (p->interval > 0)
        json_set_int(params, str_eq(p->kind, "heap") ? "interval_bytes" : "interval_us",
                     p->interval);
    json_set_int(params, "not_after_ms", epoch_ms + NOT_AFTER_MS);
    json_set_string(params, "requester", requester);
    return params;
}

static json_t *list_apps(struct client *c, const char *target)
{
    AUTOMSG struct msg answer = {0};
    AUTOSTRLIST struct strlist targets = {0};
    strlist_add(&targets, target);
    int code =
        connect_call(c, "cannot profile", "app.list", app_request_targets(&targets), &answer);
    return code == CMD_DONE ? json_incref(json_object_get(answer.result, "apps")) : NULL;
}

/* The members that are meant, or NULL with the sentence said. */
static json_t *select_apps(const struct profile *p, const json_t *apps)
{
    struct capture_choice choice = {.instance = p->instance};
    if (p->pid > 0) {
        choice.owner = owner_of(apps, p->pid);
        if (choice.owner == 0) {
            say_error("process %lld is not a process of %s", (long long)p->pid, p->target);
            return NULL;
        }
    }
    AUTOJSON json_t *chosen = capture_select(apps, &choice);
    if (json_array_size(chosen) == 0)
        say_error("%s has no such instance", p->target);
    else if (json_array_size(chosen) > 1 && !capture_path_is_many(p->output))
        say_error(
            "%s has %zu instances: '-o %s' must be a folder or contain %%i, or choose one with "
            "--instance",
            p->target, json_array_size(chosen), p->output);
    else
        return TAKE(chosen);
    return NULL;
}

/* ---- running --------------------------------------------------------------------------------- */

/* What is the answer for each is the answer for all; refused is one only then. */
static int merge(int a, int b)
{
    return a == b ? a : CMD_FAILED;
}

static int report_all(const struct profile *p, struct capture_job *jobs, size_t count,
                      int64_t epoch_ms)
{
    AUTOJSON json_t *array = json_array();
    struct capture_report report = {
        .wanted = p->output, .json = p->as_json ? array : NULL, .epoch_ms = epoch_ms};
    int code = CMD_DONE;
    for (size_t i = 0; i < count; i++) {
        int one = capture_report(&report, jobs[i].label, jobs[i].result, &jobs[i].answer);
        code = i == 0 ? one : merge(code, one);
    }
    AUTOFREE char *file = report.last_file;
    if (p->as_json) {
        AUTOJSON json_t *answer = json_object();
        json_set_int(answer, "version", 1);
        (void)json_object_set(answer, "captures", array);
        out_json(answer);
    } else if (file && !str_eq(file, "-")) {
        (void)printf("see where it went: proctor top %s\n", file);
    }
    return code;
}

static int capture(const struct profile *p, struct client *c, const json_t *apps)
{
    size_t count = json_array_size(apps);
    struct capture_job *jobs = xcalloc(count, sizeof *jobs);
    int64_t epoch_ms = wall_ms();
    for (size_t i = 0; i < count; i++) {
        const json_t *app = json_array_get(apps, i);
        jobs[i].label = app_label(app);
        jobs[i].params = job_params(p, app, epoch_ms);
    }
    (void)capture_run(c, jobs, count, p->duration_ms);
    int code = report_all(p, jobs, count, epoch_ms);
    capture_jobs_clear(jobs, count);
    return code;
}

static int run(const struct args *args)
{
    struct profile p;
    int code = read_args(&p, args);
    if (code != CMD_DONE)
        return code;
    AUTOFREE char *dir = NULL;
    int r = capture_path_check(p.output, &dir);
    if (r < 0) {
        say_error("cannot write into %s: %s", dir, err_str(r));
        return CMD_FAILED;
    }
    AUTOCLIENT struct client c = CLIENT_NONE;
    code = connect_running(&c);
    if (code != CMD_DONE)
        return code;
    AUTOJSON json_t *apps = list_apps(&c, p.target);
    AUTOJSON json_t *chosen = apps ? select_apps(&p, apps) : NULL;
    return chosen ? capture(&p, &c, chosen) : CMD_FAILED;
}

const struct cmd cmd_profile = {
    .name = "profile",
    .usage = "cpu|heap TARGET",
    .help = "Takes a CPU or heap profile of a running app, into a file.",
    .more = "Ctrl-C ends the capture and keeps the result; a second one drops it.",
    .options = options,
    .operands_min = 2,
    .operands_max = 2,
    .run = run,
};
