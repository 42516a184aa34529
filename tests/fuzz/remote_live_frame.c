/* Frames of a viewer, in pieces whose length comes from the bytes. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "remote/live_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct live_frame_in frame = {0};
    size_t at = 0, step = size > 0 ? 1 + data[0] % 16 : 1;
    while (at < size) {
        const uint8_t *payload = NULL;
        size_t len = size - at < step ? size - at : step, used = 0, payload_len = 0;
        int op = live_frame_take(&frame, data + at, len, &used, &payload, &payload_len);
        if (op < 0)
            return 0;
        assert(used <= len && (op > 0 || used == len));
        if (op > 0) {
            assert(op == LIVE_CLOSE || op == LIVE_PING || op == LIVE_PONG);
            assert(payload && payload_len <= LIVE_CONTROL_MAX);
        }
        at += used;
    }
    return 0;
}
