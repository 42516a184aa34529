/* timed -- what commands cost, by posix_spawn and wait alone: no shell, no interpreter in between.
 *
 *   timed [-o FILE] ROUNDS EVERY COMMAND... [-- EVERY COMMAND...]...
 *
 * Runs the commands in turn, ROUNDS times; one with EVERY n only in each n-th round.  Prints a line
 * per run: number of the command, wall clock in microseconds, user and system time in microseconds,
 * largest resident set in KB (at least our own, which a child begins with).  Standard output of the
 * commands goes to FILE (/dev/null).  A command that fails ends everything.
 *
 *   timed -c PID...
 *
 * Prints the CPU time of running processes in microseconds, that of their ended threads included.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { COMMANDS_MAX = 16 };

struct command {
    long every;
    char **argv;
};

static int give_up(const char *what, int error)
{
    fprintf(stderr, "timed: %s: %s\n", what, strerror(error));
    return 1;
}

static int64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000) + ts.tv_nsec / 1000;
}

static int64_t cpu_us(const struct rusage *u)
{
    return (u->ru_utime.tv_sec + u->ru_stime.tv_sec) * INT64_C(1000000) + u->ru_utime.tv_usec +
           u->ru_stime.tv_usec;
}

static int run_command(int number, char **argv, const posix_spawn_file_actions_t *actions)
{
    struct rusage usage;
    int status;
    pid_t pid;
    int64_t begin = now_us();
    int r = posix_spawnp(&pid, argv[0], actions, NULL, argv, environ);
    if (r != 0)
        return give_up(argv[0], r);
    if (wait4(pid, &status, 0, &usage) < 0)
        return give_up("wait4", errno);
    int64_t wall = now_us() - begin;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "timed: %s ended with status %#x\n", argv[0], (unsigned)status);
        return 1;
    }
    printf("%d %lld %lld %ld\n", number, (long long)wall, (long long)cpu_us(&usage),
           usage.ru_maxrss);
    return 0;
}

static int run_rounds(long rounds, const struct command *commands, int count, const char *output)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output, O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    int r = 0;
    for (long round = 0; round < rounds && r == 0; round++)
        for (int i = 0; i < count && r == 0; i++)
            if (round % commands[i].every == 0)
                r = run_command(i, commands[i].argv, &actions);
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

/* Cuts the arguments at each "--"; returns how many commands there are. */
static int read_commands(char **args, struct command *ret_commands)
{
    int count = 0;
    while (*args && count < COMMANDS_MAX) {
        struct command *c = &ret_commands[count++];
        c->every = strtol(*args++, NULL, 10);
        c->argv = args;
        while (*args && strcmp(*args, "--") != 0)
            args++;
        if (c->every < 1 || c->argv == args)
            return -1;
        if (*args)
            *args++ = NULL;
    }
    return *args ? -1 : count;
}

static int print_cpu(char **pids)
{
    for (; *pids; pids++) {
        clockid_t clock;
        struct timespec ts;
        int r = clock_getcpuclockid((pid_t)strtol(*pids, NULL, 10), &clock);
        if (r != 0)
            return give_up(*pids, r);
        if (clock_gettime(clock, &ts) < 0)
            return give_up(*pids, errno);
        printf("%lld\n", (long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
    }
    return 0;
}

int main(int argc, char **argv)
{
    struct command commands[COMMANDS_MAX];
    const char *output = "/dev/null";
    if (argc > 2 && strcmp(argv[1], "-c") == 0)
        return print_cpu(argv + 2);
    char **args = argv + 1;
    if (argc > 3 && strcmp(*args, "-o") == 0) {
        output = args[1];
        args += 2;
    }
    long rounds = *args ? strtol(*args++, NULL, 10) : 0;
    int count = read_commands(args, commands);
    if (rounds < 1 || count < 1) {
        fputs("usage: timed [-o FILE] ROUNDS EVERY COMMAND... [-- EVERY COMMAND...]... | timed -c "
              "PID...\n",
              stderr);
        return 2;
    }
    return run_rounds(rounds, commands, count, output);
}
