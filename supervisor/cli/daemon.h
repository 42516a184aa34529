/* daemon.h -- starts the supervisor of $PROCTOR_HOME, by its keeper, when none is running. */
#pragma once

struct client;

/* Connects, starting a supervisor first when there is none: an exit code (cmd.h), with the sentence
 * said on failure.  Two of these at the same time both succeed: one supervisor comes first, the
 * other's says so and ends. */
int daemon_connect(struct client *c);

/* The supervisor of `c` says that it is shutting down, or it has gone: waits for its end, then the
 * same.  The end has 15 s. */
int daemon_replace(struct client *c);
