/* proctord -- the supervisor.  Started by proctor-keeper, which `proctor start` starts; `proctord --home DIR` by hand runs in
 * the foreground, without a keeper: then nothing of it survives its death. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
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
    if (fstat(READY_FD, &st) < 0)
        return;
    if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))
        (void)dprintf(READY_FD, "%s\n", text);
    else if (!S_ISCHR(st.st_mode)) /* /dev/null: a later start, which nobody waits for */
        return;
    (void)close(READY_FD);
}

static int give_up(const char *text)
{
    tell_starter(text);
    (void)fprintf(stderr, "proctord: %s\n", text);
    return 1;
}

/* The lock is what makes a home have one supervisor.  With a keeper it goes from one supervisor to the next. */
static int lock_home(const char *path, struct keep_link *keep)
{
    int kept = keep_take(keep, "lock");
    if (kept >= 0)
        return kept;
    AUTOCLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno == EWOULDBLOCK ? ERR_EXISTS : -errno;
    int r = keep_store(keep, fd, "lock");
    return r < 0 ? r : TAKE_FD(fd);
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

/* Without an app to look after, a keeper has nothing to start us again for. */
static int refuse(struct keep_link *keep, const char *text)
{
    if (!keep_link_again(keep))
        keep_bye(keep);
    return give_up(text);
}

static int serve(const char *home, struct keep_link *keep)
{
    AUTOFREE char *text = NULL;
    struct supervisor sup;
    if (check_home(home, &text) < 0)
        return refuse(keep, text);
    AUTOFREE char *lock_path = path_join(home, "lock");
    AUTOCLOSE int lock = lock_home(lock_path, keep);
    if (lock == ERR_EXISTS)
        return refuse(keep, "already running");
    if (lock < 0) {
        text = xasprintf("%s: %s", lock_path, err_str(lock));
        return refuse(keep, text);
    }
    if (supervisor_open(&sup, home, keep, &text) < 0)
        return refuse(&sup.keep, text);
    if (supervisor_start(&sup) < 0)
        return refuse(&sup.keep, SUPERVISOR_CANNOT_READ);
    log_info("proctord %s serves %s, pid %d", PROCTOR_VERSION, home, (int)getpid());
    tell_starter("ready");
    (void)uv_run(&sup.loop, UV_RUN_DEFAULT);
    int r = loop_end(&sup.loop);
    supervisor_clear(&sup);
    log_info("proctord ended");
    return r == 0 ? 0 : 1;
}

static int run(const char *home, int keeper)
{
    struct keep_link keep;
    int r = keep_link_open(&keep, keeper);
    if (r < 0) {
        log_err(r, "the keeper does not tell what it has stored");
        return give_up("the keeper does not tell what it has stored");
    }
    r = serve(home, &keep);
    keep_link_clear(&keep);
    return r;
}

/* --home DIR, --keeper FD */
static int read_options(int argc, char **argv, char **ret_home, int *ret_keeper)
{
    int64_t number;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            return ERR_SYNTAX;
        if (str_eq(argv[i], "--home") && !*ret_home)
            *ret_home = xstrdup(argv[i + 1]);
        else if (str_eq(argv[i], "--keeper") && *ret_keeper < 0 &&
                 str_to_int(argv[i + 1], 3, INT32_MAX, &number) == 0)
            *ret_keeper = (int)number;
        else
            return ERR_SYNTAX;
    }
    return 0;
}

int main(int argc, char **argv)
{
    log_init("proctord", LOG_LEVEL_INFO);
    if (argc == 2 && str_eq(argv[1], "--version")) {
        (void)printf("proctord %s\n", PROCTOR_VERSION);
        return 0;
    }
    AUTOFREE char *home = NULL;
    int keeper = -1;
    if (read_options(argc, argv, &home, &keeper) < 0) {
        (void)fprintf(stderr, "usage: proctord [--home DIR]\n");
        return 2;
    }
    if (!home)
        home = path_home();
    /* The keeper may have run us by a descriptor, whose number would be our name. */
    (void)prctl(PR_SET_NAME, "proctord");
    /* Whoever started us may have left something blocked or ignored. */
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGCHLD, SIG_DFL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    /* A limit of file sizes is like a full disk, and not our end. */
    (void)signal(SIGXFSZ, SIG_IGN);
    /* Packing an archive takes megabytes for a moment, in one of several threads: they go back to the kernel, always. */
    (void)mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    (void)spawn_raise_nofile();
    return run(home, keeper);
}
