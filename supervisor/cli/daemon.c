#include "supervisor/cli/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/path.h"
#include "lib/base/spawn.h"
#include "lib/base/str.h"
#include "supervisor/cli/cmd.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/say.h"

/* One line comes from the new supervisor: "ready", or why not. */
enum {
    READY_FD = 3,
    READY_WAIT_MS = 10000,
    LINE_MAX_BYTES = 1024,
    LOCKED_WAIT_MS = 50,
    GONE_WAIT_MS = 15000
};
enum { READY, LOCKED };

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What the supervisor itself needs, and its agent for an enrolment; apps get the environment of the request that declares them. */
static void small_environment(struct strlist *env)
{
    static const char *const names[] = {"PATH=",        "HOME=",        "LANG=",      "LC_",
                                        "TZ=",          "USER=",        "LOGNAME=",   "PROCTOR_",
                                        "https_proxy=", "HTTPS_PROXY=", "all_proxy=", "ALL_PROXY=",
                                        "no_proxy=",    "NO_PROXY="};
    for (char **entry = environ; *entry; entry++)
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
            if (str_starts(*entry, names[i]) && !str_starts(*entry, "PROCTOR_HOME="))
                strlist_add(env, *entry);
}

/* Starts proctor-keeper, and that proctord, with `log` as their output and `ready` as descriptor 3.  The keeper's pid, or an
 * error that has been said. */
static int spawn_daemon(const char *home, int log, int ready)
{
    AUTOFREE char *program = path_sibling("proctor-keeper");
    AUTOSTRLIST struct strlist argv = {0}, env = {0};
    strlist_add(&argv, "proctor-keeper");
    strlist_add(&argv, "--home");
    strlist_add(&argv, home);
    small_environment(&env);
    env_set(&env, "PROCTOR_HOME", home);
    struct spawn s = {
        .file = program,
        .argv = argv.items,
        .envp = env.items,
        .cwd = "/",
        .fds = {-1, log, log, [READY_FD] = ready},
        .fd_count = READY_FD + 1,
        .new_session = true,
    };
    pid_t pid;
    int pidfd;
    enum spawn_step step;
    int r = spawn_start(&s, &pid, &pidfd, &step);
    if (r < 0)
        say_error("cannot start the supervisor %s: %s: %s", program, spawn_step_text(step),
                  err_str(r));
    else
        (void)close(pidfd);
    return r < 0 ? r : pid;
}

/* Reads the line that the supervisor writes when it is ready; -ETIMEDOUT, or -EPIPE when it ended
 * without one. */
static int read_line(int fd, char line[static LINE_MAX_BYTES])
{
    size_t len = 0;
    int64_t give_up = now_ms() + READY_WAIT_MS;
    while (!memchr(line, '\n', len) && len + 1 < LINE_MAX_BYTES) {
        int64_t left = give_up - now_ms();
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        int r = left > 0 ? poll(&wait, 1, (int)left) : 0;
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return r < 0 ? -errno : -ETIMEDOUT;
        ssize_t n = read(fd, line + len, LINE_MAX_BYTES - 1 - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    line[len] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return len > 0 ? 0 : -EPIPE;
}

static int wait_ready(int fd, const char *log_path, pid_t keeper)
{
    char line[LINE_MAX_BYTES];
    int r = read_line(fd, line);
    if (r == -ETIMEDOUT)
        say_error("the supervisor did not get ready within %d s (see %s); proctor-keeper goes on "
                  "trying, until `kill %d`",
                  READY_WAIT_MS / 1000, log_path, (int)keeper);
    else if (r < 0)
        say_error("the supervisor ended before it was ready (see %s)", log_path);
    if (r < 0)
        return r;
    if (str_eq(line, "ready"))
        return READY;
    if (str_starts(line, "already running"))
        return LOCKED;
    say_error("the supervisor could not start: %s", line);
    return ERR_FAILED;
}

static int refuse_home(const char *home, const char *why)
{
    say_error("%s %s", home, why);
    return -EPERM;
}

/* The folder must be ours before anything is made in it: a log of root's in the home of somebody
 * else would keep that one's supervisor from starting.  A link may be root's, too. */
static int check_home(const char *home)
{
    struct stat link, st;
    if (lstat(home, &link) < 0 || stat(home, &st) < 0) {
        int r = -errno;
        say_error("cannot use the folder %s: %s", home, err_str(r));
        return r;
    }
    bool foreign_link = S_ISLNK(link.st_mode) && link.st_uid != geteuid() && link.st_uid != 0;
    if (st.st_uid != geteuid() || foreign_link)
        return refuse_home(home, "belongs to another user (see PROCTOR_HOME)");
    if (st.st_mode & 022)
        return refuse_home(home, "can be written by others: chmod 700 it");
    return 0;
}

/* Makes the folder, or takes the one that is there; what fails has been said. */
static int take_home(const char *home)
{
    int r = path_mkdir(home, 0700);
    if (r == 0)
        return check_home(home);
    AUTOFREE char *parent = path_resolve(home, "..");
    if (r == -ENOENT && access(parent, F_OK) < 0)
        say_error("cannot make the folder %s: there is no folder %s", home, parent);
    else
        say_error("cannot make the folder %s: %s", home, err_str(r));
    return r;
}

/* Returns READY, LOCKED (somebody else's supervisor is there), or an error that has been said. */
static int start_daemon(const char *home)
{
    int r = take_home(home);
    if (r < 0)
        return r;
    AUTOFREE char *log_path = path_join(home, "proctor.log");
    AUTOCLOSE int log =
        open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log < 0) {
        r = -errno;
        say_error("cannot open %s: %s", log_path, err_str(r));
        return r;
    }
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        r = -errno;
        say_error("cannot make a pipe: %s", err_str(r));
        return r;
    }
    AUTOCLOSE int ready = ends[0];
    r = spawn_daemon(home, log, ends[1]);
    (void)close(ends[1]);
    return r < 0 ? r : wait_ready(ready, log_path, r);
}

int daemon_connect(struct client *c)
{
    AUTOFREE char *home = path_home();
    int64_t give_up = now_ms() + READY_WAIT_MS;
    for (;;) {
        int r = connect_try(c);
        if (r == 0)
            return CMD_DONE;
        if (r != ERR_NOT_RUNNING || now_ms() >= give_up)
            return connect_say(r);
        int code = start_daemon(home);
        if (code < 0)
            return CMD_FAILED;
        /* The other one is still opening its socket, or ending; then it is our turn. */
        if (code == LOCKED)
            (void)poll(NULL, 0, LOCKED_WAIT_MS);
    }
}

int daemon_replace(struct client *c)
{
    AUTOMSG struct msg pong = {0};
    /* It has gone already, or it answers this one also now. */
    c->retry_ms = 0;
    (void)connect_ask(c, "ping", NULL, &pong);
    AUTOWATCH struct watch watch = connect_watch(c, pong.result);
    if (connect_wait_gone(&watch, GONE_WAIT_MS) < 0) {
        say_error("the supervisor is shutting down, and was not gone within %d s",
                  GONE_WAIT_MS / 1000);
        return CMD_FAILED;
    }
    client_close(c);
    return daemon_connect(c);
}
