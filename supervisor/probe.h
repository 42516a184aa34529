/* probe.h -- one proctor-probe: started for a capture, spoken to over a socketpair, gone at the end. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "lib/wire/conn.h"
#include "supervisor/process.h"

struct supervisor;

/* A phase was entered ("start", "running", …). */
typedef void (*probe_phase_cb)(void *arg, const char *phase);

/* The process is gone.  `end` is its last message's fields (borrowed), NULL when it died without one; `overdue`: because it was
 * killed at its limit.  Called once, from the loop; the probe is freed afterwards. */
typedef void (*probe_done_cb)(void *arg, const json_t *end, bool overdue);

struct probe {
    struct conn conn;
    bool conn_open;
    struct process *process;
    uv_timer_t deadline;
    bool timer_open;
    bool overdue;
    json_t *begin;
    json_t *end;
    probe_phase_cb on_phase;
    probe_done_cb on_done;
    void *arg;
};

/* Starts a probe for the process `pid`, as that process's user.  `begin` is borrowed; `out_fd` (-1: none) stays the
 * caller's.  Returns 0 or a negative code; then nothing is called. */
int probe_start(struct supervisor *sup, pid_t pid, json_t *begin, int out_fd,
                probe_phase_cb on_phase, probe_done_cb on_done, void *arg,
                struct probe **ret_probe);

void probe_stop(struct probe *p, const char *reason);
void probe_cancel(struct probe *p);
void probe_leave_open(struct probe *p);

/* It must be gone in `ms` from now, or is killed.  A later call can only shorten this. */
void probe_limit(struct probe *p, uint64_t ms);
