/* instance.h -- one slot of an app: its process, its logs, its state.
 *
 * instance_event() is the only way to change the state: it looks the rule up, set_state() writes and publishes it, and
 * then the action is done. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "lib/base/list.h"
#include "lib/base/procfs.h"
#include "supervisor/exits.h"
#include "supervisor/inspector.h"
#include "supervisor/instance_state.h"
#include "supervisor/logstream.h"
#include "supervisor/metrics.h"
#include "supervisor/node_flags.h"
#include "supervisor/process.h"
#include "supervisor/restart_rule.h"
#include "supervisor/runtime.h"

struct app;
struct capture;
struct ipc;
struct supervisor;

/* The last end of a process. */
struct exit_record {
    bool set;
    struct exit_status status;
    int64_t at_ms; /* wall clock */
    int64_t uptime_ms;
    bool asked; /* by stop, restart, delete */
};

struct instance {
    struct list link; /* in app->instances */
    struct app *app;
    struct supervisor *sup;
    unsigned number;
    int pm_id;

    enum instance_state state;
    bool wanted; /* desired state: shall run */
    bool again;  /* start after the present stop */
    bool delete_when_stopped;
    bool asking_runtime;
    bool sweeping;    /* the process is gone, members of its group are being ended */
    bool asked_to_go; /* this process was sent its one stop signal */
    bool start_due;   /* to be started since the supervisor starts */
    bool forced;      /* this process did not go, and was killed */

    struct process *process; /* NULL: none */
    pid_t pgid;              /* of the last process: members may outlive it */
    struct slot *slot;
    uv_timer_t timer; /* settle, kill timeout, sweep or restart delay: one at a time */
    int64_t kill_at_ms;
    int64_t wait_until_ms;  /* the end of the restart delay */
    unsigned exits_handled; /* of those that the slot has counted */
    uint64_t settle_ticks;  /* CPU used up to the last look of the settle timer */

    struct restart_history history;
    unsigned restarts;
    unsigned changes; /* commands that were done to it (operations.h) */
    int64_t created_wall_ms;
    int64_t started_wall_ms;
    struct exit_record last_exit;
    struct exits exits;
    enum exit_cause cause; /* what its process is being ended for; CAUSE_NONE: see by the flags */
    int sent_signal;       /* to this process, by somebody through us; 0: none */
    uint64_t oom_before;   /* oom_kills() when it was started */
    char *error;           /* why it is errored or failed to start; NULL when all is well */

    bool logs_open;
    struct logstream out;
    struct logstream err;
    int64_t err_from; /* where this process's stderr begins in its file */

    struct ipc *ipc; /* the channel of a Node app; NULL: none */

    struct runtime_version runtime;
    enum inspector_flags flags;
    bool user_opens;
    struct inspector inspector;
    struct capture *capture; /* the one that runs on it; NULL: none */

    struct proc_meter meter;
    uint64_t rss_bytes;
    double cpu_percent;
    struct usage usage;
    unsigned open_handles;
};

struct instance *instance_new(struct app *app, unsigned number, int pm_id);

/* Frees an instance that is stopped, from the loop. */
void instance_free(struct instance *in);

/* Something happened to it, or somebody wants something of it. */
void instance_event(struct instance *in, enum instance_event event);

/* After instance_restore(): goes on with what it was in the middle of.  It may be gone afterwards. */
void instance_resume(struct instance *in);

/* It shall be started soon, also by another supervisor. */
void instance_start_due(struct instance *in);

/* A person asked for a start: counts begin anew. */
void instance_reset_counts(struct instance *in);

/* process_exited_cb of its process. */
void instance_process_exited(void *arg, struct exit_status status);

/* The capture that held the process has let go (called by captures.c). */
void instance_capture_released(struct instance *in);

/* Is it neither launching nor stopping, so that a command that waits for it may answer? */
bool instance_at_rest(const struct instance *in);

/* Why it is not online, with the last lines of its stderr; NULL when there is nothing to explain.  The caller frees. */
char *instance_explain(const struct instance *in);

pid_t instance_pid(const struct instance *in);
int64_t instance_uptime_ms(const struct instance *in);
void instance_measure(struct instance *in);

/* "web-0", for logs and sentences; a static buffer. */
const char *instance_name(const struct instance *in);
