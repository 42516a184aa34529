#include "supervisor/cli/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "supervisor/cli/say.h"
#include "supervisor/cli/startup.h"

static const struct arg_option options[] = {
    {"user", 0, NULL, "the unit of your own (systemctl --user)"},
    {"for", 'u', "USER", "the system unit for this user's apps"},
    {"name", 0, "NAME", "of the unit; proctor, or proctor-USER"},
    {NULL, 0, NULL, NULL},
};

static int run(const struct args *args)
{
    AUTOSTARTUP struct startup s = {0};
    int code = startup_init(&s, args, "unstartup");
    if (code != CMD_DONE)
        return code;
    if (access(s.path, F_OK) < 0) {
        (void)printf("there is no unit %s\n", s.path);
        return CMD_DONE;
    }
    code = startup_may_write(&s, "unstartup");
    if (code != CMD_DONE)
        return code;
    /* A unit that is gone is not started, whatever systemctl says. */
    (void)startup_systemctl(&s, "disable", s.name);
    if (unlink(s.path) < 0) {
        say_error("cannot remove %s: %s", s.path, err_str(-errno));
        return CMD_FAILED;
    }
    (void)startup_systemctl(&s, "daemon-reload", NULL);
    (void)printf("%s was removed; what runs goes on\n", s.path);
    return CMD_DONE;
}

const struct cmd cmd_unstartup = {
    .name = "unstartup",
    .usage = "",
    .help = "Takes back what startup did; what runs goes on.",
    .options = options,
    .run = run,
};
