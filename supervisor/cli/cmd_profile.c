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
#include "supervisor/cli/capture_job.h"
#include "supervisor/cli/capture_run.h"
#include "supervisor/cli/capture_save.h"
#include "supervisor/cli/capture_select.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/profile_args.h"
#include "supervisor/cli/say.h"
#include "supervisor/cli/target_args.h"

/* A request that waited longer for its turn is not what the person wants any more. */
enum { NOT_AFTER_MS = 60000 };

static int64_t wall_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
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

static json_t *job_params(const struct profile_args *p, const json_t *app, int64_t epoch_ms)
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
        json_set_int(params, profile_interval_key(p->kind), p->interval);
    json_set_int(params, "not_after_ms", epoch_ms + NOT_AFTER_MS);
    json_set_string(params, "requester", requester);
    return params;
}

static json_t *list_apps(struct client *c, const char *target)
{
    AUTOMSG struct msg answer = {0};
    AUTOSTRLIST struct strlist targets = {0};
    strlist_add(&targets, target);
    int code = target_expand(c, &targets);
    if (code != CMD_DONE)
        return NULL;
    code = connect_call(c, "cannot profile", "app.list", app_request_targets(&targets), &answer);
    return code == CMD_DONE ? json_incref(json_object_get(answer.result, "apps")) : NULL;
}

/* The members that are meant, or NULL with the sentence said. */
static json_t *select_apps(const struct profile_args *p, const json_t *apps)
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
    else if (!capture_path_is_enough(p->output, chosen))
        say_error(
            "%s has %zu instances: '-o %s' must be a folder or contain %%i, or choose one with "
            "--instance",
            p->target, json_array_size(chosen), p->output);
    else
        return TAKE(chosen);
    return NULL;
}

/* ---- running --------------------------------------------------------------------------------- */

static int capture(const struct profile_args *p, struct client *c, const json_t *apps)
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
    const struct job_report how = {
        .output = p->output, .as_json = p->as_json, .epoch_ms = epoch_ms};
    int code = capture_jobs_report(&how, jobs, count);
    capture_jobs_clear(jobs, count);
    return code;
}

static int run(const struct args *args)
{
    struct profile_args p;
    int code = profile_args_read(&p, args);
    if (code != CMD_DONE)
        return code;
    if (args_has(args, "console"))
        return cmd_exec_away("profile", args);
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
    .more = "Ctrl-C ends the capture and keeps the result; a second one drops it.\n"
            "With --console TARGET may name a host: APP@HOST, APP-N@HOST; %h is the host then.",
    .options = profile_options,
    .operands_min = 2,
    .operands_max = 2,
    .run = run,
};
