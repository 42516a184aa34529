/* operations.h -- commands that wait until instances have come to rest: start, stop, restart, delete.
 *
 * Each state change of an awaited instance goes to the requester as progress; the answer follows when all are at rest.
 * A finished answer is kept for a while, so that a request repeated after a broken connection is not done twice. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "lib/base/list.h"

struct instance;
struct peer;

struct operations {
    struct list running;
    struct list finished;
};

struct operation;

void operations_init(struct operations *os);
void operations_clear(struct operations *os);

/* A request that is known already: attached to, or answered again.  True when it was. */
bool operations_repeat(struct operations *os, struct peer *peer, const char *id);

struct operation *operation_new(struct operations *os, struct peer *peer, const char *id);

/* Waits for `in`; `action` (a static string) is what is done to it.  Take all instances in before anything is done. */
void operation_add(struct operation *op, struct instance *in, const char *action);

/* All are added and on their way.  Answers at once when nothing is to be waited for.  The operation may be gone
 * afterwards. */
void operation_go(struct operation *op);

/* An instance changed its state; `gone`: it is being freed. */
void operations_instance_changed(struct operations *os, struct instance *in, bool gone);
void operations_forget_peer(struct operations *os, struct peer *peer);
