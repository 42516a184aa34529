/* probe.h -- one proctor-probe: started for a capture, spoken to over a socketpair, gone at the end.
 *
 * One that was started under a capture's id outlives the supervisor: the keeper has its socket "c/<id>.sock" and its pidfd
 * "c/<id>.pid".  One without an id (it only closes a port) ends with us. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "lib/base/uuid.h"
#include "lib/wire/conn.h"
#include "supervisor/process.h"

struct supervisor;

/* Who is told what it does. */
struct probe_watch {
    /* A phase was entered ("start", "running", …). */
    void (*on_phase)(void *arg, const char *phase);
    /* It has said its last: to be noted before this returns, since then nobody can read it again.  May be NULL. */
    void (*on_end)(void *arg, const json_t *end);
    /* The process is gone.  `end` is its last message's fields (borrowed), NULL when it died without one; `overdue`:
     * because it was killed at its limit.  Called once, from the loop; the probe is freed afterwards. */
    void (*on_done)(void *arg, const json_t *end, bool overdue);
    void *arg;
};

struct probe {
    struct supervisor *sup;
    char id[UUID_TEXT]; /* of the capture; "": none */
    struct conn conn;
    bool conn_open;
    struct process *process;
    uv_timer_t deadline;
    bool timer_open;
    bool overdue;
    json_t *begin;
    json_t *end;
    struct probe_watch watch;
};

/* Starts a probe for the process `pid`, as that process's user.  `id` may be NULL; `begin` is borrowed; `out_fd` (-1: none)
 * stays the caller's.  Returns 0 or a negative code; then nothing is called. */
int probe_start(struct supervisor *sup, const char *id, pid_t pid, json_t *begin, int out_fd,
                const struct probe_watch *watch, struct probe **ret_probe);

/* Goes on with one that an earlier supervisor has started.  What that one knew: `pid` of the probe (0: it does not know that
 * it was started), `end` (NULL: it had not said it).  NULL when no probe was given its order: it is to be started. */
struct probe *probe_adopt(struct supervisor *sup, const char *id, pid_t pid, json_t *begin,
                          json_t *end, const struct probe_watch *watch);

void probe_stop(struct probe *p, const char *reason);
void probe_cancel(struct probe *p);
void probe_leave_open(struct probe *p);

pid_t probe_pid(const struct probe *p);
/* When it will be killed, on the monotonic clock; 0: no limit is set. */
int64_t probe_deadline_ms(const struct probe *p);

/* It must be gone in `ms` from now, or is killed.  A later call can only shorten this. */
void probe_limit(struct probe *p, uint64_t ms);
