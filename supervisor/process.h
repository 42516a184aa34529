/* process.h -- one run of an instance's program: its pid, its pidfd, its end.
 *
 * Its status is found in one of three ways: our own child's by waitid(), that of a process of an earlier supervisor from the
 * keeper that has inherited it, else (the keeper has died, too) from the kernel by the pidfd where it has that.  Whichever way,
 * it is written into the slot before anybody acts on it, and before the kernel forgets it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "lib/base/list.h"

struct keep_msg;
struct slot;

/* How a process ended. */
struct exit_status {
    bool by_signal;
    bool core;     /* a core was dumped */
    bool unknown;  /* it ended while both supervisor and keeper were away: no code */
    int code;      /* exit code, or the signal's number */
    int64_t at_ms; /* when, on the wall clock */
};

/* "exited with code 1", "ended by signal 9", …; a static buffer. */
const char *exit_status_text(const struct exit_status *status);

/* The process is gone and reaped; the struct is freed afterwards by itself. */
typedef void (*process_exited_cb)(void *arg, struct exit_status status);

struct process {
    uv_poll_t poll;
    uv_timer_t timer; /* an adopted one has ended: its status is looked for */
    struct list link; /* of the adopted ones */
    unsigned open_handles;
    bool adopted;
    bool polling;
    pid_t pid;
    int pidfd; /* -1: it had ended already when it was adopted */
    int64_t give_up_ms;
    uint64_t start_ticks;
    struct slot *slot;
    process_exited_cb on_exited;
    void *arg;
};

/* Watches a child just spawned; takes the pidfd.  `slot` (may be NULL) gets its start time, and loses the pid when the
 * process is gone. */
struct process *process_watch(uv_loop_t *loop, pid_t pid, int pidfd, struct slot *slot,
                              process_exited_cb on_exited, void *arg);

/* A process that is not our child, since an earlier supervisor started it.  Takes the pidfd; -1: it has ended, and its status
 * must come from process_keeper_exit() soon. */
struct process *process_adopt(uv_loop_t *loop, pid_t pid, int pidfd, struct slot *slot,
                              process_exited_cb on_exited, void *arg);

/* The keeper tells the end of `pid`: of an adopted process (its callback is called), or (false) of one that nobody knows. */
bool process_keeper_exit(pid_t pid, struct exit_status status);

/* What the keeper's EXIT says. */
struct exit_status process_status_of(const struct keep_msg *msg);

/* What the slot says of the last process that has ended. */
struct exit_status process_recorded(const struct slot *slot);

/* A descriptor of `pid`, when it is the process that began at `start_ticks`; -1: that one is gone. */
int process_open(pid_t pid, uint64_t start_ticks);
/* Is the process behind the pidfd `pid`? */
bool process_is(int pidfd, pid_t pid);

/* Is it no more than a zombie?  Who must reap it may be slow, so its end is told later. */
bool process_has_ended(const struct process *p);

/* Forgets the callback (the supervisor ends before the process does); the storage frees itself. */
void process_abandon(struct process *p);

/* Sends a signal to the process, or to all of its group (setsid made it the leader).  -ESRCH when none is left. */
int process_signal(const struct process *p, int sig);
int process_group_signal(pid_t pgid, int sig);

/* Has the group a member that is not a zombie? */
bool process_group_alive(pid_t pgid);
