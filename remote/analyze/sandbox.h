/* sandbox.h -- a process that is about to read foreign bytes gives up what it does not need. */
#pragma once

#include <stdint.h>

/* Limits memory and CPU time and then the system calls: memory, reading and writing what is open, and the end; everything else ends the
 * process with SIGSYS, the time with SIGXCPU.  No descriptor can be opened, no socket made, no program run; nor can memory be had that
 * does not count.  Returns 0, SANDBOX_NO_SECCOMP (a kernel without it leaves the limits alone to do the work) or -errno (nothing was read
 * yet: better not to begin).  Under sanitizers, which need more, only the CPU time is limited. */
enum { SANDBOX_NO_SECCOMP = 1 };
int sandbox_enter(uint64_t memory_bytes, unsigned cpu_seconds);
