#include <stdlib.h>
#include <time.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "supervisor/cli/away/api.h"
#include "supervisor/cli/away/away.h"
#include "supervisor/cli/away/order.h"
#include "supervisor/cli/away/target.h"
#include "supervisor/cli/capture_job.h"
#include "supervisor/cli/capture_save.h"
#include "supervisor/cli/cmd.h"
#include "supervisor/cli/profile_args.h"
#include "supervisor/cli/say.h"

static int64_t wall_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- which processes ------------------------------------------------------------------------- */

/* A new array, or NULL with the sentence said. */
static json_t *choose(const struct profile_args *p, const json_t *processes)
{
    char text[400];
    const struct target_choice choice = {
        .target = p->target, .instance = p->instance, .pid = p->pid};
    AUTOJSON json_t *chosen = target_select(processes, &choice, text, sizeof text);
    if (!chosen) {
        say_error("%s", text);
        return NULL;
    }
    if (!capture_path_is_enough(p->output, chosen)) {
        say_error("%s means %zu processes: '-o %s' must be a folder, or contain %%i for the "
                  "instance and %%h for the host",
                  p->target, json_array_size(chosen), p->output);
        return NULL;
    }
    return TAKE(chosen);
}

/* What its host says against it; NULL: nothing, or nothing that is still true. */
static const char *why_not(const struct profile_args *p, const json_t *process)
{
    const char *why = json_get_string(json_object_get(process, "kinds"), p->kind, "");
    return *why && !json_get_bool(process, "stale", false) ? why : NULL;
}

/* ---- the order ------------------------------------------------------------------------------- */

static json_t *target_of(const struct profile_args *p, const json_t *process)
{
    json_t *target = json_object();
    json_set_string(target, "host", json_get_string(process, "host", ""));
    json_set_string(target, "app", json_get_string(process, "app", ""));
    json_set_int(target, "instance", json_get_int(process, "instance", 0));
    if (p->pid > 0 && p->pid != json_get_int(process, "pid", 0))
        json_set_int(target, "pid", p->pid);
    return target;
}

static json_t *request_of(const struct profile_args *p)
{
    json_t *request = json_object();
    json_set_string(request, "kind", p->kind);
    if (p->duration_ms > 0)
        json_set_int(request, "duration_ms", p->duration_ms);
    if (p->interval > 0)
        json_set_int(request, profile_interval_key(p->kind), p->interval);
    return request;
}

/* A console takes all targets of an order or none: those that cannot be captured anyhow are not in it.  They come after the others
 * in `jobs`, answered; returns how many others there are. */
static size_t make_jobs(const struct profile_args *p, const json_t *chosen,
                        struct capture_job *jobs)
{
    size_t asked = 0, last = json_array_size(chosen), i;
    json_t *process;
    json_array_foreach((json_t *)chosen, i, process)
    {
        const char *why = why_not(p, process);
        struct capture_job *job = why ? &jobs[--last] : &jobs[asked++];
        job->label = target_label(process);
        job->params = target_of(p, process);
        /* The first words are promised: policy.h. */
        if (why)
            capture_job_fail(
                job, str_starts(why, "the policy of this host") ? ERR_POLICY : ERR_UNSUPPORTED,
                why);
    }
    return asked;
}

static int capture(const struct profile_args *p, struct api *api, const json_t *chosen)
{
    size_t count = json_array_size(chosen);
    struct capture_job *jobs = xcalloc(count, sizeof *jobs);
    AUTOJSON json_t *request = request_of(p);
    const struct job_report how = {
        .output = p->output, .more = api->more, .as_json = p->as_json, .epoch_ms = wall_ms()};
    const struct order order = {.api = api,
                                .request = request,
                                .jobs = jobs,
                                .count = make_jobs(p, chosen, jobs),
                                .duration_ms = p->duration_ms,
                                .output = p->output};
    int r = order.count > 0 ? order_run(&order) : 0;
    int code = r < 0 ? api_say(api, "cannot profile", r) : capture_jobs_report(&how, jobs, count);
    capture_jobs_clear(jobs, count);
    return code;
}

int away_profile(const struct args *args)
{
    struct profile_args p;
    AUTOAPI struct api api = {0};
    AUTOFREE char *dir = NULL;
    AUTOJSON json_t *answer = NULL;
    int code = profile_args_read(&p, args);
    if (code == CMD_DONE)
        code = api_open(&api, "profile", args);
    if (code != CMD_DONE)
        return code;
    int r = capture_path_check(p.output, &dir);
    if (r < 0) {
        say_error("cannot write into %s: %s", dir, err_str(r));
        return CMD_FAILED;
    }
    r = api_get(&api, "processes", &answer);
    if (r < 0)
        return api_say(&api, "cannot profile", r);
    AUTOJSON json_t *chosen = choose(&p, json_object_get(answer, "processes"));
    return chosen ? capture(&p, &api, chosen) : CMD_FAILED;
}
