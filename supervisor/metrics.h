/* metrics.h -- what the processes use: looked at every second, with an hour of history.
 *
 * Each online instance is looked at once a second, in turns, from a kept descriptor of its /proc/PID/stat; who else belongs
 * to it (proc_tree.h) every other second.  The history is one page per instance in a memfd that the keeper has, written and
 * read as a file: it is nowhere in our own memory, takes room only where it was written, and outlives us. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "supervisor/history.h"
#include "supervisor/proc_tree.h"

struct instance;
struct supervisor;

/* Part of struct instance, beside its meter. */
struct usage {
    uint64_t other_bytes; /* resident, of the processes below its own */
    unsigned others;      /* how many they are */
    unsigned fds;         /* of its own process, as of the last step of the history */
    int64_t step;         /* that step; 0: none yet */
    double cpu_sum;       /* since then */
    unsigned cpu_count;
};

struct metrics {
    struct supervisor *sup;
    uv_timer_t timer;
    int fd; /* of the history; -1: there is none */
    unsigned phase;
    bool skip_tree; /* in this round */
    bool looked;    /* at the trees, once at least */
    struct proc_tree tree;
};

/* Takes up the history that an earlier supervisor has left.  That there can be none is said in the log. */
void metrics_start(struct metrics *m, struct supervisor *sup);
void metrics_stop(struct metrics *m);
void metrics_clear(struct metrics *m);

/* The bytes resident of a process and all that belong to it, at most 2 s old; 0: it does not run.  Pages that several of
 * them share count for each. */
uint64_t metrics_tree_rss(const struct instance *in);

/* Reads the history of an instance; false: there is none. */
bool metrics_history(const struct instance *in, struct history *ret_history);

/* Before something is told: looks at what was not looked at since our start. */
void metrics_refresh(struct supervisor *sup);

/* The present step. */
int64_t metrics_step(const struct supervisor *sup);

/* It is about to be freed: forgets its history. */
void metrics_instance_gone(const struct instance *in);
