#include "supervisor/cli/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/spawn.h"
#include "supervisor/cli/app_file.h"
#include "supervisor/cli/app_request.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/daemon.h"
#include "supervisor/cli/run_watch.h"
#include "supervisor/cli/say.h"

enum { LOOK_MS = 250, END_MS = 60000, LOGS_END_MS = 500 };

// clang-format off
static const struct arg_option options[] = {
    {"env", 0, "NAME", "merges the block env_NAME over env"},
    {"json", 'j', NULL, "a JSON object per line of output"},
    {"timestamps", 't', NULL, "the time of each line"},
    {"raw", 0, NULL, "the lines alone, without names"},
    {"no-auto-exit", 0, NULL, "goes on when no app runs any more"},
    {NULL, 0, NULL, NULL},
};
// clang-format on

struct run {
    const struct args *args;
    struct client client;
    struct strlist names; /* of the apps */
    pid_t logs;           /* shows what they write; 0: none */
    int signals;
};

/* What is said while starting is no output of an app. */
static int quiet_request(struct run *r, json_t *params, struct app_outcome *outcome)
{
    (void)fflush(stdout);
    AUTOCLOSE int kept = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    (void)dup2(STDERR_FILENO, STDOUT_FILENO);
    int code = app_request(&r->client, "app.apply", params, outcome);
    (void)fflush(stdout);
    if (kept >= 0)
        (void)dup2(kept, STDOUT_FILENO);
    return code;
}

static int apply(struct run *r)
{
    AUTOJSON json_t *apps = json_array();
    struct app_outcome outcome = {0};
    const char *file = r->args->operands[0];
    int code = app_file_is(file) ? app_file_load(file, args_value(r->args, "env"), apps)
                                 : app_file_script(file, r->args, apps);
    if (code == CMD_DONE)
        code = daemon_connect(&r->client);
    if (code != CMD_DONE)
        return code;
    json_t *params = json_object();
    (void)json_object_set(params, "apps", apps);
    app_request_add_env(params);
    code = quiet_request(r, params, &outcome);
    strlist_copy(&r->names, &outcome.names);
    app_outcome_clear(&outcome);
    /* An app that fails at once is seen below, with its code. */
    return r->names.count > 0 ? CMD_DONE : code;
}

/* `proctor logs` as a child, from the first line on that these apps write now. */
static int show_logs(struct run *r)
{
    static const char *const passed[] = {"json", "timestamps", "raw"};
    AUTOFREE char *self = path_sibling("proctor");
    AUTOSTRLIST struct strlist argv = {0};
    enum spawn_step step;
    int pidfd;
    strlist_add(&argv, "proctor");
    strlist_add(&argv, "logs");
    strlist_add(&argv, "--since=2s");
    for (size_t i = 0; i < ARRAY_SIZE(passed); i++)
        if (args_has(r->args, passed[i]))
            strlist_addf(&argv, "--%s", passed[i]);
    strlist_add(&argv, "--");
    strlist_copy(&argv, &r->names);
    const struct spawn s = {.file = self,
                            .argv = argv.items,
                            .envp = environ,
                            .fds = {-1, STDOUT_FILENO, STDERR_FILENO},
                            .fd_count = 3,
                            .new_session = true};
    int error = spawn_start(&s, &r->logs, &pidfd, &step);
    if (error < 0) {
        say_error("cannot show the logs: %s", err_str(error));
        r->logs = 0;
        return CMD_FAILED;
    }
    (void)close(pidfd);
    return CMD_DONE;
}

/* As PID 1 of a container we get children of others, too. */
static void reap(struct run *r)
{
    pid_t pid;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
        if (pid == r->logs)
            r->logs = 0;
}

/* Forwards a signal that is not about us; true when we are to end. */
static bool take_signals(struct run *r)
{
    struct signalfd_siginfo info;
    bool end = false;
    while (read(r->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        int sig = (int)info.ssi_signo;
        if (sig == SIGCHLD) {
            reap(r);
        } else if (sig == SIGTERM || sig == SIGINT || sig == SIGQUIT) {
            end = true;
        } else {
            AUTOMSG struct msg answer = {0};
            json_t *params = app_request_targets(&r->names);
            json_set_int(params, "signal", sig);
            (void)connect_ask(&r->client, "app.signal", params, &answer);
        }
    }
    return end;
}

/* What there is of the apps now; NULL: the supervisor is gone. */
static json_t *look(struct run *r)
{
    AUTOMSG struct msg answer = {0};
    int error = connect_ask(&r->client, "app.list", app_request_targets(&r->names), &answer);
    return error < 0 ? NULL : json_incref(json_object_get(answer.result, "apps"));
}

/* Until no app runs any more, or we are told to end.  The exit code. */
static int wait_for_end(struct run *r)
{
    bool stays = args_has(r->args, "no-auto-exit");
    for (;;) {
        struct pollfd wait = {.fd = r->signals, .events = POLLIN};
        (void)poll(&wait, 1, LOOK_MS);
        if (take_signals(r))
            return CMD_DONE;
        AUTOJSON json_t *apps = look(r);
        if (!apps) {
            say_error("the supervisor is gone");
            return CMD_FAILED;
        }
        if (!stays && !run_watch_alive(apps))
            return run_watch_code(apps);
    }
}

/* Everything that was started ends; what was written last is shown. */
static void end(struct run *r)
{
    AUTOMSG struct msg pong = {0};
    AUTOMSG struct msg answer = {0};
    (void)connect_ask(&r->client, "ping", NULL, &pong);
    AUTOWATCH struct watch watch = connect_watch(&r->client, pong.result);
    r->client.nobody_ms = 0;
    (void)client_call(&r->client, "daemon.kill", NULL, NULL, NULL, &answer);
    (void)connect_wait_gone(&watch, END_MS);
    if (r->logs > 0) {
        (void)poll(NULL, 0, LOGS_END_MS);
        (void)kill(r->logs, SIGINT);
        while (waitpid(r->logs, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
}

static int open_signals(sigset_t *before)
{
    static const int ours[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR2, SIGCHLD, SIGWINCH};
    sigset_t set;
    (void)sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
        (void)sigaddset(&set, ours[i]);
    (void)sigprocmask(SIG_BLOCK, &set, before);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* A container begins with nothing that runs; where something does, that is somebody else's. */
static int check_alone(void)
{
    AUTOCLIENT struct client c = CLIENT_NONE;
    AUTOFREE char *home = path_home();
    if (connect_try(&c) < 0)
        return CMD_DONE;
    say_error("a supervisor is running here already (PROCTOR_HOME=%s); \"proctor start\" gives it "
              "apps",
              home);
    return CMD_FAILED;
}

static int run(const struct args *args)
{
    struct run r = {.args = args, .client = CLIENT_NONE, .signals = -1};
    sigset_t before;
    int code = check_alone();
    if (code != CMD_DONE)
        return code;
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    r.signals = open_signals(&before);
    code = apply(&r);
    bool started = r.client.fd >= 0;
    if (code == CMD_DONE)
        code = show_logs(&r);
    if (code == CMD_DONE)
        code = wait_for_end(&r);
    if (started)
        end(&r);
    (void)close(r.signals);
    client_close(&r.client);
    strlist_clear(&r.names);
    return code;
}

const struct cmd cmd_run = {
    .name = "run",
    .usage = "FILE|SCRIPT [-- ARGUMENTS]",
    .help = "Runs apps in the foreground, for containers, and ends with them.",
    .more =
        "Shows what they write.  SIGTERM, SIGINT and SIGQUIT stop them, SIGHUP, SIGUSR2 and "
        "SIGWINCH\n"
        "are forwarded.  Ends when none runs any more, with the code of the first that failed "
        "(128\n"
        "and the number for a signal); nothing is remembered.  As process 1 it reaps what others\n"
        "leave behind.",
    .options = options,
    .operands_min = 1,
    .operands_max = OPERANDS_ANY,
    .run = run,
};
