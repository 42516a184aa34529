/* keeper.h -- the keeper: holds descriptors and exit statuses for the supervisor, and starts it again.  It knows nothing of
 * apps, allocates nothing, and waits nowhere but in poll(). */
#pragma once

#include <stdbool.h>
#include <sys/resource.h>

#include "lib/keep/table.h"
#include "lib/keep/policy.h"

struct keeper {
    char *home, *self;   /* self: path of our own binary */
    const char *program; /* path of the supervisor's */
    bool init, stopping;
    int signals, null, ready; /* ready: whoever waits for the first UP; -1 */
    struct rlimit nofile;     /* nofile, oom: as we were started, for the children */
    char oom[16];
    int programs[2], use; /* what lies at the path, the one before; -1.  use: of the last start */
    bool proven;          /* programs[0] has been up */

    pid_t supervisor; /* 0: none runs.  From here to kill_ms: of this one */
    int sock;
    bool up, synced, upgrading, bye;
    uint32_t flags, fds_sent, exits_sent;
    int64_t up_ms, kill_ms; /* CLOCK_MONOTONIC; kill_ms: it has to be gone; 0: no matter */

    struct policy policy;
    uint32_t starts;
    int last_status;
    int64_t last_ended_ms, start_ms; /* start_ms: of the next one */
    struct keep_table table;
};

void say(const char *level, const char *format, ...) __attribute__((format(printf, 2, 3)));
int keeper_take_over(struct keeper *k, int manifest); /* 0 or a negative code */
int keeper_run(struct keeper *k);                     /* until the end: our exit status */
