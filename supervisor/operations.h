/* operations.h -- commands that wait until instances have come to rest: start, stop, restart, delete.
 *
 * Declare, store, act: a command changes what is desired and adds the instances; operation_go() stores that with the state
 * (state_file.h), and then does it.  Each state change of an awaited instance goes to the requester as progress; the answer
 * follows when all are at rest.
 *
 * An operation survives the supervisor.  Each thing that is done to an instance raises its `changes`, in the same commit as
 * the state that it gets by it; so a supervisor that follows knows what was done already, does the rest, and waits on.  The
 * last answers are kept, so that a request repeated after a broken connection is not done twice. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "lib/base/list.h"

struct instance;
struct peer;
struct supervisor;

struct operations {
    struct supervisor *sup;
    struct list running;
    struct list finished;
};

struct operation;

void operations_init(struct operations *os, struct supervisor *sup);
void operations_clear(struct operations *os);

/* A request that is known already: attached to, or answered again.  True when it was. */
bool operations_repeat(struct operations *os, struct peer *peer, const char *id);

struct operation *operation_new(struct operations *os, struct peer *peer, const char *id);

/* What becomes of an instance. */
enum operation_action {
    ACTION_STARTED,
    ACTION_STOPPED,
    ACTION_RESTARTED,
    ACTION_DELETED,
    ACTION_UNCHANGED,
};

void operation_add(struct operation *op, struct instance *in, enum operation_action action);

/* All are added: stores it and does it.  Answers at once when nothing is to be waited for.  The operation may be gone
 * afterwards. */
void operation_go(struct operation *op);

/* One that is done with its answer (borrowed), which the next supervisor gives to a request with this id.  To be stored. */
void operations_answered(struct operations *os, const char *id, json_t *answer);

/* An instance changed its state; `gone`: it is being freed. */
void operations_instance_changed(struct operations *os, struct instance *in, bool gone);
void operations_forget_peer(struct operations *os, struct peer *peer);

/* As in the kept state.  What is read waits until operations_go_on(), when all instances are as they were. */
json_t *operations_to_json(const struct operations *os);
void operations_from_json(struct operations *os, const json_t *json);
void operations_go_on(struct operations *os);
