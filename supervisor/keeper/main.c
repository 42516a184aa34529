/* proctor-keeper -- starts proctord, keeps what must outlive it, starts it again.  `proctor start` runs it. */
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/keep/say.h"
#include "supervisor/keeper/keeper.h"

enum { READY_FD = 3 };

static struct keeper k; /* all zero, so that its untouched pages cost nothing */

/* The supervisor's program lies beside ours, also when it does not at the moment. */
static void find_programs(void)
{
    static char self[PATH_MAX] = LIBEXECDIR "/proctor-keeper", program[PATH_MAX + 16];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    self[len > 0 ? (size_t)len : strlen(self)] = '\0';
    char *deleted = strstr(self, " (deleted)");
    if (deleted)
        *deleted = '\0';
    (void)snprintf(program, sizeof program, "%.*s/proctord", (int)(strrchr(self, '/') - self),
                   self);
    k.self = self;
    bool elsewhere = access(program, X_OK) < 0 && access(LIBEXECDIR "/proctord", X_OK) == 0;
    k.programs.path = elsewhere ? LIBEXECDIR "/proctord" : program;
}

/* All of them wait for us; what nobody has asked for is read and forgotten. */
static void watch_signals(void)
{
    sigset_t all;
    (void)sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    (void)signal(SIGCHLD, SIG_DFL);
    k.signals = signalfd(-1, &all, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* Descriptors that we were started with and that nothing names would stay open for as long as we live. */
static void settle_fds(int manifest)
{
    struct stat st;
    if (manifest < 0 && fstat(READY_FD, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
        k.ready = fcntl(READY_FD, F_SETFD, FD_CLOEXEC) == 0 ? READY_FD : -1;
    if (manifest < 0)
        (void)syscall(SYS_close_range, k.ready < 0 ? READY_FD : READY_FD + 1, ~0U, 0);
    do
        k.null = open("/dev/null", O_RDWR);
    while (k.null >= 0 && k.null <= STDERR_FILENO);
    (void)fcntl(k.null, F_SETFD, FD_CLOEXEC);
}

int main(int argc, char **argv)
{
    k.ready = k.sock = k.programs.fds[0] = k.programs.fds[1] = -1;
    k.start_ms = 1; /* at once */
    int manifest = -1, i = 1;
    bool check = false;
    for (; i < argc; i++) {
        if (strcmp(argv[i], "--home") == 0 && i + 1 < argc)
            k.home = argv[++i];
        else if (strcmp(argv[i], "--manifest") == 0 && i + 1 < argc)
            manifest = atoi(argv[++i]);
        else if (strcmp(argv[i], "--init") == 0)
            k.init = true;
        else if (strcmp(argv[i], "--check") == 0)
            check = true;
        else
            break;
    }
    if (i < argc || !k.home)
        return dprintf(STDERR_FILENO, "usage: proctor-keeper --home DIR [--init]\n"), 2;
    k.init = k.init || getpid() == 1;
    find_programs();
    int r = manifest < 0 ? 0 : keeper_take_over(&k, manifest);
    if (check)
        return r == 0 ? 0 : 1;
    settle_fds(r < 0 ? -1 : manifest);
    watch_signals();
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (r < 0)
        keep_say("error", "cannot read what there is to take over: %s", strerror(-r));
    return keeper_run(&k);
}
