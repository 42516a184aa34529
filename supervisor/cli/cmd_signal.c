#include "supervisor/cli/cmd.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "supervisor/cli/app_request.h"
#include "supervisor/cli/app_rows.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/say.h"
#include "supervisor/cli/signal_word.h"
#include "supervisor/cli/target_args.h"

static const struct arg_option options[] = {
    {"force", 'f', NULL, "sends SIGUSR1 to a Node process, too, which opens its inspector"},
    {"json", 'j', NULL, "prints {\"instances\":[...]}"},
    {NULL, 0, NULL, NULL},
};

static int run(const struct args *args)
{
    AUTOCLIENT struct client c = CLIENT_NONE;
    AUTOSTRLIST struct strlist targets = {0};
    AUTOMSG struct msg answer = {0};
    int sig = signal_word(args->operands[0]);
    if (sig < 0)
        return say_usage("signal", "'%s' is not a signal", args->operands[0]);
    int code = target_args(&c, args, 1, &targets);
    if (code != CMD_DONE)
        return code;
    json_t *params = app_request_targets(&targets);
    json_set_int(params, "signal", sig);
    json_set_bool(params, "force", args_has(args, "force"));
    code = connect_call(&c, "cannot send a signal", "app.signal", params, &answer);
    if (code != CMD_DONE)
        return code;
    const char *name = sigabbrev_np(sig);
    AUTOFREE char *done = xasprintf("sent signal %d%s%s%s to", sig, name ? " (SIG" : "",
                                    name ? name : "", name ? ")" : "");
    return app_rows_print(answer.result, done, args_has(args, "json"));
}

const struct cmd cmd_signal = {
    .name = "signal",
    .aliases = {"sendSignal", "send-signal"},
    .usage = "SIGNAL TARGET...",
    .help = "Sends a signal to the processes of apps.",
    .more = "SIGNAL is HUP, SIGHUP or 1.  The process alone gets it, not what it has started.  One "
            "that\n"
            "ends by it is restarted as its settings say.",
    .options = options,
    .operands_min = 2,
    .operands_max = OPERANDS_ANY,
    .run = run,
};
