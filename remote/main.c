/* proctor-console -- the console server, and the commands that administer it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/spawn.h"
#include "lib/base/std_fds.h"
#include "lib/base/str.h"
#include "remote/cmd.h"
#include "remote/console.h"
#include "remote/settings.h"

enum { EXIT_USAGE = 2, SENTENCE = 400 };

/* Of libuv, which takes 4.  Checks of whole results, which take seconds, are at most two at a time (AGENTS_CHECKS), as are
 * log-ins (scrypt): then as many are left for downloads, where one that waits for a disk holds up no other. */
#define THREADS "8"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {{"token", cmd_token}, {"user", cmd_user}, {"host", cmd_host}};

static int serve(int argc, char **argv)
{
    char text[SENTENCE];
    struct settings settings;
    static struct console console;
    int r = settings_read(&settings, argc, argv, text, sizeof text);
    if (r < 0)
        (void)fprintf(stderr, "proctor-console: %s\n%s", text, settings_usage);
    int code = r < 0 ? EXIT_USAGE : EXIT_SUCCESS;
    if (r == 0)
        code = console_open(&console, &settings) < 0 ? EXIT_FAILURE : console_run(&console);
    settings_clear(&settings);
    return code;
}

/* Whoever started us may have left something blocked or ignored. */
static void reset_signals(void)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGCHLD, SIG_DFL);
    (void)signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
    std_fds_occupy();
    log_init("proctor-console", LOG_LEVEL_INFO);
    (void)umask(077);
    reset_signals();
    (void)setenv("UV_THREADPOOL_SIZE", THREADS, 1);
    for (size_t i = 0; argc > 1 && i < ARRAY_SIZE(commands); i++)
        if (str_eq(argv[1], commands[i].name))
            return commands[i].run(argc - 1, argv + 1);
    (void)signal(SIGHUP, SIG_IGN);
    (void)spawn_raise_nofile();
    return serve(argc, argv);
}
