/* slots.h -- one fixed record per instance in a shared mapping: what must survive the supervisor's sudden death.
 *
 * The mapping is a file in $PROCTOR_HOME, so that SIGKILL never leaves it unwritten; the keeper will hold it as a memfd.
 * A child writes its own pid into its slot before it execs (lib/base/spawn.h). Fields are only ever appended. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/limits.h"

struct slot {
    uint32_t used;
    uint32_t instance;
    pid_t pid;      /* 0: no process; written by the child itself */
    uint32_t flags; /* SLOT_… */
    uint64_t
        start_ticks; /* with the pid, names the process for ever; 0 until the parent has read it */
    uint32_t inspector_port; /* an inspector that we opened and that may still be open; 0: none */
    uint32_t reserved;
    char app[LIMIT_NAME + 8];
};

struct slots {
    int fd;
    struct slots_file *file;
};

/* Maps (and makes) the file. -EPROTO: it is of another version. */
int slots_open(struct slots *s, const char *path);
void slots_close(struct slots *s);

/* A free slot, marked used and empty; NULL when all LIMIT_INSTANCES are taken. */
struct slot *slots_take(struct slots *s, const char *app, unsigned instance);
void slots_release(struct slot *slot);

/* A survivor is a process of an earlier supervisor that still runs: pid and start time match.  `each` is called for every
 * one; how many there were. */
typedef void (*slots_survivor_cb)(void *arg, const struct slot *slot);
size_t slots_survivors(struct slots *s, slots_survivor_cb each, void *arg);

/* Frees all slots. */
void slots_forget(struct slots *s);
