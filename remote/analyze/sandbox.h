/* sandbox.h -- a process that is about to read foreign bytes gives up what it does not need. */
#pragma once

#include <stdint.h>

/* Limits memory and CPU time and then the system calls: memory, reading and writing what is open, and the end; everything else ends the
 * process with SIGSYS.  No descriptor can be opened, no socket made, no program run.  Returns 0 or -errno (nothing was read yet: better
 * not to begin).  A kernel without seccomp leaves the limits alone to do the work.  Under sanitizers, which need more, only the CPU time is
 * limited. */
int sandbox_enter(uint64_t memory_bytes, unsigned cpu_seconds);
