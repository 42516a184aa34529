#include "supervisor/cli/app_request.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "supervisor/cli/app_table.h"
#include "supervisor/cli/cmd.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/daemon.h"
#include "supervisor/cli/text.h"

json_t *app_request_targets(const struct strlist *targets)
{
    json_t *params = json_object();
    (void)json_object_set_new(params, "targets", json_from_strlist(targets));
    return params;
}

struct strlist app_request_env(void)
{
    struct strlist env = {.items = environ};
    while (environ && environ[env.count])
        env.count++;
    return env;
}

void app_request_add_env(json_t *params)
{
    const struct strlist env = app_request_env();
    (void)json_object_set_new(params, "env", json_from_env(&env));
}

static bool on_its_way(const char *status)
{
    return str_eq(status, "launching") || str_eq(status, "stopping");
}

/* "api-0: online" as each gets there. */
static int on_progress(void *arg, const json_t *params)
{
    if (!params)
        return 0;
    const char *status = json_get_string(params, "status", "");
    const char *text = json_get_string(params, "text", "");
    if (on_its_way(status) && !*text)
        return 0;
    AUTOFREE char *label = app_label(params);
    AUTOFREE char *line = NULL;
    if (asprintf(&line, "%s: %s%s%s", label, status, *text ? ": " : "", text) < 0)
        abort();
    text_make_safe(line);
    (void)printf("%s\n", line);
    (void)fflush(stdout);
    return 0;
}

/* What a request wants of an instance in the end. */
enum goal { GOAL_RUNS, GOAL_STOPS, GOAL_GONE };

static bool has_failed(const json_t *instance, enum goal goal)
{
    const char *status = json_get_string(instance, "status", "");
    switch (goal) {
    case GOAL_RUNS:
        return json_object_get(instance, "error") || str_eq(status, "errored") ||
               str_eq(status, "waiting restart");
    case GOAL_STOPS:
        return !str_eq(status, "stopped") && !str_eq(status, "errored");
    case GOAL_GONE:
        return !str_eq(status, "deleted") && !str_eq(status, "stopped");
    }
    return true;
}

/* Says what failed; returns the exit code. */
static int report(const json_t *instances, enum goal goal)
{
    static const char *const unknown[] = {
        [GOAL_RUNS] = "it did not come online",
        [GOAL_STOPS] = "it did not stop",
        [GOAL_GONE] = "it is still there",
    };
    int code = CMD_DONE;
    size_t i;
    json_t *instance;
    json_array_foreach((json_t *)instances, i, instance)
    {
        if (!has_failed(instance, goal))
            continue;
        AUTOFREE char *label = app_label(instance);
        say_error("%s is %s: %s", label, json_get_string(instance, "status", "?"),
                  json_get_string(instance, "error", unknown[goal]));
        code = CMD_FAILED;
    }
    return code;
}

void app_outcome_clear(struct app_outcome *o)
{
    strlist_clear(&o->names);
    strlist_clear(&o->unchanged);
}

static void add_once(struct strlist *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (str_eq(names->items[i], name))
            return;
    strlist_add(names, name);
}

static void add_outcome(struct app_outcome *outcome, const json_t *instances)
{
    size_t i;
    json_t *instance;
    json_array_foreach((json_t *)instances, i, instance)
    {
        add_once(&outcome->names, json_get_string(instance, "name", ""));
        if (str_eq(json_get_string(instance, "action", ""), "unchanged"))
            strlist_add_taken(&outcome->unchanged, app_label(instance));
    }
}

void app_request_table(struct client *c, const struct strlist *names)
{
    AUTOMSG struct msg answer = {0};
    if (names->count == 0)
        return;
    if (connect_ask(c, "app.list", app_request_targets(names), &answer) < 0)
        return;
    app_table_print(json_object_get(answer.result, "apps"), stdout);
}

static enum goal goal_of(const char *method)
{
    if (str_eq(method, "app.delete"))
        return GOAL_GONE;
    return str_eq(method, "app.stop") ? GOAL_STOPS : GOAL_RUNS;
}

static bool starts(const char *method)
{
    return str_eq(method, "app.apply") || str_eq(method, "app.start");
}

int app_request(struct client *c, const char *method, json_t *params, struct app_outcome *outcome)
{
    AUTOJSON json_t *owned = params;
    AUTOMSG struct msg answer = {0};
    int r = client_call(c, method, owned, on_progress, NULL, &answer);
    if (starts(method) && (r == ERR_STOPPING || connect_broke(r))) {
        int code = daemon_replace(c);
        if (code != CMD_DONE)
            return code;
        msg_clear(&answer);
        r = client_call(c, method, owned, on_progress, NULL, &answer);
    }
    if (r < 0) {
        say_error("%s failed: %s", strchr(method, '.') + 1, say_reason(r, &answer));
        return say_exit_code(r);
    }
    const json_t *instances = json_object_get(answer.result, "instances");
    enum goal goal = goal_of(method);
    connect_say_warnings(answer.result);
    if (goal != GOAL_GONE)
        add_outcome(outcome, instances);
    return report(instances, goal);
}
