#include "supervisor/cli/cmd.h"

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "supervisor/cli/app_request.h"
#include "supervisor/cli/app_rows.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/target_args.h"

static const struct arg_option options[] = {
    {"json", 'j', NULL, "prints {\"instances\":[...]}"},
    {NULL, 0, NULL, NULL},
};

static int run(const struct args *args)
{
    AUTOCLIENT struct client c = CLIENT_NONE;
    AUTOSTRLIST struct strlist targets = {0};
    AUTOMSG struct msg answer = {0};
    int code = target_args(&c, args, 0, &targets);
    if (code == CMD_DONE)
        code =
            connect_call(&c, "cannot flush", "log.flush", app_request_targets(&targets), &answer);
    if (code != CMD_DONE)
        return code;
    return app_rows_print(answer.result, "emptied the logs of", args_has(args, "json"));
}

const struct cmd cmd_flush = {
    .name = "flush",
    .usage = "[TARGET...]",
    .help = "Empties logs, archives included.",
    .more = "Without a target those of all apps, and proctor.log.  An unfinished last line stays.",
    .options = options,
    .operands_max = OPERANDS_ANY,
    .run = run,
};
