/* proctor-keeper -- starts proctord, keeps what must outlive it, starts it again.  `proctor start` runs it. */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/keeper/keeper.h"

enum { READY_FD = 3 };

static struct keeper k; /* all zero, so that its untouched pages cost nothing */

/* A log that nobody reads must not stop us: then the line is lost. */
void say(const char *level, const char *format, ...)
{
    char line[1024], stamp[32];
    struct timespec now;
    struct tm tm;
    struct pollfd log = {.fd = STDERR_FILENO, .events = POLLOUT};
    va_list ap;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &tm));
    int len = snprintf(line, sizeof line, "%s.%03ldZ proctor-keeper[%d] %-5s keeper: ", stamp,
                       now.tv_nsec / 1000000, (int)getpid(), level);
    va_start(ap, format);
    len += vsnprintf(line + len, sizeof line - (size_t)len, format, ap);
    va_end(ap);
    len = len < (int)sizeof line ? len : (int)sizeof line - 1;
    line[len] = '\n';
    if (poll(&log, 1, 0) == 1)
        (void)!write(STDERR_FILENO, line, (size_t)len + 1);
}

/* The supervisor's program lies beside ours. */
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
    k.program = access(program, X_OK) == 0 ? program : LIBEXECDIR "/proctord";
}

static void watch_signals(void)
{
    static const int all[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT, SIGPIPE};
    sigset_t set;
    (void)sigemptyset(&set);
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        (void)sigaddset(&set, all[i]);
    (void)sigprocmask(SIG_SETMASK, &set, NULL);
    (void)signal(SIGCHLD, SIG_DFL);
    k.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* Descriptors that we were started with and that nothing names would stay open for as long as we live. */
static void settle_fds(int manifest)
{
    struct stat st;
    while (fcntl(STDERR_FILENO, F_GETFD) < 0 && open("/dev/null", O_RDWR) >= 0)
        continue;
    if (manifest < 0 && fstat(READY_FD, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
        k.ready = fcntl(READY_FD, F_SETFD, FD_CLOEXEC) == 0 ? READY_FD : -1;
    if (manifest < 0)
        (void)syscall(SYS_close_range, k.ready < 0 ? READY_FD : READY_FD + 1, ~0U, 0);
    k.null = open("/dev/null", O_RDWR | O_CLOEXEC);
}

int main(int argc, char **argv)
{
    k.ready = k.sock = k.programs[0] = k.programs[1] = -1;
    k.start_ms = 1;
    int manifest = -1;
    bool check = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--home") == 0 && i + 1 < argc)
            k.home = argv[++i];
        else if (strcmp(argv[i], "--manifest") == 0 && i + 1 < argc)
            manifest = atoi(argv[++i]);
        else if (strcmp(argv[i], "--init") == 0)
            k.init = true;
        else if (strcmp(argv[i], "--check") == 0)
            check = true;
        else
            return dprintf(STDERR_FILENO, "usage: proctor-keeper --home DIR [--init]\n"), 2;
    }
    if (!k.home)
        return dprintf(STDERR_FILENO, "proctor-keeper: --home DIR is missing\n"), 2;
    k.init = k.init || getpid() == 1;
    find_programs();
    int r = manifest < 0 ? 0 : keeper_take_over(&k, manifest);
    if (check)
        return r == 0 ? 0 : 1;
    settle_fds(r < 0 ? -1 : manifest);
    watch_signals();
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (r < 0)
        say("error", "cannot read what there is to take over: %s", strerror(-r));
    return keeper_run(&k);
}
