#include "supervisor/cli/cmd.h"

#include <stdio.h>

#include "lib/base/json.h"
#include "supervisor/cli/app_table.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/daemon.h"

static int run(const struct args *args)
{
    AUTOCLIENT struct client c = CLIENT_NONE;
    AUTOMSG struct msg answer = {0};
    bool runs = connect_try(&c) == 0;
    int code = runs ? CMD_DONE : daemon_connect(&c);
    if (code == CMD_DONE)
        code = connect_call(&c, "cannot list", "app.list", json_object(), &answer);
    if (code != CMD_DONE)
        return code;
    (void)puts(runs ? "nothing to resurrect: the supervisor runs"
                    : "the supervisor was started, and with it what ran before");
    app_table_print(json_object_get(answer.result, "apps"), stdout);
    return CMD_DONE;
}

const struct cmd cmd_resurrect = {
    .name = "resurrect",
    .usage = "",
    .help = "Starts the supervisor, which starts what ran before.",
    .more = "Every start of the supervisor does that; the command is there for PM2's sake.",
    .run = run,
};
