#include "supervisor/cli/cmd.h"

#include <stdio.h>

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/path.h"
#include "supervisor/cli/connect.h"

static int run(const struct args *args)
{
    AUTOCLIENT struct client c = CLIENT_NONE;
    AUTOMSG struct msg answer = {0};
    AUTOFREE char *home = path_home();
    int code = connect_running(&c);
    /* Its warnings say when the state cannot be written. */
    if (code == CMD_DONE)
        code = connect_call(&c, "cannot look at the state", "app.list", json_object(), &answer);
    if (code != CMD_DONE)
        return code;
    (void)printf("nothing needs to be saved: what runs is always kept in %s/state.json (%zu "
                 "instances)\n",
                 home, json_array_size(json_object_get(answer.result, "apps")));
    return CMD_DONE;
}

const struct cmd cmd_save = {
    .name = "save",
    .aliases = {"dump"},
    .usage = "",
    .help = "Not needed, for PM2's sake: the state is always kept.",
    .run = run,
};
