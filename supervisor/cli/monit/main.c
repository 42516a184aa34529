/* proctor-monit -- `proctor monit`: all processes on one screen, with the log of the chosen one. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/path.h"
#include "lib/base/std_fds.h"
#include "lib/base/str.h"
#include "supervisor/cli/cmd.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/monit/monit.h"
#include "supervisor/cli/monit/screen.h"
#include "supervisor/cli/say.h"

enum { ASK_MS = 1000, ASK_AGAIN_MS = 300, LOOK_MS = 200 };

static const char usage[] =
    "usage: proctor monit\n"
    "\n"
    "Shows all processes with their use of CPU and memory, and the log of the chosen one.\n"
    "  up, down, page up, page down, home, end   choose a process\n"
    "  r  restart it        l  reload it        s  stop it, after a question\n"
    "  p  take a CPU profile of 10 s into the working directory\n"
    "  q  quit\n";

static volatile sig_atomic_t ended;

static void on_end(int sig)
{
    ended = sig;
}

static bool wants_end(void)
{
    return ended;
}

static void catch_signals(void)
{
    /* No SA_RESTART: whatever we wait for ends. */
    const struct sigaction action = {.sa_handler = on_end};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
}

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for a key, a word of the job, or the next look at the log.  False: the terminal is gone. */
static bool wait_for_something(const struct monit *m)
{
    struct pollfd waits[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                             {.fd = m->job.fd, .events = POLLIN}};
    int r = poll(waits, ARRAY_SIZE(waits), m->log.more ? 0 : LOOK_MS);
    return r <= 0 || !(waits[0].revents & (POLLHUP | POLLERR | POLLNVAL));
}

static void loop(struct monit *m)
{
    int64_t ask_at_ms = 0;
    while (!ended && !m->quit) {
        int64_t now = now_ms();
        if (now >= ask_at_ms) {
            monit_refresh(m, wants_end);
            ask_at_ms = now_ms() + (m->feed.error ? ASK_AGAIN_MS : ASK_MS);
        }
        (void)log_pane_read(&m->log);
        screen_draw(m);
        if (ended || !wait_for_something(m))
            return;
        job_read(&m->job);
        for (int key; !m->quit && (key = screen_key()) != 0;)
            monit_key(m, key);
    }
}

/* What the libraries say of files would stand in the middle of the screen. */
static int hide_errors(void)
{
    int before = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    AUTOCLOSE int none = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (before >= 0 && none >= 0)
        (void)dup2(none, STDERR_FILENO);
    return before;
}

static void show_errors(int before)
{
    if (before < 0)
        return;
    (void)dup2(before, STDERR_FILENO);
    (void)close(before);
}

static int show(void)
{
    struct monit m;
    AUTOFREE char *home = path_home();
    AUTOFREE char *dir = path_join(home, "logs");
    int r = screen_open();
    if (r < 0) {
        say_error("this terminal (TERM) is not known");
        return CMD_FAILED;
    }
    catch_signals();
    int before = hide_errors();
    monit_init(&m, dir);
    loop(&m);
    screen_close();
    show_errors(before);
    bool captures = m.job.pid && m.job.interrupts;
    monit_clear(&m);
    if (captures)
        (void)printf("%s\n", m.job.text);
    return CMD_DONE;
}

/* Somebody must be there at the start; one who goes later is waited for. */
static int check_running(void)
{
    AUTOCLIENT struct client c = CLIENT_NONE;
    return connect_running(&c);
}

int main(int argc, char **argv)
{
    std_fds_occupy();
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc == 2 && (str_eq(argv[1], "--help") || str_eq(argv[1], "-h"))) {
        (void)fputs(usage, stdout);
        return say_finish(CMD_DONE);
    }
    if (argc > 1) {
        say_error("monit takes no arguments, not '%s'", argv[1]);
        return CMD_USAGE;
    }
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        say_error("monit needs a terminal; 'proctor metrics' and 'proctor list' do without");
        return CMD_FAILED;
    }
    int code = check_running();
    return code == CMD_DONE ? show() : code;
}
