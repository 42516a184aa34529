/* inspector.h -- opening a process's inspector by SIGUSR1 and seeing that it is closed again (RECIPE R1 a-d, R3).
 *
 * One per instance, since all processes of an instance share one stderr pipe: one open at a time.  The port is accepted
 * only when a socket of the target process listens on it, so a forged line opens nothing.  The path (a UUID that lets
 * its holder run code as the app) stays in memory and goes to the probe only.
 *
 * What is known of an open one is kept for the next supervisor ("i<pm_id>.inspector", in memory that only we and the keeper
 * hold): before the signal is sent, and at each change. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "lib/base/procfs.h"
#include "supervisor/stderr_lines.h"

struct instance;

enum inspector_state {
    INSPECTOR_CLOSED,
    INSPECTOR_GATE,      /* waiting until a signal is safe */
    INSPECTOR_SIGNALLED, /* waiting for the line */
    INSPECTOR_OPEN,
    INSPECTOR_CHECKING,  /* waiting for the port to close */
    INSPECTOR_LEFT_OPEN, /* it did not; looked at again from time to time */
    INSPECTOR_REOPENS, /* closed; opens once more when the blocked event loop turns, and a timer closes it then */
    INSPECTOR_SILENT,    /* did not open when asked; it still may, and is closed then */
    INSPECTOR_LINGERING, /* closed; late lines may still come */
};

/* Node's cluster module opens the workers' inspectors when their primary's is opened.  They are closed at once, as far as
 * this table goes. */
enum { INSPECTOR_CHILDREN = 64, INSPECTOR_PORTS = 256 };
struct inspector_child {
    pid_t pid;
    unsigned port;
    char path[INSPECTOR_PATH_MAX];
};

/* 0: the inspector is open.  Otherwise a code and a sentence for people. */
typedef void (*inspector_opened_cb)(void *arg, int r, const char *text);
/* `left_open`: a port that we opened still listens. */
typedef void (*inspector_checked_cb)(void *arg, bool left_open);

struct inspector {
    struct instance *instance;
    enum inspector_state state;
    uv_timer_t timer;
    int64_t deadline_ms; /* of the present wait, on the loop's clock */
    pid_t pid;           /* the target: the instance's process or a child of it */
    unsigned port;
    char path[INSPECTOR_PATH_MAX];
    bool ours;          /* we opened it and must close it */
    unsigned clients;   /* connections that we made since it opened */
    pid_t silent_pid;   /* did not answer SIGUSR1: is never signalled again */
    pid_t catching_pid; /* has a handler for SIGUSR1 */
    struct inspector_child children[INSPECTOR_CHILDREN]; /* opened along with it */
    unsigned child_count;
    unsigned user_port; /* is open anyhow: the user's own --inspect, or "profiling": "always" */
    char user_path[INSPECTOR_PATH_MAX];
    bool reopens;     /* the capture found the event loop blocked */
    unsigned guesses; /* lines believed although their port was closed already */
    unsigned polls;   /* of INSPECTOR_LEFT_OPEN */
    struct proc_port
        ports[INSPECTOR_PORTS]; /* who of the instance listens where, as it was at ports_at_ms */
    size_t port_count;
    int64_t ports_at_ms;
    unsigned long ports_look; /* of stderr's content, at which that was read */
    unsigned old_ports
        [INSPECTOR_PORTS]; /* of the target before its first signal: none is the inspector's */
    size_t old_port_count;
    pid_t signalled_pid;
    bool line_due;  /* signalled, and its line has not come */
    bool sent;      /* the signal has left us: noted after it, as the state is before it */
    bool unsure;    /* an earlier supervisor may or may not have sent it */
    bool keep_open; /* "profiling": "always" */
    inspector_opened_cb on_opened;
    inspector_checked_cb on_checked;
    void *arg;
};

void inspector_init(struct inspector *i, struct instance *instance, uv_loop_t *loop);
void inspector_close(struct inspector *i, uv_close_cb on_closed);

/* A process was started: `watch` when its inspector opens by the user's own options. */
void inspector_process_started(struct inspector *i, bool user_opens);
/* The process is gone: a wait for it ends with ERR_APP_GONE. */
void inspector_process_gone(struct inspector *i);

/* Goes on with what an earlier supervisor has noted; after the instance's process and logs were adopted, and before its stderr
 * is read. */
void inspector_restore(struct inspector *i);
/* As inspector_open(), for the capture that the earlier supervisor was opening it for. */
void inspector_resume_open(struct inspector *i, pid_t pid, inspector_opened_cb done, void *arg);
/* No capture was restored for this one: what is open is closed. */
void inspector_close_leftover(struct inspector *i);

/* Opens the inspector of `pid`; `done` comes from the loop. */
void inspector_open(struct inspector *i, pid_t pid, inspector_opened_cb done, void *arg);
/* Ends a wait for `arg` that has sent no signal yet, without its callback; false when there is none. */
bool inspector_abort(struct inspector *i, const void *arg);

/* Does the process write its stderr to the instance's pipe, where the inspector tells its address? */
bool inspector_reads_stderr_of(const struct inspector *i, pid_t pid);

/* A cluster worker of `primary` whose stderr goes elsewhere; 0: there is none. */
pid_t inspector_silent_worker(const struct inspector *i, pid_t primary);

/* Why a capture of the instance's own process would not get its inspector open now, as a sentence; NULL: nothing known
 * speaks against it.  Looks into /proc only as long as the process has no handler for SIGUSR1. */
const char *inspector_why_not(struct inspector *i);

/* Opens it for good ("profiling": "always"); a failure is logged. */
void inspector_open_always(struct inspector *i);

/* What answered on the port was no inspector: it is not ours to close. */
void inspector_disown(struct inspector *i);

/* A client of ours is about to connect: its line is expected. */
void inspector_client(struct inspector *i);
/* Has somebody else attached since it opened? */
bool inspector_has_strangers(const struct inspector *i);

/* The event loop of the target was blocked all the time: SIGUSR1 waits for it too and will open the inspector again.  Called
 * before inspector_check(). */
void inspector_expect_reopening(struct inspector *i);

/* Waits until the port is closed, at most 1.5 s; `done` comes from the loop. */
void inspector_check(struct inspector *i, inspector_checked_cb done, void *arg);
