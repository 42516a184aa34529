#include "supervisor/cli/load/script.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "ecosystem/config_error.h"
#include "ecosystem/exit_codes.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/io.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/spawn.h"
#include "lib/base/str.h"

/* In loader_text.S. */
extern const char loader_text[];

enum { TIMEOUT_MS = 30000, PRINTED_MAX = 64 << 10 };

struct script {
    pid_t pid;
    int pidfd, answer_fd, printed_fd;
    int timeout_ms;
    bool timed_out;
    bool too_big;
    bool unwanted;      /* nobody reads our answer any more */
    int status;         /* of wait(2) */
    struct buf *answer; /* whole, or of no use */
    struct buf printed; /* the beginning of what it printed */
    bool printed_cut;
};

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A configuration may ask a server for its secrets; who needs longer says so. */
static int timeout_of_environment(void)
{
    int64_t us;
    const char *text = getenv("PROCTOR_LOAD_TIMEOUT");
    if (!text || str_to_duration_us(text, 1000000, &us) < 0 || us < 1000)
        return TIMEOUT_MS;
    return us / 1000 > INT_MAX ? INT_MAX : (int)(us / 1000);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Takes what is there; false when nothing more will come. */
static bool take(struct script *s, int fd)
{
    char bytes[16384];
    ssize_t n = read(fd, bytes, sizeof bytes);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        return false;
    if (fd == s->answer_fd)
        s->too_big |= buf_add(s->answer, bytes, (size_t)n) < 0;
    else
        s->printed_cut |= buf_add(&s->printed, bytes, (size_t)n) < 0;
    return !s->too_big;
}

/* What is in a pipe, without waiting for another process that holds it open. */
static void take_rest(struct script *s, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (poll(&p, 1, 0) > 0 && take(s, fd) && (fd == s->answer_fd || !s->printed_cut))
        continue;
}

/* Until the process has ended or must be ended. */
static void watch(struct script *s)
{
    int64_t deadline = now_ms() + s->timeout_ms;
    struct pollfd p[] = {{.fd = s->pidfd, .events = POLLIN},
                         {.fd = s->answer_fd, .events = POLLIN},
                         {.fd = s->printed_fd, .events = POLLIN},
                         {.fd = STDOUT_FILENO}};
    while (!(p[0].revents & POLLIN) && !s->too_big && !s->unwanted) {
        int64_t left = deadline - now_ms();
        s->timed_out = left <= 0;
        if (s->timed_out)
            return;
        if (poll(p, ARRAY_SIZE(p), (int)left) < 0)
            continue;
        for (size_t i = 1; i <= 2; i++)
            if (p[i].revents && !take(s, p[i].fd))
                p[i].fd = -1;
        s->unwanted = p[3].revents & (POLLERR | POLLHUP);
    }
}

static void finish(struct script *s)
{
    if (s->timed_out || s->too_big || s->unwanted)
        (void)kill(s->pid, SIGKILL);
    while (waitpid(s->pid, &s->status, 0) < 0 && errno == EINTR)
        continue;
    if (!s->too_big)
        take_rest(s, s->answer_fd);
    take_rest(s, s->printed_fd);
}

/* ---- the process ----------------------------------------------------------------------------- */

static int start(struct script *s, const char *node, const char *file, const char *env_name)
{
    AUTOFREE char *path = path_resolve("/", file);
    char *argv[] = {(char *)node,     (char *)"-e", (char *)loader_text, (char *)"--", path,
                    (char *)env_name, NULL};
    int answer[2], printed[2];
    if (pipe2(answer, O_CLOEXEC) < 0)
        return -errno;
    if (pipe2(printed, O_CLOEXEC) < 0) {
        int r = -errno;
        (void)close(answer[0]);
        (void)close(answer[1]);
        return r;
    }
    const struct spawn spawn = {.file = node,
                                .argv = argv,
                                .envp = environ,
                                .fds = {-1, printed[1], printed[1], answer[1]},
                                .fd_count = 4};
    enum spawn_step step;
    int r = spawn_start(&spawn, &s->pid, &s->pidfd, &step);
    (void)close(answer[1]);
    (void)close(printed[1]);
    s->answer_fd = answer[0];
    s->printed_fd = printed[0];
    return r;
}

static bool is_answered(const struct script *s)
{
    return s->answer->len > 0 && s->answer->data[s->answer->len - 1] == '\n';
}

/* Why there is no answer. */
static int complain(const struct script *s, struct config_error *reterr)
{
    char name[EXIT_CODE_TEXT];
    if (s->timed_out)
        return config_error_set(reterr, -ETIMEDOUT, 0, NULL,
                                "there is no answer after %g seconds; what takes so long? "
                                "(PROCTOR_LOAD_TIMEOUT allows more)",
                                s->timeout_ms / 1000.0);
    if (s->too_big)
        return config_error_set(reterr, ERR_TOO_BIG, 0, NULL,
                                "what it exports is larger than %u MiB",
                                LIMIT_ECOSYSTEM_ANSWER >> 20);
    if (WIFSIGNALED(s->status))
        return config_error_set(reterr, ERR_FAILED, 0, NULL, "node was ended by %s",
                                signal_name(WTERMSIG(s->status), name));
    return config_error_set(
        reterr, ERR_FAILED, 0, NULL, "node ended with exit code %d before the apps were known%s",
        WEXITSTATUS(s->status), s->printed.len ? "" : "; does the file call process.exit?");
}

static void show_printed(const struct script *s)
{
    static const char cut[] = "\n[…]\n";
    (void)io_write_all(STDERR_FILENO, buf_str(&s->printed), s->printed.len);
    if (s->printed_cut)
        (void)io_write_all(STDERR_FILENO, cut, sizeof cut - 1);
    else if (s->printed.len && s->printed.data[s->printed.len - 1] != '\n')
        (void)io_write_all(STDERR_FILENO, "\n", 1);
}

int script_run(const char *file, const char *env_name, struct buf *out, struct config_error *reterr)
{
    AUTOFREE char *cwd = path_cwd();
    AUTOFREE char *path = path_resolve(cwd, file);
    AUTOFREE char *found = path_find_program(cwd, "node", getenv("PATH"));
    if (!found)
        return config_error_set(reterr, ERR_NOT_FOUND, 0, NULL,
                                "needs node, and there is no such program in PATH");
    AUTOFREE char *node = path_resolve(cwd, found);
    struct script s = {.answer = out, .timeout_ms = timeout_of_environment()};
    buf_init(&s.printed, PRINTED_MAX);
    /* Else our node would take descriptor 3 for its channel. */
    (void)unsetenv("NODE_CHANNEL_FD");
    int r = start(&s, node, path, env_name);
    if (r < 0)
        return config_error_set(reterr, r, 0, NULL, "cannot run %s: %s", node, err_str(r));
    watch(&s);
    finish(&s);
    bool good = is_answered(&s) && !s.timed_out && !s.too_big;
    if (!good)
        r = complain(&s, reterr);
    if (!good || !WIFEXITED(s.status) || WEXITSTATUS(s.status) != 0)
        show_printed(&s);
    buf_clear(&s.printed);
    (void)close(s.answer_fd);
    (void)close(s.printed_fd);
    (void)close(s.pidfd);
    return r;
}
