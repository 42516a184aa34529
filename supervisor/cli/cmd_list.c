#include "supervisor/cli/cmd.h"

#include <stdio.h>

#include "lib/base/json.h"
#include "supervisor/cli/app_table.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/out.h"

static const struct arg_option options[] = {
    {"json", 'j', NULL, "prints {\"version\":1,\"apps\":[...]}"},
    {NULL, 0, NULL, NULL},
};

static int run(const struct args *args)
{
    bool as_json = args_has(args, "json");
    AUTOCLIENT struct client c = CLIENT_NONE;
    int code = connect_running(&c);
    if (code == CMD_NOT_RUNNING && as_json)
        (void)puts("{\"version\":1,\"apps\":[]}");
    if (code != CMD_DONE)
        return code;
    AUTOMSG struct msg answer = {0};
    code = connect_call(&c, "cannot list", "app.list", json_object(), &answer);
    if (code != CMD_DONE)
        return code;
    if (as_json)
        out_json(answer.result);
    else
        app_table_print(json_object_get(answer.result, "apps"), stdout);
    return CMD_DONE;
}

const struct cmd cmd_list = {
    .name = "list",
    .aliases = {"ls", "l", "ps", "status"},
    .usage = "[--json]",
    .help = "Lists all instances.",
    .options = options,
    .run = run,
};
