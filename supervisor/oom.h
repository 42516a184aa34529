/* oom.h -- was a process killed by the kernel for lack of memory?
 *
 * The kernel tells nobody directly.  /proc/vmstat counts such kills of the whole machine, for everybody to read; the kernel's
 * log names the process, but is often not ours to read, and in a container numbers processes as the host does.  So the answer
 * is "yes" only when the log names the process, and otherwise at most "likely". */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* enum, word in JSON */
#define OOM_WORDS(X)                                                                               \
    X(OOM_NO, "no")                                                                                \
    X(OOM_LIKELY, "likely")                                                                        \
    X(OOM_YES, "yes")

enum oom {
#define X(name, word) name,
    OOM_WORDS(X)
#undef X
};

/* How many processes the kernel has killed for lack of memory since it runs; 0 when it does not say. */
uint64_t oom_kills(void);

/* About a process that SIGKILL of unknown origin has ended.  `before`: oom_kills() when it was started, at `started_ms` of
 * CLOCK_MONOTONIC. */
enum oom oom_judge(pid_t pid, uint64_t before, int64_t started_ms);

/* Does a record of /dev/kmsg ("6,SEQ,MICROSECONDS,-;text") tell this about `pid`, at `since_us` or later?  Pure. */
bool oom_record_names(const char *record, pid_t pid, int64_t since_us);
