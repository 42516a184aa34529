/* lines -- an app that logs: writes COUNT numbered lines of 100 bytes, one write(2) each, and exits
 * at once. Usage: lines COUNT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE = 100, DIGITS = 9 };

static int write_all(const char *at, size_t left)
{
    while (left > 0) {
        ssize_t n = write(STDOUT_FILENO, at, left);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n < 0)
            continue;
        at += n;
        left -= (size_t)n;
    }
    return 0;
}

int main(int argc, char **argv)
{
    long count = argc == 2 ? strtol(argv[1], NULL, 10) : 0;
    if (count < 1 || count > 999999999) {
        fputs("usage: lines COUNT\n", stderr);
        return 2;
    }
    char line[LINE + 1];
    memset(line, 'x', LINE);
    line[DIGITS] = ' ';
    line[LINE - 1] = '\n';
    for (long number = 0; number < count; number++) {
        char digits[16];
        snprintf(digits, sizeof(digits), "%0*ld", DIGITS, number);
        memcpy(line, digits, DIGITS);
        int r = write_all(line, LINE);
        if (r < 0) {
            fprintf(stderr, "lines: cannot write line %ld: %s\n", number, strerror(-r));
            return 1;
        }
    }
    return 0;
}
