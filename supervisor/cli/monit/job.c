#include "supervisor/cli/monit/job.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/cli/cmd.h"

enum { END_MS = 10000, READ_BYTES = 4096 };

void job_init(struct job *j)
{
    *j = (struct job){.fd = -1};
}

/* In the child.  A group of its own: Ctrl-C is for us. */
__attribute__((noreturn)) static void run(const char *const *words, int out)
{
    int none = open("/dev/null", O_RDONLY | O_CLOEXEC);
    char *argv[JOB_WORDS + 1] = {0};
    int argc = 0;
    for (; words[argc] && argc < JOB_WORDS; argc++)
        argv[argc] = (char *)words[argc];
    (void)setpgid(0, 0);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGTERM, SIG_DFL);
    (void)signal(SIGHUP, SIG_IGN);
    (void)dup2(none, STDIN_FILENO);
    (void)dup2(out, STDOUT_FILENO);
    (void)dup2(out, STDERR_FILENO);
    int code = cmd_main(argc, argv);
    (void)fflush(stdout);
    _exit(code);
}

int job_start(struct job *j, const char *const *words, bool interrupts)
{
    int fds[2];
    if (j->pid)
        return -EBUSY;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    /* Nothing of ours may be written twice. */
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        run(words, fds[1]);
    (void)close(fds[1]);
    if (pid < 0) {
        int r = -errno;
        (void)close(fds[0]);
        return r;
    }
    (void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
    *j = (struct job){.pid = pid, .fd = fds[0], .interrupts = interrupts};
    return 0;
}

/* Keeps the last line that is not empty; tables are for others. */
static void take(struct job *j, const char *bytes, size_t len)
{
    for (size_t i = 0; i < len;) {
        const char *end = memchr(bytes + i, '\n', len - i);
        size_t n = end ? (size_t)(end - bytes) - i : len - i;
        if (n > 0 && bytes[i] != ' ' && strncmp(bytes + i, "id ", 3) != 0)
            (void)snprintf(j->text, sizeof j->text, "%.*s", (int)n, bytes + i);
        i += n + 1;
    }
}

static void reap(struct job *j)
{
    int status;
    (void)close(j->fd);
    j->fd = -1;
    while (waitpid(j->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    j->failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    j->pid = 0;
}

void job_read(struct job *j)
{
    char space[READ_BYTES];
    ssize_t n;
    if (!j->pid)
        return;
    while ((n = read(j->fd, space, sizeof space)) > 0)
        take(j, space, (size_t)n);
    if (n == 0)
        reap(j);
}

void job_end(struct job *j)
{
    struct pollfd wait = {.fd = j->fd, .events = POLLIN};
    if (!j->pid || !j->interrupts)
        return;
    (void)kill(j->pid, SIGINT);
    while (j->pid && poll(&wait, 1, END_MS) > 0)
        job_read(j);
}
