#include "lib/base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC (1U << 2)
#endif

/* execve() itself needs little; libc's wrappers and a sanitizer's interceptors need more. */
enum { STACK_BYTES = 256 * 1024 };

struct child {
    const struct spawn *s;
    int error; /* errno; written by the child in our memory */
    enum spawn_step step;
};

const char *spawn_step_text(enum spawn_step step)
{
    switch (step) {
    case SPAWN_CLONE:
        return "cannot make a process";
    case SPAWN_FDS:
        return "cannot set up its files";
    case SPAWN_CWD:
        return "cannot enter its working directory";
    case SPAWN_IDS:
        return "cannot become its user";
    case SPAWN_EXEC:
        return "cannot run the program";
    }
    return "cannot start";
}

/* ---- in the child: shares our memory, so only plain system calls from here on ---------------- */

/* The child leaves this stack by exec, so AddressSanitizer's marks on it would stay for whoever gets the memory next. */
#define IN_CHILD __attribute__((no_sanitize("address")))

IN_CHILD static void default_signals(void)
{
    /* The kernel's own call and struct (all zero is SIG_DFL): libc keeps 32 and 33 to itself, but whoever started us may
     * have left them ignored. */
    const unsigned long action[8] = {0};
    for (int sig = 1; sig < NSIG; sig++)
        (void)syscall(SYS_rt_sigaction, sig, action, NULL, sizeof(unsigned long));
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* All sources are first copied above the targets, so that no copy overwrites a source that is still needed. */
IN_CHILD static int place_fds(const struct spawn *s)
{
    int copies[SPAWN_FDS_MAX];
    for (unsigned i = 0; i < s->fd_count; i++) {
        int source = s->fds[i];
        if (source < 0)
            source = open("/dev/null", O_RDWR | O_CLOEXEC);
        copies[i] = source < 0 ? -1 : fcntl(source, F_DUPFD_CLOEXEC, (int)s->fd_count);
        if (copies[i] < 0)
            return -1;
    }
    for (unsigned i = 0; i < s->fd_count; i++)
        if (dup2(copies[i], (int)i) < 0)
            return -1;
    /* Ours are close-on-exec anyway; this is for those of libraries. */
    (void)syscall(SYS_close_range, s->fd_count, ~0U, CLOSE_RANGE_CLOEXEC);
    return 0;
}

/* Plain system calls: libc's wrappers would change the ids of the parent's threads too. */
IN_CHILD static int become(const struct spawn *s)
{
    if (syscall(SYS_setgroups, s->group_count, s->groups) < 0)
        return -1;
    if (syscall(SYS_setresgid, s->gid, s->gid, s->gid) < 0)
        return -1;
    return (int)syscall(SYS_setresuid, s->uid, s->uid, s->uid);
}

IN_CHILD static void limit_nofile(unsigned long soft)
{
    struct rlimit limit;
    if (soft == 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return;
    limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

IN_CHILD static int fail(struct child *c, enum spawn_step step)
{
    c->error = errno ? errno : EINVAL;
    c->step = step;
    if (c->s->pid_slot)
        *c->s->pid_slot = 0;
    _exit(127);
}

IN_CHILD static int child_main(void *arg)
{
    struct child *c = arg;
    const struct spawn *s = c->s;
    if (s->pid_slot)
        *s->pid_slot = (pid_t)syscall(SYS_getpid);
    default_signals();
    if (s->new_session)
        (void)setsid();
    if (place_fds(s) < 0)
        return fail(c, SPAWN_FDS);
    limit_nofile(s->nofile_soft);
    if (s->set_ids && become(s) < 0)
        return fail(c, SPAWN_IDS);
    /* Only now: becoming another user takes it back. */
    if (s->dies_with_us)
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (s->cwd && chdir(s->cwd) < 0)
        return fail(c, SPAWN_CWD);
    (void)execve(s->file, s->argv, s->envp);
    return fail(c, SPAWN_EXEC);
}

/* ---- in the parent --------------------------------------------------------------------------- */

static int clone_child(struct child *c, char *stack, int *ret_pidfd)
{
    sigset_t all, before;
    int pidfd = -1;
    (void)sigfillset(&all);
    /* A handler of ours must not run in the child while it shares our memory. */
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    int pid = clone(child_main, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD,
                    c, &pidfd);
    int error = errno;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return -error;
    *ret_pidfd = pidfd;
    return pid;
}

int spawn_start(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd, enum spawn_step *reterr_step)
{
    struct child c = {.s = s, .step = SPAWN_CLONE};
    *reterr_step = SPAWN_CLONE;
    if (s->fd_count > SPAWN_FDS_MAX)
        return -EINVAL;
    char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED)
        return -errno;
    int pidfd = -1;
    int pid = clone_child(&c, stack, &pidfd);
    (void)munmap(stack, STACK_BYTES);
    if (pid < 0)
        return pid;
    if (c.error) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            continue;
        (void)close(pidfd);
        *reterr_step = c.step;
        return -c.error;
    }
    *ret_pid = pid;
    *ret_pidfd = pidfd;
    return 0;
}

static unsigned long nofile_before;

unsigned long spawn_raise_nofile(void)
{
    struct rlimit limit;
    if (nofile_before || getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return nofile_before;
    nofile_before = (unsigned long)limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    return nofile_before;
}

void spawn_lower_nofile(void)
{
    if (!nofile_before)
        return;
    limit_nofile(nofile_before);
    nofile_before = 0;
}
