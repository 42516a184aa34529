#include "supervisor/cli/app_load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ecosystem/config_error.h"
#include "ecosystem/ecosystem.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/path.h"
#include "lib/base/spawn.h"

static const char program_name[] = "proctor-load";

static int start(const char *program, const char *path, const char *env_name, int to,
                 pid_t *ret_pid)
{
    char *argv[] = {(char *)program_name, (char *)"--env", (char *)(env_name ? env_name : ""),
                    (char *)"--",         (char *)path,    NULL};
    const struct spawn s = {.file = program,
                            .argv = argv,
                            .envp = environ,
                            .fds = {-1, to, STDERR_FILENO},
                            .fd_count = 3};
    enum spawn_step step;
    int pidfd;
    int r = spawn_start(&s, ret_pid, &pidfd, &step);
    if (r == 0)
        (void)close(pidfd);
    return r;
}

/* Whole, or an error. */
static int take_all(int fd, struct buf *out)
{
    for (;;) {
        char bytes[16384];
        ssize_t n = read(fd, bytes, sizeof bytes);
        if (n == 0)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        int r = n < 0 ? -errno : buf_add(out, bytes, (size_t)n);
        if (r < 0)
            return r;
    }
}

/* The answer of proctor-load, which ends by itself. */
static int run(const char *path, const char *env_name, struct buf *out)
{
    AUTOFREE char *program = path_sibling(program_name);
    int ends[2], status = 0;
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    AUTOCLOSE int from = ends[0];
    int r = start(program, path, env_name, ends[1], &pid);
    (void)close(ends[1]);
    if (r < 0)
        return r;
    r = take_all(from, out);
    (void)close(TAKE_FD(from));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status) > 1))
        return ERR_FAILED;
    return r;
}

int app_load(const char *path, const char *env_name, struct ecosystem **ret_eco,
             struct strlist *reterr_warnings, struct config_error *reterr)
{
    AUTOBUF struct buf answer = BUF_INIT(LIMIT_ECOSYSTEM_ANSWER);
    if (ecosystem_file_kind(path) == FILE_JSON)
        return ecosystem_load_file(path, ret_eco, reterr_warnings, reterr);
    int r = run(path, env_name, &answer);
    if (r == 0)
        return ecosystem_load_answer(path, buf_str(&answer), answer.len, ret_eco, reterr_warnings,
                                     reterr);
    r = config_error_set(reterr, r, 0, NULL, "cannot be read: %s: %s", program_name, err_str(r));
    config_error_place(reterr, path, NULL);
    return r;
}
