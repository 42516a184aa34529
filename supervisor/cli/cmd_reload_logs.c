#include "supervisor/cli/cmd.h"

#include <stdio.h>

#include "lib/wire/msg.h"
#include "supervisor/cli/connect.h"

static int run(const struct args *args)
{
    AUTOCLIENT struct client c = CLIENT_NONE;
    AUTOMSG struct msg answer = {0};
    int code = connect_running(&c);
    if (code == CMD_DONE)
        code = connect_call(&c, "cannot reopen the logs", "log.reopen", NULL, &answer);
    if (code == CMD_DONE)
        (void)puts("log files that were moved away have been opened anew");
    return code;
}

const struct cmd cmd_reload_logs = {
    .name = "reloadLogs",
    .aliases = {"reload-logs"},
    .usage = "",
    .help = "Opens log files anew that another program has moved away.",
    .more = "SIGUSR2 to proctord does the same.  Reads $PROCTOR_HOME/settings.json anew too.",
    .run = run,
};
