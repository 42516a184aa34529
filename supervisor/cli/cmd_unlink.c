#include "supervisor/cli/cmd.h"

#include <stdio.h>

#include "lib/base/json.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/out.h"
#include "supervisor/cli/say.h"

static const struct arg_option options[] = {
    {"json", 'j', NULL, "prints {\"revoked\":true}"},
    {NULL, 0, NULL, NULL},
};

static int run(const struct args *args)
{
    AUTOMSG struct msg answer = {0};
    AUTOCLIENT struct client c = CLIENT_NONE;
    int code = connect_running(&c);
    if (code == CMD_DONE)
        code = connect_call(&c, "cannot unlink this host", "link.remove", NULL, &answer);
    if (code != CMD_DONE)
        return code;
    const char *warning = json_get_string(answer.result, "warning", NULL);
    if (args_has(args, "json"))
        out_json(answer.result);
    else
        (void)puts(json_get_bool(answer.result, "revoked", false)
                       ? "unlinked; the console has revoked this host"
                       : "unlinked on this host; the console has not revoked it");
    if (warning)
        say_note("warning: %s", warning);
    return CMD_DONE;
}

const struct cmd cmd_unlink = {
    .name = "unlink",
    .usage = "",
    .help = "Ends the link to the console, which forgets this host.",
    .options = options,
    .run = run,
};
