#include "supervisor/keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* SPARE_FDS: for ourselves, whatever is stored. */
enum { END_MS = 15000, CHECK_MS = 5000, SOON_MS = 10, RETRY_MS = 1000, SPARE_FDS = 16 };

static int64_t now_ms(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- talking with the supervisor -------------------------------------------------------------- */

static void store(struct keeper *k, const char *name, int fd)
{
    if (fd >= 0 && (rlim_t)fd + SPARE_FDS >= k->nofile.rlim_max) {
        (void)close(fd);
        fd = -1;
    }
    if (keep_table_store(&k->table, name, fd) < 0)
        say("error", "cannot keep a descriptor of the supervisor's");
}

static void came_up(struct keeper *k)
{
    say("info", "the supervisor is up, pid %d", (int)k->supervisor);
    policy_up(&k->policy);
    k->up = true;
    k->proven = k->proven || k->use == 0;
    k->up_ms = now_ms(CLOCK_MONOTONIC);
    (void)close(k->ready);
    k->ready = -1;
    if (k->stopping)
        (void)kill(k->supervisor, SIGTERM);
}

static void obey(struct keeper *k, const struct keep_msg *msg, int fd)
{
    if (msg->type == KEEP_STORE)
        store(k, msg->name, fd);
    else if (fd >= 0)
        (void)close(fd);
    if (msg->type == KEEP_DROP)
        keep_table_drop(&k->table, msg->name);
    else if (msg->type == KEEP_ACK) {
        int at = keep_table_acknowledged(&k->table, msg->seq);
        k->exits_sent -= at >= 0 && (uint32_t)at < k->exits_sent;
    } else if (msg->type == KEEP_UP && !k->up)
        came_up(k);
    else if (msg->type == KEEP_UPGRADE) {
        k->upgrading = true;
        k->kill_ms = now_ms(CLOCK_MONOTONIC) + END_MS;
    } else if (msg->type == KEEP_BYE)
        k->bye = true;
    k->fds_sent = k->synced ? k->table.count : k->fds_sent;
}

static void receive(struct keeper *k)
{
    struct keep_msg msg;
    int fd, r;
    while (k->sock >= 0 && (r = keep_receive(k->sock, &msg, &fd)) != -EAGAIN) {
        if (r == 1) {
            obey(k, &msg, fd);
        } else if (r == -EPROTO) {
            say("warn", "the supervisor sent what is no message, ignoring");
        } else { /* without us it must not go on: what it does then is lost with it */
            (void)close(k->sock);
            k->sock = -1;
            k->kill_ms = now_ms(CLOCK_MONOTONIC) + END_MS;
        }
    }
}

static bool to_send(const struct keeper *k)
{
    return k->sock >= 0 && (!k->synced || k->exits_sent < k->table.exit_count);
}

/* What this supervisor has not got yet: descriptors, exits, SYNCED, later exits.  Never waits. */
static int send_next(struct keeper *k)
{
    struct keep_msg msg = {.version = KEEP_VERSION,
                           .type = KEEP_SYNCED,
                           .flags = k->flags,
                           .starts = k->starts,
                           .status = k->last_status,
                           .at_ms = k->last_ended_ms};
    uint32_t synced = 0, *sent = &synced;
    int fd = -1;
    if (!k->synced && k->fds_sent < k->table.count) {
        sent = &k->fds_sent;
        msg.type = KEEP_FD;
        memcpy(msg.name, k->table.records[*sent].name, KEEP_NAME);
        fd = k->table.records[*sent].fd;
    } else if (k->exits_sent < k->table.exit_count) {
        sent = &k->exits_sent;
        msg = k->table.exits[*sent];
    }
    int r = keep_send(k->sock, &msg, fd);
    *sent += r == 0;
    k->synced = k->synced || synced;
    return r;
}

/* ---- starting it ------------------------------------------------------------------------------ */

static void set_limits(struct keeper *k, rlim_t nofile, const char *oom)
{
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    (void)!write(fd, oom, strlen(oom));
    (void)close(fd);
    (void)setrlimit(RLIMIT_NOFILE, &(struct rlimit){nofile, k->nofile.rlim_max});
}

static void raise_limits(struct keeper *k)
{
    int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
    (void)!read(fd, k->oom, sizeof k->oom - 1);
    (void)close(fd);
    (void)getrlimit(RLIMIT_NOFILE, &k->nofile);
    set_limits(k, k->nofile.rlim_max, "-1000");
}

/* When another program lies at the path than before, that is used; the old one becomes the previous one if it has been up. */
static void look_at_program(struct keeper *k)
{
    struct stat new, old;
    int fd = open(k->program, O_PATH | O_CLOEXEC), *victim = &k->programs[k->use == 0 && k->proven];
    if (fd < 0 || fstat(fd, &new) < 0 ||
        (fstat(k->programs[0], &old) == 0 && new.st_dev == old.st_dev &&new.st_ino == old.st_ino)) {
        (void)close(fd);
        return;
    }
    (void)close(*victim);
    *victim = k->programs[0];
    k->programs[0] = fd;
    k->use = 0;
    k->proven = false;
}

static void child(struct keeper *k, int sock)
{
    char *argv[] = {(char[]){"proctord"}, (char[]){"--home"}, k->home,
                    (char[]){"--keeper"}, (char[]){"4"},      NULL};
    sigset_t none;
    int ready = fcntl(k->ready < 0 ? k->null : k->ready, F_DUPFD_CLOEXEC, 5);
    sock = fcntl(sock, F_DUPFD_CLOEXEC, 5);
    if (dup2(k->null, 0) < 0 || dup2(ready, 3) < 0 || dup2(sock, 4) < 0)
        _exit(127);
    set_limits(k, k->nofile.rlim_cur, k->oom);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    if (k->use == 0)
        (void)execv(k->program, argv);
    (void)fexecve(k->programs[k->use], argv, environ);
    (void)dprintf(3, "cannot run %s: %s\n", k->program, strerror(errno));
    say("error", "cannot run %s: %s", k->program, strerror(errno));
    _exit(127);
}

static void start(struct keeper *k)
{
    int pair[2] = {-1, -1};
    look_at_program(k);
    pid_t pid = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0 ? -1 : fork();
    if (pid == 0)
        child(k, pair[1]);
    (void)close(pair[1]);
    if (pid < 0) {
        say("error", "cannot start the supervisor, trying again: %s", strerror(errno));
        (void)close(pair[0]);
        k->start_ms = now_ms(CLOCK_MONOTONIC) + RETRY_MS;
        return;
    }
    (void)fcntl(pair[0], F_SETFL, O_NONBLOCK);
    k->supervisor = pid;
    k->sock = pair[0];
    k->up = k->synced = k->upgrading = k->bye = false;
    k->fds_sent = k->exits_sent = 0;
    k->kill_ms = 0;
    k->flags =
        policy_flags(&k->policy) | (k->starts++ ? KEEP_AGAIN : 0) | (k->use ? KEEP_ROLLED_BACK : 0);
    say("info", "started the supervisor, pid %d%s%s", (int)pid,
        k->flags & KEEP_SAFE ? ", in safe mode" : "", k->use ? ", the previous program" : "");
}

/* ---- the next keeper -------------------------------------------------------------------------- */

static void inherit(struct keeper *k, int manifest, int flags)
{
    int others[] = {manifest, k->programs[0], k->programs[1]};
    keep_table_inherit(&k->table, flags);
    for (unsigned i = 0; i < 3; i++)
        (void)fcntl(others[i], F_SETFD, flags);
}

/* Does the new program understand what it would get? */
static bool checked(char **argv)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(execv(argv[0], argv) < 0);
    for (int ms = 0; pid > 0 && waitpid(pid, &status, WNOHANG) == 0; ms += SOON_MS)
        if (poll(NULL, 0, SOON_MS) == 0 && ms >= CHECK_MS)
            (void)kill(pid, SIGKILL);
    return status == 0;
}

/* Returns only when that cannot be: then we go on ourselves. */
static void become_next(struct keeper *k)
{
    char number[16], *argv[] = {k->self, (char[]){"--home"},  k->home, (char[]){"--manifest"},
                                number,  (char[]){"--check"}, NULL};
    struct keep_manifest_head head = {.records = k->table.count,
                                      .exits = k->table.exit_count,
                                      .supervisor_sock = -1,
                                      .binary_fd = k->programs[0],
                                      .previous_fd = k->programs[1],
                                      .starts = k->starts,
                                      .next_seq = k->table.last_seq,
                                      .flags = KEEP_UPGRADED | (k->proven ? 0 : KEEP_ROLLED_BACK)};
    int fd = memfd_create("keep", MFD_CLOEXEC);
    (void)snprintf(number, sizeof number, "%d", fd);
    inherit(k, fd, 0);
    if (fd >= 0 && keep_manifest_write(fd, &head, k->table.records, k->table.exits) == 0 &&
        checked(argv)) {
        set_limits(k, k->nofile.rlim_cur, k->oom);
        argv[5] = k->init ? (char[]){"--init"} : NULL;
        (void)execv(k->self, argv);
        set_limits(k, k->nofile.rlim_max, "-1000");
    }
    say("error", "the new keeper does not run, going on with this one");
    inherit(k, fd, FD_CLOEXEC);
    (void)close(fd);
}

int keeper_take_over(struct keeper *k, int manifest)
{
    struct keep_manifest_head head;
    struct keep_table *t = &k->table;
    (void)lseek(manifest, 0, SEEK_SET);
    int r = keep_manifest_read(manifest, &head, t->records, KEEP_FDS, t->exits, KEEP_EXITS);
    if (r < 0)
        return r;
    t->count = head.records;
    t->exit_count = head.exits;
    t->last_seq = head.next_seq;
    k->programs[0] = head.binary_fd;
    k->programs[1] = head.previous_fd;
    k->proven = !(head.flags & KEEP_ROLLED_BACK);
    k->use = !k->proven && !(head.flags & KEEP_UPGRADED) && head.previous_fd >= 0;
    k->starts = head.starts + !head.starts;
    k->last_ended_ms = now_ms(CLOCK_MONOTONIC);
    k->policy.stage = head.flags & KEEP_UPGRADED ? STAGE_UPGRADED
                      : head.flags & KEEP_SAFE   ? STAGE_SAFE
                                                 : STAGE_NORMAL;
    inherit(k, manifest, FD_CLOEXEC);
    return 0;
}

/* ---- ends ------------------------------------------------------------------------------------- */

/* Without room in the table a child stays a zombie, so that nothing is lost. */
static void reap(struct keeper *k)
{
    siginfo_t info = {.si_pid = 0};
    while (!keep_table_full(&k->table) &&
           waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) {
        if (info.si_pid == k->supervisor)
            return;
        keep_table_exited(&k->table, &info, now_ms(CLOCK_REALTIME));
        (void)waitpid(info.si_pid, NULL, 0);
        info.si_pid = 0;
    }
}

/* A supervisor that says why it cannot begin is not asked again, unless something depends on us. */
static bool is_final(const struct keeper *k, int status)
{
    siginfo_t info;
    bool alone = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0;
    return k->bye || (!k->up && k->init && k->stopping) ||
           (!k->up && k->starts == 1 && WIFEXITED(status) && alone);
}

/* Has the supervisor ended?  Then what it still had sent is done, and what comes next is decided. */
static bool supervisor_ended(struct keeper *k)
{
    int status;
    bool other = false;
    if (k->supervisor == 0 || waitpid(k->supervisor, &status, WNOHANG) != k->supervisor)
        return false;
    receive(k);
    (void)close(k->sock);
    k->sock = -1;
    k->supervisor = 0;
    k->last_status = status;
    k->last_ended_ms = k->start_ms = now_ms(CLOCK_MONOTONIC);
    bool crash = policy_is_crash(status, k->up, k->last_ended_ms - k->up_ms);
    say(k->bye || k->upgrading ? "info" : "warn", "the supervisor %s with %s %d%s",
        crash && !k->bye ? "crashed" : "ended", WIFSIGNALED(status) ? "signal" : "status",
        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
        k->up ? "" : ", before it was up");
    if (is_final(k, status))
        return true;
    if (k->upgrading) {
        k->policy = (struct policy){.stage = STAGE_UPGRADED};
        k->proven = k->proven && k->use == 0;
        k->use = 0;
        become_next(k);
        return false;
    }
    k->start_ms += policy_ended(&k->policy, crash, &other);
    if (other && k->programs[!k->use] >= 0) {
        k->use = !k->use;
        k->proven = false;
    }
    return false;
}

static void forward_signals(struct keeper *k)
{
    struct signalfd_siginfo info;
    while (read(k->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        bool stop = info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT;
        if (k->supervisor &&
            ((stop && (k->up || k->stopping)) || (info.ssi_signo == SIGUSR2 && k->up)))
            (void)kill(k->supervisor, stop ? SIGTERM : SIGUSR2);
        k->stopping = k->stopping || stop;
    }
}

/* Until when poll() may wait; -1: for ever. */
static int patience_ms(const struct keeper *k, bool soon)
{
    int64_t at = k->supervisor ? k->kill_ms : k->start_ms, left = at - now_ms(CLOCK_MONOTONIC);
    if (soon)
        return SOON_MS;
    return at == 0 ? -1 : left < 0 ? 0 : (int)left;
}

static void on_time(struct keeper *k)
{
    if (patience_ms(k, false) != 0)
        return;
    if (k->supervisor == 0) {
        start(k);
        return;
    }
    say("error", "the supervisor does not end, killing it");
    (void)kill(k->supervisor, SIGKILL);
    k->kill_ms = 0;
}

int keeper_run(struct keeper *k)
{
    raise_limits(k);
    for (;;) {
        on_time(k);
        reap(k);
        int r = 0;
        while (to_send(k) && r == 0)
            r = send_next(k);
        struct pollfd polls[] = {
            {.fd = k->signals, .events = POLLIN},
            {.fd = k->sock, .events = (k->synced ? POLLIN : 0) | (r == -EAGAIN ? POLLOUT : 0)}};
        (void)poll(polls, 2, patience_ms(k, r < 0 && r != -EAGAIN));
        forward_signals(k);
        if (k->synced || r == -EPIPE)
            receive(k);
        if (supervisor_ended(k))
            return WIFSIGNALED(k->last_status) ? 128 + WTERMSIG(k->last_status)
                                               : WEXITSTATUS(k->last_status);
    }
}
