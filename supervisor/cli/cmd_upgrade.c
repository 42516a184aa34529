#include "supervisor/cli/cmd.h"

#include <limits.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/str.h"
#include "supervisor/cli/app_table.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/out.h"
#include "supervisor/cli/say.h"

/* A new program may need as long to fail, twice, and the one before it to come up. */
enum { UPGRADE_MS = 60000 };

static const struct arg_option options[] = {
    {"json", 'j', NULL,
     "prints {\"from\":\"...\",\"to\":\"...\",\"ms\":N,\"apps\":N,\"restarted\":N,...}"},
    {NULL, 0, NULL, NULL},
};

/* What the supervisor says of itself and its apps. */
struct look {
    struct msg ping;
    struct msg list;
};

static void look_clear(struct look *look)
{
    msg_clear(&look->ping);
    msg_clear(&look->list);
}

static int take_look(struct client *c, struct look *ret_look)
{
    int code = connect_call(c, "no answer from the supervisor", "ping", NULL, &ret_look->ping);
    if (code == CMD_DONE)
        code = connect_call(c, "cannot list", "app.list", json_object(), &ret_look->list);
    return code;
}

static const json_t *find_app(const json_t *apps, int64_t pm_id)
{
    size_t i;
    json_t *app;
    json_array_foreach((json_t *)apps, i, app)
    {
        if (json_get_int(app, "pm_id", -1) == pm_id)
            return app;
    }
    return NULL;
}

/* Names of those that ran before and do not run as the same process now. */
static size_t find_restarted(const struct look *before, const struct look *after,
                             struct strlist *names)
{
    size_t i, count = 0;
    json_t *app;
    const json_t *apps = json_object_get(after->list.result, "apps");
    json_array_foreach(json_object_get(before->list.result, "apps"), i, app)
    {
        const json_t *now = find_app(apps, json_get_int(app, "pm_id", -1));
        int64_t pid = json_get_int(app, "pid", 0);
        if (pid == 0)
            continue;
        count++;
        if (json_get_int(now, "pid", 0) != pid ||
            json_get_int(now, "restart_time", 0) != json_get_int(app, "restart_time", 0))
            strlist_add_taken(names, app_label(app));
    }
    return count;
}

/* Is its program not on the disk any more?  Then what lies there now has not taken its place. */
static bool is_replaced(const json_t *pong, const char *key)
{
    char path[64], program[PATH_MAX + 16] = "";
    (void)snprintf(path, sizeof path, "/proc/%lld/exe", (long long)json_get_int(pong, key, 0));
    return readlink(path, program, sizeof program - 1) > 0 && str_ends(program, " (deleted)");
}

/* Why it has failed; NULL when it has not.  The caller frees. */
static char *find_failure(const json_t *before, const json_t *after)
{
    AUTOFREE char *home = path_home();
    const char *how =
        json_get_string(json_object_get(after, "last_end"), "how", "nobody knows how");
    if (json_get_bool(after, "rolled_back", false))
        return xasprintf(
            "the new supervisor did not come up (%s; %s/proctor.log says more), and the one before "
            "it, version %s, was started again",
            how, home, json_get_string(after, "version", "?"));
    if (json_get_bool(after, "safe_mode", false))
        return xasprintf(
            "the new supervisor, version %s, came down again and again (%s; %s/proctor.log says "
            "more) and only watches now",
            json_get_string(after, "version", "?"), how, home);
    if (json_get_int(after, "pid", 0) == json_get_int(before, "pid", 0))
        return xstrdup("the supervisor is the same as before");
    if (is_replaced(after, "pid"))
        return xasprintf("the installed supervisor cannot be run (%s/proctor.log says more), and "
                         "the one before it, version %s, was started again",
                         home, json_get_string(after, "version", "?"));
    return NULL;
}

static json_t *describe(const json_t *before, const json_t *after, int64_t ms)
{
    static const char *const copied[] = {"pid", "keeper_pid", "starts", "safe_mode", "rolled_back"};
    json_t *j = json_object();
    json_set_string(j, "from", json_get_string(before, "version", "?"));
    json_set_string(j, "to", json_get_string(after, "version", "?"));
    json_set_int(j, "ms", ms);
    for (size_t i = 0; i < ARRAY_SIZE(copied); i++)
        (void)json_object_set(j, copied[i], json_object_get(after, copied[i]));
    return j;
}

/* "30 apps, 0 restarted"; the caller frees. */
static char *count_apps(size_t apps, size_t restarted)
{
    return xasprintf("%zu app%s, %zu restarted", apps, apps == 1 ? "" : "s", restarted);
}

static void print(const json_t *j, const char *counted)
{
    (void)printf("upgraded from %s to %s in %lld ms; %s\n", json_get_string(j, "from", "?"),
                 json_get_string(j, "to", "?"), (long long)json_get_int(j, "ms", 0), counted);
}

static int report(const struct look *before, const struct look *after, int64_t ms, bool as_json)
{
    AUTOSTRLIST struct strlist restarted = {0};
    AUTOFREE char *failure = find_failure(before->ping.result, after->ping.result);
    AUTOJSON json_t *j = describe(before->ping.result, after->ping.result, ms);
    size_t apps = find_restarted(before, after, &restarted);
    AUTOFREE char *counted = count_apps(apps, restarted.count);
    json_set_int(j, "apps", (int64_t)apps);
    json_set_int(j, "restarted", (int64_t)restarted.count);
    json_set_string(j, "error", failure);
    bool old_keeper = is_replaced(after->ping.result, "keeper_pid");
    json_set_bool(j, "old_keeper", old_keeper);
    if (as_json)
        out_json(j);
    else if (!failure)
        print(j, counted);
    if (failure)
        say_error("not upgraded: %s; %s", failure, counted);
    if (old_keeper)
        say_note("warning: the installed proctor-keeper does not run, the one before it goes on");
    for (size_t i = 0; i < restarted.count; i++)
        say_note("warning: %s does not run as the same process", restarted.items[i]);
    return failure ? CMD_FAILED : CMD_DONE;
}

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The answer comes from the next supervisor, when it serves. */
static int upgrade(struct client *c)
{
    AUTOMSG struct msg answer = {0};
    c->retry_ms = c->silence_ms = UPGRADE_MS;
    int r = client_call(c, "daemon.upgrade", NULL, NULL, NULL, &answer);
    if (r == 0)
        return CMD_DONE;
    say_error("cannot upgrade: %s", say_reason(r, &answer));
    return say_exit_code(r);
}

static int run(const struct args *args)
{
    __attribute__((cleanup(look_clear))) struct look before = {0}, after = {0};
    AUTOCLIENT struct client c = CLIENT_NONE;
    int code = connect_running(&c);
    if (code == CMD_DONE)
        code = take_look(&c, &before);
    if (code != CMD_DONE)
        return code;
    int64_t began_ms = now_ms();
    code = upgrade(&c);
    int64_t ms = now_ms() - began_ms;
    if (code == CMD_DONE)
        code = take_look(&c, &after);
    return code == CMD_DONE ? report(&before, &after, ms, args_has(args, "json")) : code;
}

const struct cmd cmd_upgrade = {
    .name = "upgrade",
    .aliases = {"update"},
    .usage = "[--json]",
    .help = "Has the installed supervisor take over; no app is restarted.",
    .more = "Also starts one anew that is in safe mode.  A new one that does not come up is taken "
            "back.",
    .options = options,
    .run = run,
};
