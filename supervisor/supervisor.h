/* supervisor.h -- the program's object: all apps of a host and what serves them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "lib/base/list.h"
#include "supervisor/agent_link.h"
#include "supervisor/captures.h"
#include "supervisor/control.h"
#include "supervisor/ipc_trigger.h"
#include "supervisor/keep_link.h"
#include "supervisor/logs.h"
#include "supervisor/notify.h"
#include "supervisor/metrics.h"
#include "supervisor/metrics_http.h"
#include "supervisor/operations.h"
#include "supervisor/own_log.h"
#include "supervisor/policy.h"
#include "supervisor/slots.h"
#include "supervisor/state_file.h"

struct app;
struct instance;
struct peer;
struct runtimes;
struct strlist;

struct supervisor {
    uv_loop_t loop;
    char *home;
    struct keep_link keep;
    bool safe; /* watch only: it crashed again and again with this state */
    bool
        all_pids_written; /* no child of the supervisor before is still to write its pid (instance_keep.c) */
    struct list apps;
    int next_pm_id;
    struct slots slots;
    struct runtimes *runtimes;
    struct policy policy;
    struct captures captures;
    struct agent_link agent;
    struct control control;
    struct operations operations;
    struct triggers triggers;
    struct state_file state_file;
    struct own_log own_log;
    struct notify notify;
    struct logs logs;
    struct metrics metrics;
    struct metrics_http metrics_http;
    uv_timer_t keeper_timer; /* to become the keeper again when that has failed */
    uv_signal_t on_term;
    uv_signal_t on_int;
    /* The end, in this order: apps stopped, answers sent, agent ended, loop empty. */
    bool ending;
    bool forget_apps;
    bool closed;
    struct peer *end_peer;
    char *end_id;
};

#define SUPERVISOR_CANNOT_READ "this version cannot read what the one before has left"

/* Opens everything below `home` (which exists, and whose lock is held); takes the content of `keep`.  An error has been
 * logged and is in `*reterr_text` (the caller frees). */
int supervisor_open(struct supervisor *sup, const char *home, struct keep_link *keep,
                    char **reterr_text);

/* Adopts what an earlier supervisor has left with the keeper, and goes on with it; starts the agent and the apps that shall
 * run.  Fails, with nothing touched, when an upgrade has brought us and we cannot read it: the keeper takes us back. */
int supervisor_start(struct supervisor *sup);

/* Stops all apps and ends.  `forget`: the desired state becomes empty (`proctor kill`); otherwise it stays for the next
 * start.  `peer` (NULL: nobody) gets its answer when the apps are down. */
void supervisor_end(struct supervisor *sup, bool forget, struct peer *peer, const char *id);

/* Ends this process for the programs that lie on the disk to take over; the apps go on.  With a keeper only. */
void supervisor_upgrade(struct supervisor *sup);

/* After the loop has ended. */
void supervisor_clear(struct supervisor *sup);

struct app *supervisor_app(struct supervisor *sup, const char *name);
const char *supervisor_nearest_app(struct supervisor *sup, const char *name);
size_t supervisor_instance_count(struct supervisor *sup);
int supervisor_next_pm_id(struct supervisor *sup);

/* The size for a new log pipe: the kernel gives an unprivileged user a budget of pages for all of them. */
unsigned supervisor_pipe_bytes(struct supervisor *sup);

/* What our own programs need of our environment; `env` is empty on entry. */
void supervisor_child_environment(struct strlist *env);

/* What happened, told by the parts. */
void supervisor_state_changed(struct supervisor *sup);
void supervisor_instance_changed(struct instance *in);
void supervisor_app_waits_for_us(struct instance *in);
void supervisor_client_attached(struct instance *in);
void supervisor_close_inspector(struct instance *in, pid_t pid, unsigned port, const char *path);
void supervisor_capture_ended(struct supervisor *sup);
void supervisor_agent_gone(struct supervisor *sup);
void supervisor_state_written(struct supervisor *sup);
void supervisor_peer_gone(struct supervisor *sup);
