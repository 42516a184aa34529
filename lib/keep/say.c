#include "lib/keep/say.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int64_t keep_clock_ms(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void keep_say(const char *level, const char *format, ...)
{
    char line[1024], stamp[32];
    struct timespec now;
    struct tm tm;
    struct pollfd log = {.fd = STDERR_FILENO, .events = POLLOUT};
    va_list ap;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &tm));
    int len = snprintf(line, sizeof line, "%s.%03ldZ proctor-keeper[%d] %-5s keeper: ", stamp,
                       now.tv_nsec / 1000000, (int)getpid(), level);
    va_start(ap, format);
    len += vsnprintf(line + len, sizeof line - (size_t)len, format, ap);
    va_end(ap);
    len = len < (int)sizeof line ? len : (int)sizeof line - 1;
    line[len] = '\n';
    if (poll(&log, 1, 0) == 1)
        (void)!write(STDERR_FILENO, line, (size_t)len + 1);
}
