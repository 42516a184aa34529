/* proctor-agent -- keeps the records and results of captures, and the link to the console.
 *
 *     proctor-agent --home DIR
 *
 * Started by proctord, with one end of a socketpair as descriptor 3; never by hand.  Ends with 0
 * when the supervisor has gone or on SIGTERM, after it has finished writing. */
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <uv.h>

#include "agent/agent.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"

enum { SUPERVISOR_FD = 3, EXIT_USAGE = 2 };

static struct agent agent;
static uv_signal_t on_term;
static uv_signal_t on_int;

static void on_signal(uv_signal_t *handle, int signal)
{
    log_info("got signal %d, ending", signal);
    agent_close(&agent);
}

static void on_agent_closed(struct agent *a)
{
    uv_close((uv_handle_t *)&on_term, NULL);
    uv_close((uv_handle_t *)&on_int, NULL);
}

static void watch_signals(uv_loop_t *loop)
{
    (void)uv_signal_init(loop, &on_term);
    (void)uv_signal_init(loop, &on_int);
    (void)uv_signal_start(&on_term, on_signal, SIGTERM);
    (void)uv_signal_start(&on_int, on_signal, SIGINT);
}

/* Looked at before anything else is opened, which might get that number. */
static bool has_supervisor(void)
{
    struct stat st;
    return fstat(SUPERVISOR_FD, &st) == 0 && S_ISSOCK(st.st_mode) &&
           fcntl(SUPERVISOR_FD, F_SETFD, FD_CLOEXEC) == 0;
}

static int run(const char *home)
{
    uv_loop_t loop;
    int r = uv_loop_init(&loop);
    if (r < 0) {
        log_err(r, "cannot make an event loop");
        return EXIT_FAILURE;
    }
    int opened = agent_open(&agent, &loop, home, SUPERVISOR_FD, on_agent_closed);
    if (opened == 0)
        watch_signals(&loop);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    agent_clear(&agent);
    r = loop_end(&loop);
    if (r < 0)
        log_err(r, "something was still open at the end");
    return opened < 0 || agent.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc == 2 && str_eq(argv[1], "--version")) {
        (void)puts(PROCTOR_VERSION);
        return EXIT_SUCCESS;
    }
    if (argc != 3 || !str_eq(argv[1], "--home") || argv[2][0] == '\0') {
        (void)fputs("usage: proctor-agent --home DIR (started by proctord)\n", stderr);
        return EXIT_USAGE;
    }
    if (!has_supervisor()) {
        (void)fputs(
            "proctor-agent: descriptor 3 is no socket: it is proctord that starts the agent\n",
            stderr);
        return EXIT_USAGE;
    }
    log_init("proctor-agent", LOG_LEVEL_INFO);
    (void)umask(077);
    (void)signal(SIGPIPE, SIG_IGN);
    /* A long compression and a long expansion may be under way, and the journal must not wait for them. */
    (void)setenv("UV_THREADPOOL_SIZE", "4", 1);
    /* What each of them takes for a moment goes back to the kernel. */
    (void)mallopt(M_MMAP_THRESHOLD, 128 * 1024);
    return run(argv[2]);
}
