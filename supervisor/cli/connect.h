/* connect.h -- from a command to the supervisor: its socket in $PROCTOR_HOME, and one call with its
 * sentence on failure.
 *
 * Only `start` and what applies a file starts a supervisor (daemon.h); everything else says that
 * none is running. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "lib/wire/client.h"
#include "lib/wire/msg.h"

#define CLIENT_NONE                                                                                \
    {                                                                                              \
        .fd = -1                                                                                   \
    }
#define AUTOCLIENT __attribute__((cleanup(client_close)))

/* Connects; prints nothing.  Besides what client_open() says, ERR_NOT_RUNNING for "no supervisor
 * there". */
int connect_try(struct client *c);

/* The same with the sentence on failure: returns an exit code (cmd.h), CMD_DONE when connected. */
int connect_running(struct client *c);

/* Says that connecting failed with `r`; returns the exit code. */
int connect_say(int r);

/* Is `r` what a call returns when the supervisor ended in the middle of it? */
bool connect_broke(int r);

/* The supervisor at the other end and its keeper, which would start another one. */
struct watch {
    int supervisor, keeper; /* pidfds; -1: there is none, or it has ended */
};
#define AUTOWATCH __attribute__((cleanup(connect_watch_end)))

/* `pong` is its answer to ping; NULL: it did not answer, and only the one that the kernel names is watched. */
struct watch connect_watch(const struct client *c, const json_t *pong);
void connect_watch_end(struct watch *w);

/* Waits until nothing of them is left, at most `limit_ms` for each (-1: for ever): 0, or -ETIMEDOUT. */
int connect_wait_gone(const struct watch *w, int limit_ms);

/* Says the "warnings" of an answer, if there are any. */
void connect_say_warnings(const json_t *result);

/* One call that is answered at once, whatever the apps do; -ETIMEDOUT after 10 s without a word, later where the agent or
 * the network has a part.  `params` is taken; the
 * caller clears `ret_answer` in any case. */
int connect_ask(struct client *c, const char *method, json_t *params, struct msg *ret_answer);

/* The same, answered with its warnings said, or failed with its sentence said: an exit code.  `what` begins the sentence:
 * "cannot stop". */
int connect_call(struct client *c, const char *what, const char *method, json_t *params,
                 struct msg *ret_answer);
