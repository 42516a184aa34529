/* proc_tree.h -- which processes of the host belong to the processes that we started, and what they use.
 *
 * One look through the names in /proc; a process that was seen before and is nobody's is not opened again, so that the price
 * of a look is that of the names, plus one reading for each process that is new or ours.  A process belongs to a root when
 * it is of its session, or when the root is among its ancestors; it stays when it makes itself a session of its own and its
 * parent dies, if a look has seen it before.  Of an orphan that no look has seen before somebody else knows whose it is. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_tree_root {
    pid_t pid;
    void *owner;
    /* filled in, without the root itself */
    uint64_t rss_bytes;
    unsigned processes;
};

/* The pid of the root that an orphan, now a child of `reaper`, belongs to; 0: to none.  Asked once. */
typedef pid_t (*proc_tree_orphan_cb)(void *arg, pid_t pid);

/* Zeroed it has seen nothing. */
struct proc_tree {
    pid_t reaper; /* 0: nobody is asked about orphans */
    proc_tree_orphan_cb whose;
    void *arg;
    pid_t *strangers; /* as of the last look, rising */
    size_t stranger_count;
    struct proc_tree_member *members; /* the same */
    size_t member_count;
};

/* `roots` are sorted by it.  When /proc cannot be read nothing is found. */
void proc_tree_look(struct proc_tree *t, struct proc_tree_root *roots, size_t count);
void proc_tree_clear(struct proc_tree *t);
