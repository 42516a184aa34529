/* agent_link.h -- the agent: started, restarted with back-off, spoken to over a socketpair.
 *
 * CLI requests about captures and the link to a console are handed to it unchanged ("relayed"); one that is under way when
 * the agent dies is sent again to the next agent, which knows a capture by its id.  An agent that does not answer one is
 * replaced; when the next does not answer it either, it is answered with an error.  One whose asker has gone is dropped.
 *
 * The agent outlives the supervisor: the keeper has our end of its socket ("agent.sock") and its pidfd ("agent.pid"), and "agent.json"
 * says what else is known of it.  The next supervisor tells it `restarted`; what it was asked for by clients is gone with them,
 * and they ask again. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

#include "lib/base/list.h"
#include "lib/wire/conn.h"
#include "supervisor/process.h"

struct peer;
struct supervisor;

struct agent_link {
    struct supervisor *sup;
    struct conn conn;
    bool conn_open;
    bool greeted; /* hello was exchanged, with us or with an earlier supervisor: it may ask */
    bool met;     /* with us: it may be asked */
    struct process *process;
    uv_timer_t timer;    /* restart back-off, and how long requests wait for an agent */
    uv_timer_t watchdog; /* an agent that lives but does not answer is replaced */
    int64_t started_ms;
    int64_t hello_due_ms;
    int64_t down_since_ms;
    unsigned backoff_ms;
    bool ending;
    bool leaving; /* it was asked to make room for one of another version */
    struct list relays;
};

void agent_link_init(struct agent_link *a, struct supervisor *sup);
/* Adopts the agent of an earlier supervisor, or starts one. */
void agent_link_start(struct agent_link *a);

/* Ends the agent (it finishes what it writes); agent_link_gone() says when it has. */
void agent_link_end(struct agent_link *a);
bool agent_link_gone(const struct agent_link *a);
pid_t agent_link_pid(const struct agent_link *a);

/* Hands a request of `peer` on; the answer goes back under the peer's own id. */
void agent_link_relay(struct agent_link *a, struct peer *peer, const char *peer_id,
                      const char *method, json_t *params);
/* The peer is gone: its requests are dropped, and answers that still come for it. */
void agent_link_forget_peer(struct agent_link *a, struct peer *peer);

/* Answers to the agent's own requests; nothing happens when it is not there (it asks again). */
void agent_link_progress(struct agent_link *a, const char *id, json_t *params);
void agent_link_result(struct agent_link *a, const char *id, json_t *result);
void agent_link_error(struct agent_link *a, const char *id, int error, const char *text);
