/* client.h -- the blocking side of the control protocol, for the CLI: no event loop, no libuv.
 *
 * A call carries an id that makes it idempotent: when the connection breaks in the middle (the supervisor may just have
 * been restarted) the same call is sent again on a new connection, until `retry_ms` have passed without one. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/uuid.h"
#include "lib/wire/fds.h"

struct msg;

struct client {
    char *path; /* of the socket */
    int fd;     /* -1: not connected */
    struct buf in;
    struct fds in_fds;
    bool heard;      /* the supervisor has said something on this connection */
    const char *why; /* the call failed: NULL, or a sentence */
    int retry_ms; /* how long a broken connection is tried again; default 20000.  Counts anew only when a connection has
                    * lived for a second: a server that accepts and closes at once is given up too */
    int nobody_ms; /* the same while nobody listens: the socket outlives a supervisor that has a keeper; default 5000 */
    int silence_ms; /* how long a supervisor may take to accept, to read, and to answer hello; default 10000 */
    int limit_ms; /* the same for a call, as long as nothing more comes; default 0: for ever */
};

/* Progress of a call; `params` is borrowed.  Also called with NULL whenever poll() was interrupted by a signal, so that a
 * Ctrl-C can be acted on: a non-zero return ends the call with that value (negative).  Of several calls in flight only the
 * first that is unanswered hears of an interruption. */
typedef int (*client_progress_cb)(void *arg, const json_t *params);

/* Connects and says `hello`.  -ENOENT and -ECONNREFUSED mean that no supervisor runs, -ETIMEDOUT that there is one which
 * takes no connections. */
int client_open(struct client *c, const char *socket_path);
void client_close(struct client *c);

/* One request and its answer.  A refused `hello` counts as the answer.  On success `*ret_answer` is the result (the caller
 * clears it in any case: it may hold descriptors); when the supervisor answers with an error, its code is returned and
 * `*ret_answer` holds its sentence (error_text) too.  The same when it does not answer in time (-ETIMEDOUT) or breaks the
 * protocol: then the sentence is ours. */
int client_call(struct client *c, const char *method, json_t *params,
                client_progress_cb on_progress, void *arg, struct msg *ret_answer);

/* One of several calls in flight on one connection. */
struct client_request {
    const char *method;
    json_t *params; /* borrowed */
    client_progress_cb on_progress;
    void *arg;
    /* filled in; `answer` is cleared by the caller */
    struct msg *answer; /* the caller's storage */
    int result;         /* 0, or the error's code */
    bool answered;
    char id[UUID_TEXT];
};

/* Sends them all and waits until all are answered: 0, or why that cannot be (then some may be answered nevertheless, and
 * the answers of the others may hold a sentence of ours). */
int client_call_all(struct client *c, struct client_request *requests, size_t count);

/* Sends a request without waiting for its answer (capture.stop while capture.start runs); answers to it are skipped. */
int client_send(struct client *c, const char *method, json_t *params);
