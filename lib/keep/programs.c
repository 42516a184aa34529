#include "lib/keep/programs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/keep/say.h"

/* The program that we become has its own order of descriptors below FD_MIN, before it runs. */
enum { FD_MIN = 10, TRY_MS = 5000, STEP_MS = 1 };

static bool same_file(int a, int b)
{
    struct stat x, y;
    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

void keep_programs_look(struct keep_programs *p)
{
    int low = open(p->path, O_PATH | O_CLOEXEC), fd = fcntl(low, F_DUPFD_CLOEXEC, FD_MIN);
    if (low >= 0)
        (void)close(low);
    if (fd < 0)
        return;
    if (same_file(fd, p->fds[0])) {
        (void)close(fd);
        return;
    }
    if (p->fds[0] < 0) {
        p->fds[0] = fd;
        return;
    }
    /* Only a program that has been up is worth going back to. */
    int *victim = &p->fds[p->use == 0 && p->proven];
    if (*victim >= 0)
        (void)close(*victim);
    *victim = p->fds[0];
    p->fds[0] = fd;
    p->use = 0;
    p->proven = false;
}

void keep_programs_up(struct keep_programs *p)
{
    p->proven = p->proven || p->use == 0;
}

void keep_programs_other(struct keep_programs *p)
{
    if (p->fds[!p->use] < 0)
        return;
    p->use = !p->use;
    p->proven = false;
}

void keep_programs_newest(struct keep_programs *p)
{
    p->proven = p->proven && p->use == 0;
    p->use = 0;
}

int keep_programs_exec(const struct keep_programs *p, char *const argv[])
{
    if (p->use == 0)
        (void)execv(p->path, argv);
    int error = errno;
    if (p->fds[p->use] < 0)
        return -error;
    if (p->use == 0)
        keep_say("warn", "cannot run %s, running the one before: %s", p->path, strerror(error));
    (void)fexecve(p->fds[p->use], argv, environ);
    return -errno;
}

void keep_programs_inherit(const struct keep_programs *p, int flags)
{
    (void)fcntl(p->fds[0], F_SETFD, flags);
    (void)fcntl(p->fds[1], F_SETFD, flags);
}

bool keep_programs_try(char *const argv[])
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        (void)execv(argv[0], argv);
        _exit(127);
    }
    for (int ms = 0; pid > 0 && waitpid(pid, &status, WNOHANG) == 0; ms += STEP_MS)
        if (poll(NULL, 0, STEP_MS) == 0 && ms >= TRY_MS)
            (void)kill(pid, SIGKILL);
    return status == 0;
}
