/* slots.h -- one fixed record per instance in a shared mapping: what must
 * survive the supervisor's sudden death.
 *
 * The mapping is a file in $PROCTOR_HOME and not a memfd, since it must also
 * survive keeper and supervisor together: then the next start finds by (pid,
 * start time) what still runs.  The keeper holds its descriptor, so that it
 * goes on when somebody removes the file.  A child writes its own pid into its
 * slot before it execs (lib/base/spawn.h).
 *
 * The header has a major and a minor version.  Fields are only ever appended,
 * in room that is zero (raise the minor); a supervisor of an older minor leaves
 * fields alone that it does not know.  Everything else raises the major. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/limits.h"
#include "supervisor/slot_stream.h"

enum {
    SLOT_BYTES = 1024,
    SLOT_LIFE_BYTES = 256,
    SLOT_SUM_AT = SLOT_LIFE_BYTES - 8, /* a checksum of what is before it */
};

/* What an instance is and has counted.  Written as a whole by slot_commit(), so
 * that a death in between leaves the one before. */
struct slot_life {
    uint32_t state; /* enum instance_state */
    uint32_t flags; /* SLOT_… */
    uint32_t restarts;
    uint32_t unstable;
    uint32_t exits_handled; /* of slot.exit.count */
    uint32_t changes;       /* commands that were done to it: an operation knows by it
                         whether its own was */
    int64_t created_ms;     /* CLOCK_MONOTONIC, as are all but …_wall_ms */
    int64_t started_ms;
    int64_t kill_at_ms;
    int64_t wait_until_ms; /* end of the restart delay */
    int64_t created_wall_ms;
    int64_t started_wall_ms;
    int64_t err_from;
    int32_t pgid;
    int32_t runtime_major, runtime_minor,
        runtime_patch;       /* of Node; major 0: not known or no Node */
    int32_t inspector_flags; /* enum inspector_flags */
    int32_t last_code;
    int64_t last_at_ms; /* wall clock */
    int64_t last_uptime_ms;
    /* minor 1 */
    uint64_t oom_before; /* oom_kills() when the process was started */
    uint32_t cause;      /* enum exit_cause: what it is being ended for */
    int32_t sent_signal; /* the last that somebody sent it through us */
};

enum {
    SLOT_WANTED = 1,
    SLOT_AGAIN = 2,
    SLOT_DELETE = 4,
    SLOT_SWEEPING = 8,
    SLOT_ASKED_TO_GO = 16,
    SLOT_USER_OPENS = 32,
    SLOT_IS_NODE = 64,
    SLOT_LAST_SET = 128, /* last_…: the exit before */
    SLOT_LAST_SIGNAL = 256,
    SLOT_LAST_CORE = 512,
    SLOT_LAST_ASKED = 1024,
    SLOT_LAST_UNKNOWN = 2048,
    SLOT_START_DUE = 4096, /* to be started since the supervisor starts */
    SLOT_FORCED = 8192,    /* this process was killed, since it did not go */
};

/* The end of a process: written before it is reaped, `count` last. */
struct slot_exit {
    uint32_t count;
    int32_t pid;
    int32_t code;
    uint32_t flags; /* SLOT_EXIT_… */
    int64_t at_ms;  /* wall clock */
};
enum { SLOT_EXIT_SIGNAL = 1, SLOT_EXIT_CORE = 2, SLOT_EXIT_UNKNOWN = 4 };

struct slot {
    uint32_t used;
    uint32_t instance;
    pid_t pid; /* 0: no process; written by the child itself */
    uint32_t pm_id;
    uint64_t start_ticks; /* with the pid, names the process for ever; 0 until the
                           parent has read it */
    char app[LIMIT_NAME + 8];
    struct slot_exit exit;
    struct slot_stream streams[2]; /* out, err */
    uint64_t ipc_done; /* what is in hand of the app's channel and done, but may not be consumed yet
                          (ipc.c); 0: nothing */
    uint32_t ipc_received;
    uint32_t current; /* which of `sides` counts; slot_commit() fills the other
                       one and turns this over */
    union {
        struct slot_life life;
        char room[SLOT_LIFE_BYTES];
    } sides[2];
#ifdef PROCTOR_NEXT
    uint64_t commits; /* what a newer minor version appends, for the tests of upgrades */
#endif
};

_Static_assert(sizeof(struct slot_life) <= SLOT_SUM_AT, "life has its room");
_Static_assert(sizeof(struct slot) <= SLOT_BYTES, "a slot has its room");

struct slots {
    int fd;
    bool fresh; /* what runs from before is not in there */
    struct slots_file *file;
};

/* Maps (and makes) the file; `fd` (-1: none) is one that the keeper has given
 * back, and is taken.  -EPROTO: it is of another major version. */
int slots_open(struct slots *s, const char *path, int fd);
void slots_close(struct slots *s);
/* Until this is called a file that was made new or cut off, or is from before a reboot, counts as fresh. */
void slots_settled(struct slots *s);

/* A free slot, marked used and empty; NULL when all LIMIT_INSTANCES are taken.
 */
struct slot *slots_take(struct slots *s, const char *app, unsigned instance, unsigned pm_id);
/* The slot of an instance of an earlier supervisor; NULL: it has none. */
struct slot *slots_find(struct slots *s, const char *app, unsigned instance);
void slots_release(struct slot *slot);

/* Its place in the file. */
unsigned slots_index(const struct slots *s, const struct slot *slot);

/* What was committed last; when that is damaged, what was before it.  0; -ENOENT: nothing was ever; -EPROTO: damaged, both. */
int slot_life(const struct slot *slot, struct slot_life *ret_life);
void slot_commit(struct slot *slot, const struct slot_life *life);

/* A survivor is a process of an earlier supervisor that still runs: pid and
 * start time match.  `each` is called for every one; how many there were. */
typedef void (*slots_survivor_cb)(void *arg, const struct slot *slot);
size_t slots_survivors(struct slots *s, slots_survivor_cb each, void *arg);

/* All that are used; `each` may release it. */
typedef void (*slots_cb)(void *arg, struct slot *slot);
void slots_each(struct slots *s, slots_cb each, void *arg);

/* Frees all slots. */
void slots_forget(struct slots *s);
