/* delivery.h -- captures that the console asked for, on their way to it: records at every phase, results in pieces, again and again
 * until the console says that it has them (docs/PROTOCOL.md, "Channel").
 *
 * It knows nothing of sockets: the uplink gives it the console's messages and takes messages and pieces from it.  What is owed to the
 * console stands in the records in the spool, so it survives every death. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/wire/blob.h"

struct captures;
struct delivery;

/* An open channel, as long as it is open. */
struct delivery_channel {
    void *arg;
    /* Queues a message of channel.h; `fields` is borrowed. */
    void (*send)(void *arg, const char *type, json_t *fields);
    /* There may be pieces now: call delivery_chunk() when the socket takes more. */
    void (*wake)(void *arg);
    /* The console has said what does not fit: ends the connection.  It may call delivery_close(). */
    void (*break_off)(void *arg, int code, const char *text);
    bool takes_blobs; /* the console's capabilities name "blob" */
};

/* `cs` has been opened; it lives longer, and so does its loop. */
struct delivery *delivery_new(struct captures *cs);
/* Closes it, too.  Before captures_clear(); what a thread is doing for it is waited for by the loop, or was already over. */
void delivery_free(struct delivery *d);

/* hello was exchanged: tells every record of the console's captures that has not ended or is not acknowledged, then their results. */
void delivery_open(struct delivery *d, const struct delivery_channel *channel);
/* Nothing is sent any more.  Twice is fine. */
void delivery_close(struct delivery *d);

/* Who we are for the console from now on; NULL: there is none.  What is owed is what that console asked for, and no other. */
void delivery_belong(struct delivery *d, const char *host);

/* Has the console acknowledged anything on this connection? */
bool delivery_has_moved(const struct delivery *d);

/* capture.start, .stop, .cancel, .get, .ack and blob.go, .ack, .done, .refused; their fields have been checked. */
void delivery_take(struct delivery *d, const char *type, const json_t *message);

/* To be called whenever there is no text message to send and the socket takes more, until it returns 0: that paces the records, too.
 * It may call the channel's send() and wake().
 *
 * Puts the next binary frame (header and up to BLOB_CHUNK bytes) into `frame`; returns its length, 0: nothing now (wake() comes).  Never
 * more than BLOB_WINDOW past what was acknowledged. */
size_t delivery_chunk(struct delivery *d, uint8_t frame[static BLOB_HEADER + BLOB_CHUNK]);
