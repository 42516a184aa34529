#include "supervisor/cli/cmd.h"

#include <stdio.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/path.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/say.h"

/* Apps get their kill_timeout before daemon.kill is answered; this is for the supervisor's own end.
 */
enum { GONE_WAIT_MS = 30000 };

static int run(const struct args *args)
{
    AUTOFREE char *home = path_home();
    AUTOCLIENT struct client c = CLIENT_NONE;
    int r = connect_try(&c);
    if (r == ERR_NOT_RUNNING) {
        (void)printf("no supervisor is running here (PROCTOR_HOME=%s)\n", home);
        return CMD_DONE;
    }
    if (r < 0)
        return connect_say(r);
    AUTOMSG struct msg pong = {0};
    /* One that does not answer must not do later what was told to have failed. */
    r = connect_ask(&c, "ping", NULL, &pong);
    if (r < 0 && !connect_broke(r)) {
        say_error("cannot stop the supervisor: %s", say_reason(r, &pong));
        return CMD_FAILED;
    }
    AUTOWATCH struct watch watch = connect_watch(&c, pong.result);
    /* Its end may be faster than its answer.  One that dies of something else is followed by one that ends, too. */
    c.nobody_ms = 0;
    AUTOMSG struct msg answer = {0};
    r = client_call(&c, "daemon.kill", NULL, NULL, NULL, &answer);
    /* Somebody else's kill or a signal came first: the apps' kill_timeout is still to come. */
    bool ending = r == ERR_STOPPING;
    if (r < 0 && !ending && (answer.root || !connect_broke(r))) {
        say_error("cannot stop the supervisor: %s", say_reason(r, &answer));
        return say_exit_code(r);
    }
    if (connect_wait_gone(&watch, ending ? -1 : GONE_WAIT_MS) < 0) {
        say_error("the supervisor did not end within %d s", GONE_WAIT_MS / 1000);
        return CMD_FAILED;
    }
    connect_say_warnings(answer.result);
    (void)puts("the supervisor and all apps have stopped");
    return CMD_DONE;
}

const struct cmd cmd_kill = {
    .name = "kill",
    .usage = "",
    .help = "Stops and forgets all apps, and ends the supervisor.",
    .run = run,
};
