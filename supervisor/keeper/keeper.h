/* keeper.h -- the keeper: holds descriptors and exit statuses for the supervisor, and starts it again.  It knows nothing of apps,
 * allocates nothing, and waits nowhere but in poll(). */
#pragma once

#include "lib/keep/limits.h"
#include "lib/keep/policy.h"
#include "lib/keep/programs.h"
#include "lib/keep/table.h"

struct keeper {
    char *home, *self; /* self: the path of our own program */
    bool init;         /* we are PID 1 of a container, or as good as */
    bool stopping;     /* we were asked to end */
    int signals, null; /* descriptors */
    int ready;         /* whoever waits for the first UP; -1 */
    struct keep_limits limits;

    pid_t supervisor; /* 0: none runs.  From here to kill_ms: of this one */
    int sock;
    bool up, upgrading, bye;
    int64_t up_ms, kill_ms; /* CLOCK_MONOTONIC; kill_ms: its deadline, 0: none */
    int64_t start_ms;       /* of the next one */
    struct policy policy;
    struct keep_programs programs;
    struct keep_table table;
};

int keeper_take_over(struct keeper *k, int manifest); /* 0 or a negative code */
int keeper_run(struct keeper *k);                     /* until the end: our exit status */
