#include "supervisor/cli/cmd.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/path.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/say.h"

/* Apps get their kill_timeout before daemon.kill is answered; this is for the supervisor's own end.
 */
enum { GONE_WAIT_MS = 30000 };

/* A descriptor that becomes readable when the supervisor ends; an error when it is ending already.
 */
static int watch_pid(struct client *c, struct msg *ret_answer)
{
    int r = connect_ask(c, "ping", NULL, ret_answer);
    if (r < 0)
        return r;
    long fd = syscall(SYS_pidfd_open, (pid_t)json_get_int(ret_answer->result, "pid", 0), 0u);
    return fd < 0 ? -errno : (int)fd;
}

static int wait_gone(int pidfd)
{
    struct pollfd wait = {.fd = pidfd, .events = POLLIN};
    int r;
    do
        r = poll(&wait, 1, GONE_WAIT_MS);
    while (r < 0 && errno == EINTR);
    return r > 0 ? 0 : -ETIMEDOUT;
}

static bool connection_ended(int r)
{
    return r == -ECONNRESET || r == -EPIPE || r == -ECONNREFUSED || r == -ENOENT;
}

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
    AUTOCLOSE int pidfd = watch_pid(&c, &pong);
    if (pidfd < 0 && pidfd != -ESRCH && !connection_ended(pidfd)) {
        say_error("cannot stop the supervisor: %s", say_reason(pidfd, &pong));
        return CMD_FAILED;
    }
    /* Its end may be faster than its answer. */
    c.retry_ms = 0;
    AUTOMSG struct msg answer = {0};
    r = client_call(&c, "daemon.kill", NULL, NULL, NULL, &answer);
    if (r < 0 && (answer.root || !connection_ended(r))) {
        say_error("cannot stop the supervisor: %s", say_reason(r, &answer));
        return say_exit_code(r);
    }
    if (pidfd >= 0 && wait_gone(pidfd) < 0) {
        say_error("the supervisor did not end within %d s", GONE_WAIT_MS / 1000);
        return CMD_FAILED;
    }
    (void)puts("the supervisor and all apps have stopped");
    return CMD_DONE;
}

const struct cmd cmd_kill = {
    .name = "kill",
    .usage = "",
    .help = "Stops and forgets all apps, and ends the supervisor.",
    .run = run,
};
