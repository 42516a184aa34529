#include "supervisor/keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/keep/say.h"

enum { UP_MS = 30000, END_MS = 15000, SOON_MS = 10, RETRY_MS = 1000, SPARE_FDS = 16 };

/* ---- talking with the supervisor -------------------------------------------------------------- */

static void came_up(struct keeper *k)
{
    keep_say("info", "the supervisor is up, pid %d", (int)k->supervisor);
    policy_up(&k->policy);
    keep_programs_up(&k->programs);
    k->up = true;
    k->up_ms = keep_clock_ms(CLOCK_MONOTONIC);
    k->kill_ms = 0;
    (void)close(k->ready);
    k->ready = -1;
    if (k->stopping)
        (void)kill(k->supervisor, SIGTERM);
}

static void obey(struct keeper *k, const struct keep_msg *msg, int fd)
{
    if (keep_table_obey(&k->table, msg, fd) < 0)
        keep_say("error", "cannot keep a descriptor of the supervisor's");
    if (msg->type == KEEP_UP && !k->up)
        came_up(k);
    k->bye = k->bye || msg->type == KEEP_BYE;
    k->upgrading = k->upgrading || msg->type == KEEP_UPGRADE;
    if (msg->type == KEEP_UPGRADE)
        k->kill_ms = keep_clock_ms(CLOCK_MONOTONIC) + END_MS;
}

static void receive(struct keeper *k)
{
    struct keep_msg msg;
    int fd, r;
    while (k->sock >= 0 && (r = keep_receive(k->sock, &msg, &fd)) != -EAGAIN) {
        if (r == 1) {
            obey(k, &msg, fd);
        } else if (r == -EPROTO) {
            keep_say("warn", "the supervisor sent what is no message, ignoring");
        } else {
            /* What it does from here on would be lost with it, so it must not live long. */
            (void)close(k->sock);
            k->sock = -1;
            k->kill_ms = keep_clock_ms(CLOCK_MONOTONIC) + END_MS;
        }
    }
}

/* Never waits: 0 when all is told, -EAGAIN when its socket is full. */
static int tell(struct keeper *k)
{
    struct keep_msg msg;
    int fd, r = 0;
    while (k->sock >= 0 && r == 0 && keep_table_next(&k->table, &msg, &fd)) {
        r = keep_send(k->sock, &msg, fd);
        if (r == 0)
            keep_table_told(&k->table, &msg);
    }
    return r;
}

/* ---- starting it ------------------------------------------------------------------------------ */

static void child(struct keeper *k, int sock)
{
    char *argv[] = {(char[]){"proctord"}, (char[]){"--home"}, k->home,
                    (char[]){"--keeper"}, (char[]){"4"},      NULL};
    sigset_t none;
    int ready = fcntl(k->ready < 0 ? k->null : k->ready, F_DUPFD_CLOEXEC, 5);
    sock = fcntl(sock, F_DUPFD_CLOEXEC, 5);
    if (dup2(k->null, 0) < 0 || dup2(ready, 3) < 0 || dup2(sock, 4) < 0)
        _exit(127);
    keep_limits_set(&k->limits, false);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    int r = keep_programs_exec(&k->programs, argv);
    (void)dprintf(3, "cannot run %s: %s\n", k->programs.path, strerror(-r));
    keep_say("error", "cannot run %s: %s", k->programs.path, strerror(-r));
    _exit(127);
}

static void start(struct keeper *k)
{
    int pair[2] = {-1, -1};
    keep_programs_look(&k->programs);
    pid_t pid = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ? -1 : fork();
    if (pid == 0)
        child(k, pair[1]);
    k->start_ms = keep_clock_ms(CLOCK_MONOTONIC) + RETRY_MS;
    (void)close(pair[1]);
    if (pid < 0) {
        keep_say("error", "cannot start the supervisor, trying again: %s", strerror(errno));
        (void)close(pair[0]);
        return;
    }
    (void)fcntl(pair[0], F_SETFL, O_NONBLOCK);
    k->supervisor = pid;
    k->sock = pair[0];
    k->up = k->upgrading = k->bye = false;
    struct keep_msg *about = &k->table.synced_msg;
    bool other = k->programs.use != 0;
    about->flags = policy_flags(&k->policy) | (other ? KEEP_ROLLED_BACK : 0) |
                   (about->starts++ ? KEEP_AGAIN : 0);
    k->kill_ms = keep_clock_ms(CLOCK_MONOTONIC) + (about->flags & KEEP_UPGRADED ? END_MS : UP_MS);
    keep_table_tell_anew(&k->table);
    keep_say("info", "started the supervisor, pid %d%s%s", (int)pid,
             about->flags & KEEP_SAFE ? ", in safe mode" : "",
             other ? ", the previous program" : "");
}

/* ---- the next keeper -------------------------------------------------------------------------- */

static void inherit(const struct keeper *k, int manifest, int flags)
{
    keep_table_inherit(&k->table, flags);
    keep_programs_inherit(&k->programs, flags);
    (void)fcntl(manifest, F_SETFD, flags);
}

static void begin_upgrade(struct keeper *k)
{
    k->policy = (struct policy){.stage = STAGE_UPGRADED};
    keep_programs_newest(&k->programs);
}

/* Returns only when that cannot be: then we go on ourselves. */
static void become_next(struct keeper *k)
{
    char number[16], *argv[] = {k->self, (char[]){"--home"},  k->home, (char[]){"--manifest"},
                                number,  (char[]){"--check"}, NULL};
    struct keep_manifest_head head = {.supervisor_sock = -1,
                                      .binary_fd = k->programs.fds[0],
                                      .previous_fd = k->programs.fds[1],
                                      .starts = k->table.synced_msg.starts,
                                      .flags = KEEP_UPGRADED |
                                               (k->programs.proven ? 0 : KEEP_ROLLED_BACK)};
    int manifest = keep_table_write(&k->table, &head);
    (void)snprintf(number, sizeof number, "%d", manifest);
    inherit(k, manifest, 0);
    if (manifest >= 0 && keep_programs_try(argv)) {
        argv[5] = k->init ? (char[]){"--init"} : NULL;
        keep_limits_set(&k->limits, false);
        (void)execv(k->self, argv);
        keep_limits_set(&k->limits, true);
    }
    keep_say("error", "the new keeper does not run, going on with this one");
    inherit(k, manifest, FD_CLOEXEC);
    (void)close(manifest);
}

int keeper_take_over(struct keeper *k, int manifest)
{
    struct keep_manifest_head head;
    int r = keep_table_read(&k->table, manifest, &head);
    if (r < 0)
        return r;
    k->programs.fds[0] = head.binary_fd;
    k->programs.fds[1] = head.previous_fd;
    k->programs.proven = !(head.flags & KEEP_ROLLED_BACK);
    k->programs.use = (head.flags & KEEP_ROLLED_BACK) && head.previous_fd >= 0;
    k->policy.stage = head.flags & KEEP_SAFE ? STAGE_SAFE : STAGE_NORMAL;
    if (head.flags & KEEP_UPGRADED)
        begin_upgrade(k);
    inherit(k, -1, FD_CLOEXEC);
    return 0;
}

/* ---- its end ---------------------------------------------------------------------------------- */

/* One that says why it cannot begin is not started again, unless something depends on us. */
static bool is_final(const struct keeper *k, int status)
{
    siginfo_t info;
    bool alone = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0;
    bool refused = WIFEXITED(status) && k->table.synced_msg.starts == 1;
    bool useless = refused || k->stopping;
    return k->bye || (!k->up && ((useless && alone) || (k->init && k->stopping)));
}

/* What it still had sent is done first. */
static void supervisor_ended(struct keeper *k, int status)
{
    bool other = false, killed = WIFSIGNALED(status);
    receive(k);
    (void)close(k->sock);
    k->sock = -1;
    k->supervisor = 0;
    k->table.synced_msg.status = status;
    k->table.synced_msg.at_ms = k->start_ms = keep_clock_ms(CLOCK_MONOTONIC);
    bool asked = k->bye || k->upgrading;
    bool crash = !asked && policy_is_crash(status, k->up, k->start_ms - k->up_ms);
    keep_say(asked ? "info" : "warn", "the supervisor %s with %s %d%s", crash ? "crashed" : "ended",
             killed ? "signal" : "status", killed ? WTERMSIG(status) : WEXITSTATUS(status),
             k->up ? "" : ", before it was up");
    if (k->upgrading && !k->bye && !k->stopping) {
        begin_upgrade(k);
        become_next(k);
        return;
    }
    k->start_ms += policy_ended(&k->policy, crash, &other);
    if (other)
        keep_programs_other(&k->programs);
}

/* One that is not up yet is not ready for them: it gets the first one then. */
static void forward_signals(struct keeper *k)
{
    struct signalfd_siginfo info;
    while (read(k->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        bool stop = info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT;
        bool takes = k->supervisor && (k->up || k->stopping);
        if (takes && (stop || info.ssi_signo == SIGUSR2))
            (void)kill(k->supervisor, stop ? SIGTERM : SIGUSR2);
        k->stopping = k->stopping || stop;
    }
}

/* How long poll() may wait; -1: for ever. */
static int patience_ms(const struct keeper *k)
{
    int64_t at = k->supervisor ? k->kill_ms : k->start_ms,
            left = at - keep_clock_ms(CLOCK_MONOTONIC);
    return at == 0 ? -1 : left < 0 ? 0 : (int)left;
}

static void on_time(struct keeper *k)
{
    if (k->supervisor == 0) {
        start(k);
        return;
    }
    keep_say("error", "the supervisor does not %s, killing it", k->up ? "end" : "come up");
    (void)kill(k->supervisor, SIGKILL);
    k->kill_ms = 0;
}

int keeper_run(struct keeper *k)
{
    keep_limits_remember(&k->limits);
    k->table.fd_max = (int)k->limits.nofile.rlim_max - SPARE_FDS;
    keep_limits_set(&k->limits, true);
    for (;;) {
        if (patience_ms(k) == 0)
            on_time(k);
        keep_table_reap(&k->table, k->supervisor);
        int r = tell(k);
        short events = (short)((k->table.synced ? POLLIN : 0) | (r == -EAGAIN ? POLLOUT : 0));
        struct pollfd polls[] = {{.fd = k->signals, .events = POLLIN},
                                 {.fd = k->sock, .events = events}};
        /* Another error is that the kernel is short of something, or that the supervisor is just ending. */
        (void)poll(polls, 2, r < 0 && r != -EAGAIN ? SOON_MS : patience_ms(k));
        forward_signals(k);
        if (k->table.synced || r == -EPIPE)
            receive(k);
        if (k->supervisor == 0 || waitpid(k->supervisor, &r, WNOHANG) != k->supervisor)
            continue;
        supervisor_ended(k, r);
        if (is_final(k, r))
            return WIFSIGNALED(r) ? 128 + WTERMSIG(r) : WEXITSTATUS(r);
    }
}
