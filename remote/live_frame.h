/* live_frame.h -- WebSocket frames (RFC 6455): what a viewer may send, and the heads of ours; no
 * I/O.
 *
 * A viewer only listens: it may ping, pong and close, and nothing else. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum live_op { LIVE_TEXT = 1, LIVE_CLOSE = 8, LIVE_PING = 9, LIVE_PONG = 10 };

enum { LIVE_CONTROL_MAX = 125, LIVE_HEAD_MAX = 10 };

/* One frame of a viewer, as it comes. */
struct live_frame_in {
    uint8_t bytes[2 + 4 + LIVE_CONTROL_MAX]; /* head, mask, payload */
    size_t len;
};

/* Takes up to `len` bytes of `data`; how many is in `*ret_used`.  0: a frame is not whole yet.
 * Else its operation; the payload, unmasked, is `*ret_payload` (of `*ret_len`), borrowed until
 * the next call.  ERR_PROTOCOL: not masked, too long, fragmented, unknown; ERR_DENIED: data. */
int live_frame_take(struct live_frame_in *f, const void *data, size_t len, size_t *ret_used,
                    const uint8_t **ret_payload, size_t *ret_len);

/* The head of a frame of ours; returns its length. */
size_t live_frame_head(enum live_op op, size_t payload_len, uint8_t ret_head[static LIVE_HEAD_MAX]);
