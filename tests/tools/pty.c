/* Runs a program on a terminal of its own: pty COLUMNSxROWS PROGRAM ARGUMENTS...  What comes on standard input are its keys,
 * standard output is its screen.  A line "COLUMNSxROWS" on descriptor 3 changes the size; SIGTERM is handed on.  Ends with
 * the program's exit code, or 128 and its signal. */
#include <errno.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t child;

static void on_term(int sig)
{
    (void)kill(child, sig);
}

static bool read_size(const char *text, struct winsize *size)
{
    unsigned columns, rows;
    if (sscanf(text, "%ux%u", &columns, &rows) != 2)
        return false;
    *size = (struct winsize){.ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows};
    return true;
}

static void resize(int master, const char *text)
{
    struct winsize size;
    if (read_size(text, &size))
        (void)ioctl(master, TIOCSWINSZ, &size);
}

static bool copy(int from, int to)
{
    char space[4096];
    ssize_t n = read(from, space, sizeof space);
    for (ssize_t done = 0, w; done < n; done += w)
        if ((w = write(to, space + done, (size_t)(n - done))) < 0)
            return errno == EINTR;
    return n > 0 || (n < 0 && errno == EINTR);
}

static void serve(int master)
{
    struct pollfd waits[] = {{.fd = master, .events = POLLIN},
                             {.fd = STDIN_FILENO, .events = POLLIN},
                             {.fd = 3, .events = POLLIN}};
    for (;;) {
        char text[64] = "";
        if (poll(waits, 3, -1) < 0 && errno == EINTR)
            continue;
        if (waits[0].revents && !copy(master, STDOUT_FILENO))
            return;
        if (waits[1].revents && !copy(STDIN_FILENO, master))
            waits[1].fd = -1;
        if (!waits[2].revents)
            continue;
        if (read(3, text, sizeof text - 1) > 0)
            resize(master, text);
        else
            waits[2].fd = -1;
    }
}

int main(int argc, char **argv)
{
    struct winsize size;
    int master, status;
    if (argc < 3 || !read_size(argv[1], &size)) {
        (void)fputs("usage: pty COLUMNSxROWS PROGRAM ARGUMENTS...\n", stderr);
        return 2;
    }
    child = forkpty(&master, NULL, NULL, &size);
    if (child == 0) {
        (void)close(3);
        (void)execvp(argv[2], argv + 2);
        _exit(127);
    }
    const struct sigaction action = {.sa_handler = on_term};
    (void)sigaction(SIGTERM, &action, NULL);
    serve(master);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
