#include "remote/analysis_child.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/spawn.h"
#include "lib/base/str.h"

extern char **environ;

enum {
    READ_BYTES = 65536,
    SENTENCE = 200,
    DEADLINE_MS = (LIMIT_ANALYSIS_SECONDS + 5) * 1000,
};

#define TOOK_LONGER "the analysis took longer than it may"

/* Three texts and their heads. */
#define OUT_MAX (3 * (size_t)LIMIT_ANALYSIS_TEXT + 4096)

struct analysis_child {
    int out_fd; /* what it prints, our end */
    int pidfd;
    uv_poll_t out_poll; /* both polls and the timer: ->data is the child */
    uv_poll_t exit_poll;
    uv_timer_t deadline;
    unsigned open_handles;
    bool out_ended, exited, ending;
    siginfo_t status;
    int wait_error; /* the status is unknown */
    struct buf out;
    int result;
    char text[SENTENCE];
    analysis_child_cb done;
    void *arg;
};

/* The steps, in the order in which they run. */
static int spawn_child(struct analysis_child *c, const struct analysis_run *run);
static void watch(struct analysis_child *c, uv_loop_t *loop, uint64_t deadline_ms);
static void on_readable(uv_poll_t *poll, int status, int events);
static void on_exited(uv_poll_t *poll, int status, int events);
static void on_deadline(uv_timer_t *timer);
static void end(struct analysis_child *c, int result, const char *text);
static void close_when_over(struct analysis_child *c);
static void on_closed(uv_handle_t *handle);

int analysis_child_start(struct analysis_child **ret_child, uv_loop_t *loop,
                         const struct analysis_run *run, analysis_child_cb done, void *arg)
{
    struct analysis_child *c = xcalloc(1, sizeof *c);
    c->done = done;
    c->arg = arg;
    c->out_fd = c->pidfd = -1;
    buf_init(&c->out, OUT_MAX);
    int r = spawn_child(c, run);
    (void)close(run->fd);
    if (r < 0) {
        free(c);
        return r;
    }
    watch(c, loop, run->deadline_ms ? run->deadline_ms : DEADLINE_MS);
    *ret_child = c;
    return 0;
}

static int spawn_child(struct analysis_child *c, const struct analysis_run *run)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -errno;
    AUTOFREE char *file = run->program ? xstrdup(run->program) : path_sibling("proctor-analyze");
    AUTOFREE char *offset = xasprintf("%" PRIu64, run->offset);
    AUTOFREE char *len = xasprintf("%" PRIu64, run->len);
    AUTOFREE char *bytes = xasprintf("%" PRIu64, run->bytes);
    char *argv[] = {(char *)"proctor-analyze",
                    (char *)"--offset",
                    offset,
                    (char *)"--length",
                    len,
                    (char *)"--bytes",
                    bytes,
                    NULL};
    const struct spawn s = {.file = file,
                            .argv = argv,
                            .envp = environ,
                            .cwd = "/",
                            .fds = {-1, pipe_fds[1], STDERR_FILENO, run->fd},
                            .fd_count = 4};
    pid_t pid;
    enum spawn_step step;
    int r = spawn_start(&s, &pid, &c->pidfd, &step);
    (void)close(pipe_fds[1]);
    if (r < 0) {
        (void)close(pipe_fds[0]);
        return r;
    }
    c->out_fd = pipe_fds[0];
    (void)fcntl(c->out_fd, F_SETFL, O_NONBLOCK);
    return 0;
}

static void watch(struct analysis_child *c, uv_loop_t *loop, uint64_t deadline_ms)
{
    (void)uv_poll_init(loop, &c->out_poll, c->out_fd);
    (void)uv_poll_init(loop, &c->exit_poll, c->pidfd);
    (void)uv_timer_init(loop, &c->deadline);
    c->out_poll.data = c->exit_poll.data = c->deadline.data = c;
    c->open_handles = 3;
    (void)uv_poll_start(&c->out_poll, UV_READABLE, on_readable);
    (void)uv_poll_start(&c->exit_poll, UV_READABLE, on_exited);
    (void)uv_timer_start(&c->deadline, on_deadline, deadline_ms, 0);
}

/* More than it may print, or no memory for it: not worth hearing out. */
static int read_some(struct analysis_child *c)
{
    char *space;
    int r = buf_reserve(&c->out, READ_BYTES, &space);
    if (r < 0)
        return r;
    ssize_t n = read(c->out_fd, space, READ_BYTES);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 1 : -errno;
    buf_added(&c->out, (size_t)n);
    return n > 0 ? 1 : 0;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct analysis_child *c = poll->data;
    int r = read_some(c);
    if (r > 0)
        return;
    if (r < 0)
        end(c, r,
            r == ERR_TOO_BIG ? "the analysis prints more than it may"
                             : "what the analysis prints cannot be read");
    (void)uv_poll_stop(poll);
    c->out_ended = true;
    close_when_over(c);
}

static void on_exited(uv_poll_t *poll, int status, int events)
{
    struct analysis_child *c = poll->data;
    /* Somebody else has reaped it, perhaps the kernel (SIGCHLD ignored): it has ended all the same. */
    if (waitid(P_PIDFD, (id_t)c->pidfd, &c->status, WEXITED | WNOHANG) < 0)
        c->wait_error = -errno;
    else if (c->status.si_pid == 0)
        return;
    (void)uv_poll_stop(poll);
    c->exited = true;
    close_when_over(c);
}

static void on_deadline(uv_timer_t *timer)
{
    end(timer->data, -ETIMEDOUT, TOOK_LONGER);
}

/* The first result counts; it goes on when the process has ended. */
static void end(struct analysis_child *c, int result, const char *text)
{
    if (c->ending)
        return;
    c->ending = true;
    c->result = result;
    (void)snprintf(c->text, sizeof c->text, "%s", text);
    (void)syscall(SYS_pidfd_send_signal, c->pidfd, SIGKILL, NULL, 0);
}

void analysis_child_cancel(struct analysis_child *c)
{
    end(c, ERR_CANCELLED, err_str(ERR_CANCELLED));
}

static void fail(struct analysis_child *c, const char *what, int number)
{
    char text[SENTENCE];
    (void)snprintf(text, sizeof text, "the analysis ended with %s %d", what, number);
    end(c, ERR_FAILED, text);
}

/* How it ended, when it was not us who ended it. */
static void judge(struct analysis_child *c)
{
    bool by_signal = c->status.si_code != CLD_EXITED;
    int status = c->status.si_status;
    if (c->ending)
        return;
    if (c->wait_error)
        end(c, c->wait_error, "the analysis ended, and how is not known");
    else if (by_signal && status == SIGXCPU)
        end(c, -ETIMEDOUT, TOOK_LONGER);
    else if (by_signal && (status == SIGKILL || status == SIGTERM))
        end(c, ERR_BUSY, "the analysis was killed by somebody, or for want of memory; try again");
    else if (by_signal)
        fail(c, "signal", status);
    else if (status != 0)
        fail(c, "code", status);
}

static void close_when_over(struct analysis_child *c)
{
    if (!c->out_ended || !c->exited)
        return;
    judge(c);
    uv_close((uv_handle_t *)&c->out_poll, on_closed);
    uv_close((uv_handle_t *)&c->exit_poll, on_closed);
    uv_close((uv_handle_t *)&c->deadline, on_closed);
}

static void on_closed(uv_handle_t *handle)
{
    struct analysis_child *c = handle->data;
    if (--c->open_handles > 0)
        return;
    (void)close(c->out_fd);
    (void)close(c->pidfd);
    c->done(c->arg, c->result, c->text, &c->out);
    buf_clear(&c->out);
    free(c);
}

/* ---- what it printed ------------------------------------------------------------------------- */

int analysis_piece_next(const struct buf *out, size_t *pos, struct analysis_piece *ret_piece)
{
    const char *head = out->data ? out->data + *pos : NULL;
    size_t left = out->len - *pos;
    const char *newline = left ? memchr(head, '\n', left < 64 ? left : 64) : NULL;
    const char *blank = newline ? memchr(head, ' ', (size_t)(newline - head)) : NULL;
    if (left == 0)
        return 0;
    if (!blank || blank == head || (size_t)(blank - head) >= sizeof ret_piece->name)
        return ERR_PROTOCOL;
    AUTOFREE char *number = xstrndup(blank + 1, (size_t)(newline - blank - 1));
    int64_t len;
    size_t body = (size_t)(newline + 1 - head);
    if (str_to_int(number, 0, INT64_MAX, &len) < 0 || (uint64_t)len > left - body)
        return ERR_PROTOCOL;
    *ret_piece = (struct analysis_piece){.data = newline + 1, .len = (size_t)len};
    memcpy(ret_piece->name, head, (size_t)(blank - head));
    *pos += body + (size_t)len;
    return 1;
}
