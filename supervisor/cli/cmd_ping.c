#include "supervisor/cli/cmd.h"

#include <stdio.h>

#include "lib/base/json.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/out.h"

static const struct arg_option options[] = {
    {"json", 'j', NULL, "prints {\"pid\":N,\"version\":\"...\",...}"},
    {NULL, 0, NULL, NULL},
};

static int run(const struct args *args)
{
    AUTOCLIENT struct client c = CLIENT_NONE;
    int code = connect_running(&c);
    if (code != CMD_DONE)
        return code;
    AUTOMSG struct msg answer = {0};
    code = connect_call(&c, "no answer from the supervisor", "ping", NULL, &answer);
    if (code != CMD_DONE)
        return code;
    if (args_has(args, "json"))
        out_json(answer.result);
    else
        (void)printf("the supervisor is running (pid %lld, version %s)%s\n",
                     (long long)json_get_int(answer.result, "pid", 0),
                     json_get_string(answer.result, "version", "?"),
                     json_get_bool(answer.result, "safe_mode", false) ? " in safe mode" : "");
    return CMD_DONE;
}

const struct cmd cmd_ping = {
    .name = "ping",
    .usage = "[--json]",
    .help = "Tells whether the supervisor is running.",
    .options = options,
    .run = run,
};
