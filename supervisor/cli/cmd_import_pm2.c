#include "supervisor/cli/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "supervisor/cli/app_file.h"
#include "supervisor/cli/app_request.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/daemon.h"
#include "supervisor/cli/pm2_dump.h"
#include "supervisor/cli/say.h"
#include "supervisor/cli/stdin_file.h"

static const struct arg_option options[] = {
    {"print", 'p', NULL, "prints the ecosystem file that it makes, and starts nothing"},
    {NULL, 0, NULL, NULL},
};

static char *usual_path(void)
{
    const char *pm2 = getenv("PM2_HOME"), *home = getenv("HOME");
    return pm2 && *pm2 ? path_join(pm2, "dump.pm2")
                       : xasprintf("%s/.pm2/dump.pm2", home ? home : "");
}

/* The file as an ecosystem; an exit code, with the sentence said. */
static int convert(const char *path, json_t **ret_ecosystem)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_STATE_FILE);
    AUTOSTRLIST struct strlist notes = {0};
    const struct strlist env = app_request_env();
    json_error_t where;
    int r = path_read(path, &text);
    if (r < 0) {
        say_error("cannot read %s: %s%s", path, err_str(r),
                  r == -ENOENT ? " (\"pm2 save\" writes it)" : "");
        return CMD_FAILED;
    }
    AUTOJSON json_t *dump = json_loadb(buf_str(&text), text.len, 0, &where);
    json_t *ecosystem = pm2_dump_convert(dump, &env, &notes);
    if (!ecosystem) {
        say_error("%s is not what \"pm2 save\" writes", path);
        return CMD_FAILED;
    }
    for (size_t i = 0; i < notes.count; i++)
        say_note("warning: %s", notes.items[i]);
    *ret_ecosystem = ecosystem;
    return CMD_DONE;
}

static int apply(const char *text)
{
    AUTOSTDIN char *file = stdin_file_of(text);
    AUTOJSON json_t *apps = json_array();
    AUTOCLIENT struct client c = CLIENT_NONE;
    AUTOOUTCOME struct app_outcome outcome = {0};
    int code = file ? app_file_load(file, NULL, apps) : CMD_FAILED;
    if (code == CMD_DONE)
        code = daemon_connect(&c);
    if (code != CMD_DONE)
        return code;
    json_t *params = json_object();
    (void)json_object_set(params, "apps", apps);
    app_request_add_env(params);
    code = app_request(&c, "app.apply", params, &outcome);
    app_request_table(&c, &outcome.names);
    return code;
}

/* What rested under PM2 is not started. */
static void leave_out_resting(json_t *ecosystem)
{
    json_t *apps = json_object_get(ecosystem, "apps");
    for (size_t i = json_array_size(apps); i-- > 0;) {
        const json_t *app = json_array_get(apps, i);
        if (json_get_bool(app, "autostart", true))
            continue;
        say_note("warning: %s was not running under PM2, it was left out",
                 json_get_string(app, "name", "?"));
        (void)json_array_remove(apps, i);
    }
}

static int run(const struct args *args)
{
    AUTOFREE char *path = args->operand_count ? xstrdup(args->operands[0]) : usual_path();
    AUTOJSON json_t *ecosystem = NULL;
    int code = convert(path, &ecosystem);
    if (code != CMD_DONE)
        return code;
    if (!args_has(args, "print"))
        leave_out_resting(ecosystem);
    AUTOFREE char *text = json_dumps(ecosystem, JSON_INDENT(2));
    if (args_has(args, "print")) {
        (void)printf("%s\n", text ? text : "{}");
        return CMD_DONE;
    }
    if (json_array_size(json_object_get(ecosystem, "apps")) == 0) {
        (void)printf("there are no apps in %s\n", path);
        return CMD_DONE;
    }
    return apply(text ? text : "{}");
}

const struct cmd cmd_import_pm2 = {
    .name = "import-pm2",
    .usage = "[DUMP.pm2]",
    .help = "Starts the apps that \"pm2 save\" has written down.",
    .more = "Reads $PM2_HOME/dump.pm2, else ~/.pm2/dump.pm2.  Stop them under PM2 first (\"pm2 "
            "kill\"):\n"
            "they would run twice.",
    .options = options,
    .operands_max = 1,
    .run = run,
};
