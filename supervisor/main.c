/* proctord -- the supervisor.  Started by `proctor start`; `proctord --home DIR` by hand runs in the foreground. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/spawn.h"
#include "lib/base/str.h"
#include "supervisor/supervisor.h"

enum { READY_FD = 3 };

/* Tells whoever started us, on descriptor 3 if there is one: "ready", or why not. */
static void tell_starter(const char *text)
{
    struct stat st;
    if (fstat(READY_FD, &st) < 0 || !(S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
        return;
    (void)dprintf(READY_FD, "%s\n", text);
    (void)close(READY_FD);
}

static int give_up(const char *text)
{
    tell_starter(text);
    (void)fprintf(stderr, "proctord: %s\n", text);
    return 1;
}

/* The lock is what makes a home have one supervisor; it goes with the process. */
static int lock_home(const char *home)
{
    AUTOFREE char *path = path_join(home, "lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int r = errno == EWOULDBLOCK ? ERR_EXISTS : -errno;
        (void)close(fd);
        return r;
    }
    return fd;
}

/* The home must be ours: whoever can write there can run programs as us. */
static int check_home(const char *home, char **reterr_text)
{
    struct stat st;
    int r = path_mkdir(home, 0700);
    if (r < 0 || stat(home, &st) < 0) {
        *reterr_text = xasprintf("%s: %s", home, err_str(r < 0 ? r : -errno));
        return -1;
    }
    if (st.st_uid != geteuid())
        *reterr_text = xasprintf("%s belongs to another user", home);
    else if (st.st_mode & 022)
        *reterr_text = xasprintf("%s can be written by others (mode %o); chmod 700 it", home,
                                 st.st_mode & 07777);
    return *reterr_text ? -1 : 0;
}

static int run(const char *home)
{
    AUTOFREE char *text = NULL;
    struct supervisor sup;
    if (check_home(home, &text) < 0)
        return give_up(text);
    AUTOCLOSE int lock = lock_home(home);
    if (lock == ERR_EXISTS)
        return give_up("already running");
    if (lock < 0)
        return give_up(err_str(lock));
    if (supervisor_open(&sup, home, &text) < 0)
        return give_up(text);
    supervisor_start(&sup);
    log_info("proctord %s serves %s, pid %d", PROCTOR_VERSION, home, (int)getpid());
    tell_starter("ready");
    (void)uv_run(&sup.loop, UV_RUN_DEFAULT);
    int r = loop_end(&sup.loop);
    supervisor_clear(&sup);
    log_info("proctord ended");
    return r == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    log_init("proctord", LOG_LEVEL_INFO);
    if (argc == 2 && str_eq(argv[1], "--version")) {
        (void)printf("proctord %s\n", PROCTOR_VERSION);
        return 0;
    }
    if (argc != 1 && !(argc == 3 && str_eq(argv[1], "--home"))) {
        (void)fprintf(stderr, "usage: proctord [--home DIR]\n");
        return 2;
    }
    AUTOFREE char *home = argc == 3 ? xstrdup(argv[2]) : path_home();
    /* Whoever started us may have left something blocked or ignored. */
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGCHLD, SIG_DFL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)spawn_raise_nofile();
    return run(home);
}
