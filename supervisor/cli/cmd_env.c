#include "supervisor/cli/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "supervisor/cli/app_request.h"
#include "supervisor/cli/app_table.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/out.h"
#include "supervisor/cli/secret.h"
#include "supervisor/cli/target_args.h"
#include "supervisor/cli/text.h"

static const struct arg_option options[] = {
    {"show", 0, NULL, "values that look secret, too"},
    {"json", 'j', NULL, "prints {\"version\":1,\"apps\":[{\"name\",\"instance\",\"env\"}]}"},
    {NULL, 0, NULL, NULL},
};

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void print_env(const json_t *app, bool titled)
{
    AUTOSTRLIST struct strlist lines = {0};
    AUTOFREE char *label = app_label(app);
    const char *name;
    json_t *value;
    text_make_safe(label);
    json_object_foreach(json_object_get(app, "env"), name, value)
    {
        strlist_addf(&lines, "%s=%s", name, json_string_value(value));
    }
    if (lines.count > 0)
        qsort(lines.items, lines.count, sizeof *lines.items, compare);
    if (titled)
        (void)printf("%s\n", label);
    for (size_t i = 0; i < lines.count; i++) {
        text_make_safe(lines.items[i]);
        (void)printf("%s%s\n", titled ? "  " : "", lines.items[i]);
    }
}

static void print_json(const json_t *apps)
{
    static const char *const keys[] = {"name", "instance", "pm_id", "env"};
    AUTOJSON json_t *answer = json_object();
    json_t *list = json_array(), *app;
    size_t i;
    json_array_foreach((json_t *)apps, i, app)
    {
        json_t *row = json_object();
        for (size_t k = 0; k < ARRAY_SIZE(keys); k++)
            (void)json_object_set(row, keys[k], json_object_get(app, keys[k]));
        (void)json_array_append_new(list, row);
    }
    json_set_int(answer, "version", 1);
    (void)json_object_set_new(answer, "apps", list);
    out_json(answer);
}

static int run(const struct args *args)
{
    AUTOCLIENT struct client c = CLIENT_NONE;
    AUTOSTRLIST struct strlist targets = {0};
    AUTOMSG struct msg answer = {0};
    int code = target_args(&c, args, 0, &targets);
    if (code != CMD_DONE)
        return code;
    json_t *params = app_request_targets(&targets);
    json_set_bool(params, "detail", true);
    json_set_bool(params, "show_env", true);
    code = connect_call(&c, "cannot show the environment", "app.list", params, &answer);
    if (code != CMD_DONE)
        return code;
    json_t *apps = json_object_get(answer.result, "apps"), *app;
    if (!args_has(args, "show"))
        secret_mask_apps(apps);
    if (args_has(args, "json")) {
        print_json(apps);
        return CMD_DONE;
    }
    size_t i;
    json_array_foreach(apps, i, app)
    {
        print_env(app, json_array_size(apps) > 1);
    }
    return CMD_DONE;
}

const struct cmd cmd_env = {
    .name = "env",
    .usage = "TARGET...",
    .help = "Shows the environment that apps are started with.",
    .more = "Values that look secret are shown as ***.",
    .options = options,
    .operands_min = 1,
    .operands_max = OPERANDS_ANY,
    .run = run,
};
