#include "supervisor/cli/connect.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/path.h"
#include "lib/base/str.h"
#include "supervisor/cli/cmd.h"
#include "supervisor/cli/say.h"

/* What the supervisor answers by itself, and what it hands to the agent: there it has patience for 15 s and then says
 * what is wrong with the agent.  Enrolment and its end go over the network besides (agent_link.c). */
enum { ANSWER_MS = 10000, AGENT_ANSWER_MS = 20000, LINK_SET_MS = 60000, LINK_REMOVE_MS = 30000 };

static int limit_ms(const char *method)
{
    if (str_eq(method, "link.set"))
        return LINK_SET_MS;
    if (str_eq(method, "link.remove"))
        return LINK_REMOVE_MS;
    /* The supervisor keeps the time for the apps. */
    if (str_eq(method, "app.trigger"))
        return 0;
    bool relayed = str_starts(method, "capture.") || str_starts(method, "link.");
    return relayed ? AGENT_ANSWER_MS : ANSWER_MS;
}

int connect_try(struct client *c)
{
    AUTOFREE char *home = path_home();
    AUTOFREE char *socket_path = path_join(home, "control.sock");
    int r = client_open(c, socket_path);
    /* ENOTDIR: a component of the path is a file, so nothing can run there. */
    return r == -ENOENT || r == -ECONNREFUSED || r == -ENOTDIR ? ERR_NOT_RUNNING : r;
}

int connect_say(int r)
{
    AUTOFREE char *home = path_home();
    if (r == ERR_NOT_RUNNING) {
        say_error("no supervisor is running here (PROCTOR_HOME=%s)", home);
        return CMD_NOT_RUNNING;
    }
    if (r == -ENAMETOOLONG)
        say_error(
            "the path of the control socket is too long for the system: set PROCTOR_HOME to a "
            "shorter folder than %s",
            home);
    else if (r == -ETIMEDOUT)
        say_error("the supervisor does not answer: it takes no connections (PROCTOR_HOME=%s)",
                  home);
    else
        say_error("cannot connect to the supervisor (PROCTOR_HOME=%s): %s", home, err_str(r));
    return CMD_FAILED;
}

int connect_running(struct client *c)
{
    int r = connect_try(c);
    return r < 0 ? connect_say(r) : CMD_DONE;
}

bool connect_broke(int r)
{
    return r == -ECONNRESET || r == -EPIPE || r == -ECONNREFUSED || r == -ENOENT;
}

/* Who listens at the other end, as the kernel says. */
static int64_t listener_pid(const struct client *c)
{
    struct ucred peer = {0};
    socklen_t len = sizeof peer;
    if (c->fd < 0 || getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return 0;
    return peer.pid;
}

static int watch_process(int64_t pid)
{
    return pid > 0 ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0u) : -1;
}

struct watch connect_watch(const struct client *c, const json_t *pong)
{
    return (struct watch){.supervisor = watch_process(json_get_int(pong, "pid", listener_pid(c))),
                          .keeper = watch_process(json_get_int(pong, "keeper_pid", 0))};
}

void connect_watch_end(struct watch *w)
{
    if (w->supervisor >= 0)
        (void)close(w->supervisor);
    if (w->keeper >= 0)
        (void)close(w->keeper);
}

static int wait_gone(int pidfd, int limit_ms)
{
    struct pollfd wait = {.fd = pidfd, .events = POLLIN};
    int r;
    if (pidfd < 0)
        return 0;
    do
        r = poll(&wait, 1, limit_ms);
    while (r < 0 && errno == EINTR);
    return r > 0 ? 0 : -ETIMEDOUT;
}

int connect_wait_gone(const struct watch *w, int limit_ms)
{
    int r = wait_gone(w->supervisor, limit_ms);
    return r < 0 ? r : wait_gone(w->keeper, limit_ms);
}

void connect_say_warnings(const json_t *result)
{
    size_t i;
    json_t *warning;
    json_array_foreach(json_object_get(result, "warnings"), i, warning)
    {
        if (json_is_string(warning))
            say_note("warning: %s", json_string_value(warning));
    }
}

int connect_ask(struct client *c, const char *method, json_t *params, struct msg *ret_answer)
{
    AUTOJSON json_t *owned = params;
    c->limit_ms = limit_ms(method);
    int r = client_call(c, method, owned, NULL, NULL, ret_answer);
    c->limit_ms = 0;
    return r;
}

int connect_call(struct client *c, const char *what, const char *method, json_t *params,
                 struct msg *ret_answer)
{
    int r = connect_ask(c, method, params, ret_answer);
    if (r == 0) {
        connect_say_warnings(ret_answer->result);
        return CMD_DONE;
    }
    /* It was there when we connected, and nobody has taken its place since. */
    if (!ret_answer->root && (r == -ECONNREFUSED || r == -ENOENT))
        return connect_say(ERR_NOT_RUNNING);
    say_error("%s: %s", what, say_reason(r, ret_answer));
    return say_exit_code(r);
}
