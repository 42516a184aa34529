#include <stdio.h>
#include <stdlib.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/base/uuid.h"
#include "supervisor/cli/away/api.h"
#include "supervisor/cli/away/away.h"
#include "supervisor/cli/away/order.h"
#include "supervisor/cli/away/target.h"
#include "supervisor/cli/capture_job.h"
#include "supervisor/cli/capture_report.h"
#include "supervisor/cli/capture_table.h"
#include "supervisor/cli/captures_args.h"
#include "supervisor/cli/cmd.h"
#include "supervisor/cli/out.h"
#include "supervisor/cli/say.h"

static int list(struct api *api, const struct args *args)
{
    AUTOJSON json_t *answer = NULL;
    int r = api_get(api, "captures", &answer);
    if (r < 0)
        return api_say(api, "cannot list the captures", r);
    if (args_has(args, "json")) {
        json_set_int(answer, "version", 1);
        out_json(answer);
        return CMD_DONE;
    }
    capture_table_print(json_object_get(answer, "captures"), true);
    if (json_get_string(answer, "next", NULL))
        say_note("older captures are not shown");
    return CMD_DONE;
}

/* The whole id that `prefix` begins; NULL with the sentence said.  The caller frees. */
static char *find_id(struct api *api, const char *prefix)
{
    AUTOJSON json_t *answer = NULL;
    if (uuid_valid_v7(prefix))
        return xstrdup(prefix);
    int r = api_get(api, "captures", &answer);
    if (r == 0)
        return capture_table_find(json_object_get(answer, "captures"), prefix);
    (void)api_say(api, "cannot list the captures", r);
    return NULL;
}

static int report(struct api *api, const struct args *args, struct capture_job *job,
                  int64_t epoch_ms)
{
    AUTOJSON json_t *array = json_array();
    bool as_json = args_has(args, "json");
    struct capture_report how = {.wanted = args_value(args, "output"),
                                 .json = as_json ? array : NULL,
                                 .epoch_ms = epoch_ms,
                                 .more = api->more};
    int code = capture_report(&how, job->label, job->result, &job->answer);
    free(how.last_file);
    if (as_json && json_array_size(array) > 0)
        out_json(json_array_get(array, 0));
    return code;
}

static int get(struct api *api, const char *id, const struct args *args)
{
    AUTOJSON json_t *answer = NULL;
    AUTOFREE char *path = xasprintf("captures/%s", id);
    int r = api_get(api, path, &answer);
    json_t *record = json_object_get(answer, "capture");
    if (r == 0 && !json_is_object(record))
        r = ERR_PROTOCOL;
    if (r < 0)
        return api_say(api, "cannot fetch the capture", r);
    struct capture_job *job = xcalloc(1, sizeof *job);
    /* The file is named after the time of the capture, so that it is the same whenever it is fetched. */
    int64_t epoch_ms = json_get_int(record, "created_ms", 0);
    job->label = target_label(record);
    order_take(api, record, args_value(args, "output"), job);
    int code = report(api, args, job, epoch_ms);
    capture_jobs_clear(job, 1);
    return code;
}

static int end(struct api *api, bool keeps, const char *id)
{
    AUTOJSON json_t *answer = NULL;
    AUTOFREE char *path = xasprintf("captures/%s/%s", id, keeps ? "stop" : "cancel");
    int r = api_post(api, path, NULL, &answer);
    if (r < 0)
        return api_say(api, keeps ? "cannot stop the capture" : "cannot cancel the capture", r);
    (void)printf("%s: %s\n", id, keeps ? "ending, the result is kept" : "cancelled");
    return CMD_DONE;
}

static int run_one(struct api *api, const char *verb, const struct args *args)
{
    AUTOFREE char *id = find_id(api, args->operands[1]);
    if (!id)
        return CMD_FAILED;
    return str_eq(verb, "get") ? get(api, id, args) : end(api, str_eq(verb, "stop"), id);
}

int away_captures(const struct args *args)
{
    AUTOAPI struct api api = {0};
    const char *verb = captures_args_verb(args);
    int code = captures_args_check(args);
    if (code == CMD_DONE)
        code = api_open(&api, "captures", args);
    if (code != CMD_DONE)
        return code;
    return verb ? run_one(&api, verb, args) : list(&api, args);
}
