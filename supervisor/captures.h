/* captures.h -- the supervisor's part of a capture: may it be, open the inspector, run the probe, see the port closed.
 *
 * Asked by the agent (`probe.start`, docs/PROTOCOL.md).  A finished capture's answer is kept until the agent acknowledges
 * it, so that an agent that was restarted in the middle gets it again.
 *
 * A capture outlives the supervisor.  The keeper holds what is known of it ("c/<id>.json", written before each step), the
 * descriptor of its result ("c/<id>.out"), and its probe (probe.h); the next supervisor goes on where this one was. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "lib/base/list.h"
#include "lib/base/str.h"

struct instance;
struct supervisor;

struct captures {
    struct supervisor *sup;
    struct list all;
    struct strlist
        local; /* ids of captures that somebody on this host has asked for and that were not started yet */
};

struct capture;

void captures_init(struct captures *cs, struct supervisor *sup);

/* A `capture.start` came over the control socket: when the agent asks for this one, it is for somebody on this host.  All others are
 * for a console, whatever the agent says. */
void captures_expect(struct captures *cs, const char *id);

/* Those of them that still wait, for the next supervisor: an array of strings. */
json_t *captures_local_to_json(const struct captures *cs);
void captures_local_from_json(struct captures *cs, const json_t *ids);
void captures_restore_local(struct captures *cs);

/* Was it asked for on this host?  Once: a second start of the same id attaches, or there is nothing to start any more. */
bool captures_take_local(struct captures *cs, const char *id);

/* Goes on with the captures of an earlier supervisor; after the instances and their inspectors were restored. */
void captures_restore(struct captures *cs);

/* At shutdown: forgets all that have ended; running ones end through their probes. */
void captures_clear(struct captures *cs);
bool captures_running(const struct captures *cs);
bool captures_knows(const struct captures *cs, const char *id);
const char *captures_id(const struct capture *c);

/* `probe.start`: takes `out_fd` (-1: only ask).  Progress and answer go to the agent's connection under `request_id`. */
void captures_start(struct captures *cs, const char *request_id, const json_t *params, int out_fd);

/* `probe.stop`, `probe.cancel`, `probe.ack`; ERR_NOT_FOUND for an unknown id. */
int captures_stop(struct captures *cs, const char *id);
int captures_cancel(struct captures *cs, const char *id);
int captures_ack(struct captures *cs, const char *id);

/* The instance shall stop: makes the probe let go.  True when the instance must wait for
 * instance_capture_released(), false when nothing holds it. */
bool captures_app_stopping(struct capture *c);

/* The process prints that it waits for us to let it exit. */
void captures_app_exiting(struct capture *c);

/* The process is gone. */
void captures_process_gone(struct capture *c);

/* Somebody has attached to the inspector. */
void captures_attached(struct capture *c);

void captures_forget_instance(struct captures *cs, struct instance *in);
