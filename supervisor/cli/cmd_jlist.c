#include "supervisor/cli/cmd.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/jlist.h"
#include "supervisor/cli/out.h"
#include "supervisor/cli/secret.h"

static const struct arg_option options[] = {
    {"show-env", 0, NULL, "shows values of the environment that look secret, too"},
    {NULL, 0, NULL, NULL},
};

/* Whoever owns $PROCTOR_HOME runs the supervisor. */
static const char *owner(const char *home)
{
    struct stat st;
    const struct passwd *entry = getpwuid(stat(home, &st) == 0 ? st.st_uid : geteuid());
    return entry ? entry->pw_name : "";
}

/* Of the package that the script is part of: the nearest package.json above it.  NULL: none. */
static char *package_version(const char *script)
{
    AUTOFREE char *dir = xstrdup(script);
    for (char *slash; (slash = strrchr(dir, '/'));) {
        AUTOBUF struct buf text = BUF_INIT(LIMIT_PACKAGE_FILE);
        *slash = '\0';
        AUTOFREE char *path = xasprintf("%s/package.json", dir);
        if (path_read(path, &text) < 0)
            continue;
        AUTOJSON json_t *package = json_object_parse(buf_str(&text), text.len);
        return xstrdup_null(json_get_string(package, "version", NULL));
    }
    return NULL;
}

static void add_versions(json_t *apps)
{
    size_t i;
    json_t *app;
    json_array_foreach(apps, i, app)
    {
        const json_t *spec = json_object_get(app, "spec");
        AUTOFREE char *version = package_version(json_get_string(spec, "script", ""));
        json_set_string(app, "package_version", version);
    }
}

static int run(const struct args *args)
{
    AUTOCLIENT struct client c = CLIENT_NONE;
    int r = connect_try(&c);
    /* Scripts made for PM2 expect a list in any case. */
    if (r == ERR_NOT_RUNNING) {
        (void)puts("[]");
        return CMD_DONE;
    }
    if (r < 0)
        return connect_say(r);
    json_t *params = json_object();
    json_set_bool(params, "detail", true);
    json_set_bool(params, "show_env", true);
    AUTOMSG struct msg answer = {0};
    int code = connect_call(&c, "cannot list", "app.list", params, &answer);
    if (code != CMD_DONE)
        return code;
    json_t *apps = json_object_get(answer.result, "apps");
    if (!args_has(args, "show-env"))
        secret_mask_apps(apps);
    add_versions(apps);
    AUTOFREE char *home = path_home();
    const struct jlist_host host = {home, owner(home)};
    AUTOJSON json_t *list = jlist_from_apps(apps, &host);
    out_json(list);
    return CMD_DONE;
}

const struct cmd cmd_jlist = {
    .name = "jlist",
    .usage = "[--show-env]",
    .help = "Prints the list as JSON in the shape of PM2's jlist.",
    .options = options,
    .run = run,
};
