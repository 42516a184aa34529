#include "supervisor/cli/log_unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/spawn.h"
#include "supervisor/cli/say.h"

/* On disk where that goes, since an archive may be larger than what one likes to have in memory. */
static int nameless_file(void)
{
    const char *dir = getenv("TMPDIR");
    int fd = open(dir && *dir ? dir : "/tmp", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    if (fd < 0)
        fd = memfd_create("proctor-log", MFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : ERR_FAILED;
}

static int run_unpack(int from, int to)
{
    AUTOFREE char *program = path_sibling("proctor-unpack");
    char *argv[] = {program, NULL};
    const struct spawn s = {.file = program,
                            .argv = argv,
                            .envp = environ,
                            .fds = {from, to, STDERR_FILENO},
                            .fd_count = 3};
    enum spawn_step step;
    pid_t pid;
    int pidfd;
    int r = spawn_start(&s, &pid, &pidfd, &step);
    if (r < 0) {
        say_error("cannot run %s: %s", program, err_str(r));
        return ERR_FAILED; /* -ENOENT would be the archive's */
    }
    (void)close(pidfd);
    return wait_for(pid);
}

int log_unpack(const char *path)
{
    AUTOFREE char *packed = xasprintf("%s.zst", path);
    int plain = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (plain >= 0)
        return plain;
    AUTOCLOSE int from = open(packed, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    /* It is packed before the plain one goes, so that one of them is there. */
    if (from < 0)
        return -errno;
    AUTOCLOSE int to = nameless_file();
    if (to < 0)
        return to;
    int r = run_unpack(from, to);
    return r < 0 ? r : TAKE_FD(to);
}
