#include "supervisor/cli/cmd.h"

#include <stdio.h>

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "supervisor/cli/app_request.h"
#include "supervisor/cli/app_table.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/out.h"
#include "supervisor/cli/say.h"
#include "supervisor/cli/target_args.h"

enum { PAGE_ROWS = 40 };

static const struct arg_option options[] = {
    {"wide", 'w', NULL, "each instance, and nothing shortened"},
    {"groups", 'g', NULL, "one row for each app"},
    {"json", 'j', NULL, "prints {\"version\":1,\"apps\":[...]}"},
    {NULL, 0, NULL, NULL},
};

/* More rows than a page has are grouped, when that makes them fewer. */
static bool is_long(const json_t *apps)
{
    size_t count = json_array_size(apps), names = 0;
    const char *last = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *name = json_get_string(json_array_get(apps, i), "name", "");
        names += !str_eq(name, last);
        last = name;
    }
    return count > PAGE_ROWS && names < count;
}

static void print(const json_t *apps, const struct args *args)
{
    if (args_has(args, "wide"))
        app_table_wide(apps, stdout);
    else if (args_has(args, "groups"))
        app_table_groups(apps, stdout);
    else if (is_long(apps)) {
        app_table_groups(apps, stdout);
        say_note("%zu instances; 'proctor list --wide' shows each", json_array_size(apps));
    } else
        app_table_print(apps, stdout);
}

static int run(const struct args *args)
{
    bool as_json = args_has(args, "json");
    AUTOCLIENT struct client c = CLIENT_NONE;
    AUTOSTRLIST struct strlist targets = {0};
    int code = target_args(&c, args, 0, &targets);
    if (code == CMD_NOT_RUNNING && as_json)
        (void)puts("{\"version\":1,\"apps\":[]}");
    if (code != CMD_DONE)
        return code;
    AUTOMSG struct msg answer = {0};
    code = connect_call(&c, "cannot list", "app.list", app_request_targets(&targets), &answer);
    if (code != CMD_DONE)
        return code;
    if (as_json)
        out_json(answer.result);
    else
        print(json_object_get(answer.result, "apps"), args);
    return CMD_DONE;
}

const struct cmd cmd_list = {
    .name = "list",
    .aliases = {"ls", "l", "ps", "status"},
    .usage = "[TARGET...]",
    .help = "Lists all instances.",
    .more = "More than 40 are shown as one row for each app.  What does not fit the terminal is "
            "left out\n"
            "(node, pid) or shortened (names); --wide shows all.",
    .options = options,
    .operands_max = OPERANDS_ANY,
    .run = run,
};
