#include "supervisor/oom.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/auto.h"

enum {
    VMSTAT_BYTES = 16384,
    RECORD_BYTES = 8192,
    RECORDS_MAX = 100000, /* more than the log of any kernel has */
    CLOCK_SLACK_US = 2000000,
};

uint64_t oom_kills(void)
{
    char text[VMSTAT_BYTES];
    AUTOCLOSE int fd = open("/proc/vmstat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    const char *line = strstr(text, "\noom_kill ");
    return line ? strtoull(line + strlen("\noom_kill "), NULL, 10) : 0;
}

bool oom_record_names(const char *record, pid_t pid, int64_t since_us)
{
    unsigned level;
    unsigned long long number, at_us;
    int killed = 0;
    const char *text = strchr(record, ';');
    if (!text || sscanf(record, "%u,%llu,%llu", &level, &number, &at_us) != 3)
        return false;
    const char *who = strstr(text, "Killed process ");
    if (!who || !memmem(text, (size_t)(who - text), "ut of memory", strlen("ut of memory")))
        return false;
    return sscanf(who, "Killed process %d", &killed) == 1 && killed == pid &&
           (int64_t)at_us >= since_us;
}

/* The log is read from its beginning: each read() gives one record. */
static bool log_names(pid_t pid, int64_t since_us)
{
    char record[RECORD_BYTES];
    AUTOCLOSE int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    for (int i = 0; fd >= 0 && i < RECORDS_MAX; i++) {
        ssize_t n = read(fd, record, sizeof record - 1);
        /* Overwritten under our hands: goes on with the next. */
        if (n < 0 && (errno == EPIPE || errno == EINTR))
            continue;
        if (n <= 0)
            return false;
        record[n] = '\0';
        if (oom_record_names(record, pid, since_us))
            return true;
    }
    return false;
}

enum oom oom_judge(pid_t pid, uint64_t before, int64_t started_ms)
{
    if (oom_kills() <= before)
        return OOM_NO;
    return log_names(pid, started_ms * 1000 - CLOCK_SLACK_US) ? OOM_YES : OOM_LIKELY;
}
