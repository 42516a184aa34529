/* ipc_trigger.h -- `proctor trigger`: a message to apps that have an action of that name, and what they answer.
 *
 * An action is asked of an app once: the request is in the store (record "triggers") before it is sent, so that after our
 * sudden death the client that repeats its id gets the answer, and the app is not asked again.  An answer is in the store
 * before the app's message counts as done. */
#pragma once

#include <jansson.h>

#include "lib/base/list.h"

struct instance;
struct peer;
struct supervisor;
struct targets;

struct triggers {
    struct supervisor *sup;
    struct list running;
    struct list finished; /* the newest few, for a request that is repeated */
};

struct trigger_ask {
    const char *action;
    const char *param; /* NULL: none */
    int64_t timeout_ms;
};

void triggers_init(struct triggers *ts, struct supervisor *sup);
/* The loop runs once more afterwards. */
void triggers_close(struct triggers *ts);

/* After the instances have been restored. */
void triggers_restore(struct triggers *ts);

/* Does what request `id` asks and answers when all have answered or the time is over:
 * {"answers": [{"name", "instance", "pm_id", "pid", "return" | "error"}]}.  A known id is attached to. */
void trigger_run(struct triggers *ts, struct peer *peer, const char *id,
                 const struct targets *targets, const struct trigger_ask *ask);

/* The instance has sent axm:reply with this data. */
void triggers_replied(struct triggers *ts, struct instance *in, const json_t *data);
void triggers_instance_gone(struct triggers *ts, struct instance *in);
void triggers_forget_peer(struct triggers *ts, struct peer *peer);
