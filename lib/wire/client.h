/* client.h -- the blocking side of the control protocol, for the CLI: no event loop, no libuv.
 *
 * A call carries an id that makes it idempotent: when the connection breaks in the middle (the supervisor may just have
 * been restarted) the same call is sent again on a new connection, until `retry_ms` have passed without one. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"

struct msg;

struct client {
    char *path;    /* of the socket */
    int fd;        /* -1: not connected */
    struct buf in;
    int in_fds[4];
    unsigned in_fd_count;
    int retry_ms;  /* how long a broken connection is tried again; default 5000 */
};

/* Progress of a call; `params` is borrowed.  Also called with NULL whenever poll() was interrupted by a signal, so that a
 * Ctrl-C can be acted on: a non-zero return ends the call with that value (negative). */
typedef int (*client_progress_cb)(void *arg, const json_t *params);

/* Connects and exchanges `hello`.  -ENOENT and -ECONNREFUSED mean that no supervisor runs. */
int client_open(struct client *c, const char *socket_path);
void client_close(struct client *c);

/* One request and its answer.  On success `*ret_answer` is the result (the caller clears it: it may hold descriptors); when
 * the supervisor answers with an error, its code is returned and `*ret_answer` holds its sentence (error_text) too. */
int client_call(struct client *c, const char *method, json_t *params, client_progress_cb on_progress,
                void *arg, struct msg *ret_answer);

/* Sends a request without waiting for its answer (capture.stop while capture.start runs); answers to it are skipped. */
int client_send(struct client *c, const char *method, json_t *params);
