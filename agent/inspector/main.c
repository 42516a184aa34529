/* proctor-probe -- one capture of one process through its V8 inspector.  Started by proctord; takes no arguments. */
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "agent/inspector/probe.h"
#include "lib/base/log.h"

enum { NOFILE = 64 };

/* Whoever can look into this process can run code in the app: no core file, no debugger of the same user. */
static void close_doors(void)
{
    struct rlimit none = {0};
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0);
}

/* libwebsockets keeps a table with a place for every descriptor that there could be. */
static void lower_nofile(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur <= NOFILE)
        return;
    limit.rlim_cur = NOFILE;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        fputs("proctor-probe takes no arguments: proctord starts it for one capture\n", stderr);
        return 2;
    }
    log_init("proctor-probe", LOG_LEVEL_INFO);
    close_doors();
    lower_nofile();
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN);
    return probe_run();
}
