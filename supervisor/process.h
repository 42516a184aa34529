/* process.h -- one run of an instance's program: its pid, its pidfd, its end. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

struct slot;

/* How a process ended. */
struct exit_status {
    bool by_signal;
    int code;  /* exit code, or the signal's number */
    bool core; /* a core was dumped */
};

/* The process is gone and reaped; the struct is freed afterwards by itself. */
typedef void (*process_exited_cb)(void *arg, struct exit_status status);

struct process {
    uv_poll_t poll;
    pid_t pid;
    int pidfd;
    uint64_t start_ticks;
    struct slot *slot;
    process_exited_cb on_exited;
    void *arg;
};

/* Watches a child just spawned; takes the pidfd.  `slot` (may be NULL) gets its start time, and loses the pid when the
 * process is gone. */
struct process *process_watch(uv_loop_t *loop, pid_t pid, int pidfd, struct slot *slot,
                              process_exited_cb on_exited, void *arg);

/* Forgets the callback (the supervisor ends before the process does); the storage frees itself. */
void process_abandon(struct process *p);

/* Sends a signal to the process, or to all of its group (setsid made it the leader).  -ESRCH when none is left. */
int process_signal(const struct process *p, int sig);
int process_group_signal(pid_t pgid, int sig);

/* Has the group a member that is not a zombie? */
bool process_group_alive(pid_t pgid);
