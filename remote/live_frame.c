#include "remote/live_frame.h"

#include <string.h>

#include "lib/base/err.h"

enum { FINAL = 0x80, RESERVED = 0x70, OP = 0x0f, MASKED = 0x80, LENGTH = 0x7f, HEAD = 2, MASK = 4 };

static int check_head(const uint8_t *bytes)
{
    int op = bytes[0] & OP;
    if (bytes[0] & RESERVED || !(bytes[1] & MASKED))
        return ERR_PROTOCOL;
    if (op <= 2)
        return ERR_DENIED;
    if (!(bytes[0] & FINAL) || (bytes[1] & LENGTH) > LIVE_CONTROL_MAX)
        return ERR_PROTOCOL;
    return op == LIVE_CLOSE || op == LIVE_PING || op == LIVE_PONG ? op : ERR_PROTOCOL;
}

/* How many bytes the frame has, as far as that is known. */
static size_t wanted(const struct live_frame_in *f)
{
    return f->len < HEAD ? HEAD : (size_t)HEAD + MASK + (f->bytes[1] & LENGTH);
}

static size_t take(struct live_frame_in *f, const uint8_t *data, size_t len)
{
    size_t left = wanted(f) - f->len;
    size_t n = len < left ? len : left;
    memcpy(f->bytes + f->len, data, n);
    f->len += n;
    return n;
}

int live_frame_take(struct live_frame_in *f, const void *data, size_t len, size_t *ret_used,
                    const uint8_t **ret_payload, size_t *ret_len)
{
    const uint8_t *bytes = data;
    size_t used = 0;
    if (f->len < HEAD)
        used = take(f, bytes, len);
    *ret_used = used;
    if (f->len < HEAD)
        return 0;
    int op = check_head(f->bytes);
    if (op < 0)
        return op;
    used += take(f, bytes + used, len - used);
    *ret_used = used;
    if (f->len < wanted(f))
        return 0;
    uint8_t *payload = f->bytes + HEAD + MASK;
    *ret_len = f->bytes[1] & LENGTH;
    *ret_payload = payload;
    for (size_t i = 0; i < *ret_len; i++)
        payload[i] ^= f->bytes[HEAD + i % MASK];
    f->len = 0;
    return op;
}

size_t live_frame_head(enum live_op op, size_t payload_len, uint8_t ret_head[static LIVE_HEAD_MAX])
{
    size_t bytes = payload_len <= LIVE_CONTROL_MAX ? 0 : payload_len <= UINT16_MAX ? 2 : 8;
    ret_head[0] = (uint8_t)(FINAL | op);
    ret_head[1] = (uint8_t)(bytes == 0 ? payload_len : bytes == 2 ? 126 : 127);
    for (size_t i = 0; i < bytes; i++)
        ret_head[HEAD + i] = (uint8_t)(payload_len >> (8 * (bytes - 1 - i)));
    return HEAD + bytes;
}
