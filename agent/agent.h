/* agent.h -- the agent: its connection to the supervisor, and which message goes where.
 *
 *     hello → serving → closing
 *
 * The agent has no clients of its own: all requests come through the supervisor, over the
 * socketpair that it was started with, and which outlives the supervisor: another one says
 * `restarted`, and is asked again for what has no answer.  When the socketpair ends nobody is left;
 * the agent then finishes writing and ends, and the next supervisor starts another agent, which goes
 * on with what is in the spool. */
#pragma once

#include <stdbool.h>
#include <uv.h>

#include "agent/captures.h"
#include "lib/wire/conn.h"

struct agent;
struct delivery;
struct link;

/* Called once, from the loop, when the connection is over.  Captures that are being written and a
 * channel that is being closed keep the loop running. */
typedef void (*agent_closed_cb)(struct agent *a);

enum agent_phase { AGENT_HELLO, AGENT_SERVING, AGENT_CLOSING };

struct agent {
    uv_loop_t *loop;
    struct conn conn;
    struct captures captures;
    struct delivery *delivery;
    struct link *link;   /* to the console */
    uv_timer_t deadline; /* of the hello, later of the last bytes */
    enum agent_phase phase;
    bool failed; /* it ended for another reason than that the supervisor is gone or said so */
    agent_closed_cb on_closed;
};

/* Opens the spool in `home`, says hello on `fd` (taken in every case).  Errors are logged; also
 * after one the loop must run once more and agent_clear() be called. */
int agent_open(struct agent *a, uv_loop_t *loop, const char *home, int fd,
               agent_closed_cb on_closed);

/* Starts ending; what is queued is still sent.  Twice is fine. */
void agent_close(struct agent *a);

/* When uv_run() has returned, and before the loop is closed. */
void agent_clear(struct agent *a);
