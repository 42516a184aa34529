/* transfer.h -- the bytes of one result on their way to the console: read ahead in a thread, handed
 * out in pieces, never more than BLOB_WINDOW past what was acknowledged.
 *
 *     transfer_new()
 *     transfer_go()                  from there on
 *     ready, transfer_chunk() …      transfer_ack() …
 *     transfer_all_sent()
 *
 * Which result it is and what the messages around it say is delivery.h's business. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "lib/wire/blob.h"

struct transfer;

/* There is a piece now (0), or the file cannot be read: -errno, or ERR_MISMATCH when it is too short.
 * After an error nothing comes any more.  From the loop, never inside one of the functions below. */
typedef void (*transfer_cb)(void *arg, int result);

/* Takes `fd`, a file of `size` bytes. */
struct transfer *transfer_new(uv_loop_t *loop, int fd, uint64_t size, transfer_cb ready, void *arg);

/* At any time; a read that is under way is waited for by the loop. */
void transfer_free(struct transfer *t);

/* Once.  ERR_INVALID past the end, or when it goes already. */
int transfer_go(struct transfer *t, uint64_t offset);

/* Everything before `offset` has arrived.  1 when that is more than before, 0 when it is not, ERR_INVALID past what was sent, before
 * what was acknowledged, or before it goes. */
int transfer_ack(struct transfer *t, uint64_t offset);

/* Puts the next piece with its header into `frame` and returns its length; 0: nothing now. */
size_t transfer_chunk(struct transfer *t, uint32_t blob,
                      uint8_t frame[static BLOB_HEADER + BLOB_CHUNK]);

bool transfer_all_sent(const struct transfer *t);
