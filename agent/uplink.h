/* uplink.h -- connections of this host to its console: address, WebSocket, session and heartbeat of one at a time.
 *
 *     uplink_open(): the name is looked up
 *     each address in turn, until TLS and WebSocket stand: one that hangs has 5 s when there are others, and the next
 *     uplink_open() begins with the one after it
 *     hello both ways: on_open()
 *     messages, pieces of results
 *     on_closed(), whatever happened in between
 *
 * When to connect again is the link's business.  What comes before on_open() has 20 s. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "agent/uplink_session.h"
#include "lib/wire/blob.h"

struct identity;
struct uplink;

struct uplink_callbacks {
    /* hello was exchanged. */
    void (*on_open)(void *arg, const json_t *hello);
    /* A message of the console; its fields and the phase were checked. */
    void (*on_message)(void *arg, const char *type, const json_t *message);
    /* No text waits and the socket takes more: puts a binary frame there and returns its length, 0: none (uplink_wake() tells when
     * there is one). */
    size_t (*on_room)(void *arg, uint8_t frame[static BLOB_HEADER + BLOB_CHUNK]);
    /* The connection is over, or was not made; once per uplink_open(), from the loop.  `code`: of the console's bye, of ours, or
     * what broke. */
    void (*on_closed)(void *arg, int code, const char *text);
};

struct uplink *uplink_new(uv_loop_t *loop, const struct uplink_callbacks *callbacks, void *arg);

/* Starts to connect, when there is no connection.  `id` is borrowed for the call. */
void uplink_open(struct uplink *u, const struct identity *id);

/* Is hello exchanged, and does the console take it? */
bool uplink_can(const struct uplink *u, enum uplink_capability capability);

/* Queues a message (borrowed), see uplink_session_send(); nothing happens without an open connection. */
int uplink_send(struct uplink *u, const char *type, json_t *fields);

/* In on_closed(): was it the console that ended it, with a bye? */
bool uplink_by_console(const struct uplink *u);

/* on_room() may have something now. */
void uplink_wake(struct uplink *u);

/* Says bye and closes; cut off after a second.  on_closed() tells.  Nothing happens without a connection. */
void uplink_close(struct uplink *u, int code, const char *text);

/* No connection will be opened any more; one that is there is closed as by uplink_close(), and then all handles are. */
void uplink_end(struct uplink *u);

/* After the loop. */
void uplink_free(struct uplink *u);
