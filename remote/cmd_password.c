#include "remote/cmd_password.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "remote/auth.h"
#include "remote/cmd_run.h"

/* A line of standard input with room to see that it is too long. */
enum { LINE_SIZE = LIMIT_PASSWORD + 2 };

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
    interrupted = signal;
}

/* Up to the end of the line or of the input, byte by byte: what comes after it is somebody else's.  0, -errno, ERR_TOO_BIG. */
static int read_line(char line[static LINE_SIZE])
{
    size_t len = 0;
    for (;;) {
        char c;
        ssize_t n = read(STDIN_FILENO, &c, 1);
        if (n < 0 && errno == EINTR && !interrupted)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0 || c == '\n')
            break;
        if (len == LINE_SIZE - 1)
            return ERR_TOO_BIG;
        line[len++] = c;
    }
    line[len] = '\0';
    return strlen(line) == len ? 0 : ERR_INVALID;
}

static void catch_signals(struct sigaction old[static 2], const struct sigaction *set)
{
    static const int signals[2] = {SIGINT, SIGTERM};
    for (int i = 0; i < 2; i++)
        (void)sigaction(signals[i], set ? set : &old[i], set ? &old[i] : NULL);
}

/* Without echo, which a signal must not leave off. */
static int ask(const char *question, char line[static LINE_SIZE])
{
    struct sigaction old[2], quiet = {.sa_handler = on_signal};
    struct termios shown, hidden;
    (void)fprintf(stderr, "%s", question);
    if (tcgetattr(STDIN_FILENO, &shown) < 0)
        return -errno;
    hidden = shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    interrupted = 0;
    catch_signals(old, &quiet);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
    int r = read_line(line);
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
    catch_signals(old, NULL);
    (void)fputc('\n', stderr);
    if (interrupted)
        (void)raise(interrupted);
    return r;
}

static int ask_twice(struct cmd_job *job, char password[static LINE_SIZE])
{
    char again[LINE_SIZE] = "";
    int r = ask("New password: ", password);
    if (r == 0)
        r = ask("Again: ", again);
    if (r == 0 && strcmp(password, again) != 0)
        r = cmd_fail(job, ERR_FAILED, "the two are different");
    secret_wipe(again, sizeof again);
    return r;
}

static int get_password(struct cmd_job *job, char password[static LINE_SIZE])
{
    if (job->generate) {
        secret_make(job->generated);
        (void)snprintf(password, LINE_SIZE, "%s", job->generated);
        return 0;
    }
    int r = isatty(STDIN_FILENO) ? ask_twice(job, password) : read_line(password);
    if (r < 0)
        return r;
    size_t len = strlen(password);
    if (len < PASSWORD_MIN || len > LIMIT_PASSWORD)
        return cmd_fail(job, ERR_FAILED, "a password must have %d to %u bytes", PASSWORD_MIN,
                        LIMIT_PASSWORD);
    return 0;
}

int cmd_password(struct cmd_job *job)
{
    char password[LINE_SIZE] = "";
    int r = get_password(job, password);
    if (r == 0) {
        char *hash = password_hash(password);
        (void)snprintf(job->password_hash, sizeof job->password_hash, "%s", hash);
        secret_wipe(hash, strlen(hash));
        free(hash);
    } else if (!job->text[0]) {
        (void)cmd_fail(job, r, "cannot read a password from standard input: %s", err_str(r));
    }
    secret_wipe(password, sizeof password);
    return r;
}
