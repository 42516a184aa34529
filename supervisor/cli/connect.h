/* connect.h -- from a command to the supervisor: its socket in $PROCTOR_HOME, and one call with its
 * sentence on failure.
 *
 * Only `start` and what applies a file starts a supervisor (daemon.h); everything else says that
 * none is running. */
#pragma once

#include <jansson.h>

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

/* One call that is answered at once, whatever the apps do; -ETIMEDOUT after 10 s without a word.  `params` is taken; the
 * caller clears `ret_answer` in any case. */
int connect_ask(struct client *c, const char *method, json_t *params, struct msg *ret_answer);

/* The same, answered or failed with its sentence said: an exit code.  `what` begins the sentence:
 * "cannot stop". */
int connect_call(struct client *c, const char *what, const char *method, json_t *params,
                 struct msg *ret_answer);
