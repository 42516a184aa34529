/* ipc.h -- the IPC channel between us and a Node app: newline JSON over a socketpair, as process.send() and
 * process.on('message') use it.
 *
 * The channel outlives us: our end lies with the keeper (i7.ipc), so that the app sees no 'disconnect', and a message is
 * looked at, done, and only then taken out of the socket.  Whether a message is taken out is in the socket itself: its peek
 * offset (SO_PEEK_OFF) is the length of what we have in hand, and the kernel lowers it as it is read.  Whether it is done is
 * in slot->ipc_done.  Together they tell after a sudden death what is to be done again: nothing is lost, nothing done twice.
 *
 * A line that does not fit into the socket's buffer is taken out in pieces, kept as i7.ipc.part; what the app has told of
 * itself as i7.ipc.json.  An app that sends a line of more than LIMIT_IPC_LINE is read and not listened to any more. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct instance;
struct strlist;

/* A channel for the process that is about to be started, when its runtime is Node: the descriptor for the child, which the
 * caller closes after the spawn; -1 when it gets none.  Stored with the keeper.  0 or a negative code. */
int ipc_open(struct instance *in, int *ret_child_fd);

/* What the child needs in its environment: descriptor 3 is its channel, or there is none. */
void ipc_environment(const struct instance *in, struct strlist *env);

/* After a restart of ours: takes up the channel that the keeper has given back, and what was in hand. */
void ipc_restore(struct instance *in);

/* The process is gone: what it sent before is done, then the channel ends.  Harmless when there is none. */
void ipc_close(struct instance *in);

/* One message to the app.  -ENOTCONN: it has no channel; ERR_TOO_BIG: more than LIMIT_IPC_SEND; ERR_FULL: it does not read
 * what was sent before. */
int ipc_send(struct instance *in, const json_t *message);

/* Has the app told that it has this action?  `ret_known` (may be NULL) gets all of them; borrowed, may be NULL. */
bool ipc_has_action(const struct instance *in, const char *name, const json_t **ret_known);

/* {"messages", "ready", "actions", "metrics"}, new; NULL: there is no channel. */
json_t *ipc_view(const struct instance *in);
