/* Any bytes as a binary frame of the channel: what is taken for a chunk has the same header when
 * it is written again. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/wire/blob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct blob_chunk chunk;
    uint8_t header[BLOB_HEADER];
    int r = blob_chunk_parse(data, size, &chunk);
    if (r < 0) {
        assert(r == ERR_PROTOCOL);
        return 0;
    }
    assert(chunk.data == data + BLOB_HEADER && chunk.len == size - BLOB_HEADER);
    assert(chunk.len >= 1 && chunk.len <= BLOB_CHUNK);
    blob_header_put(header, chunk.blob, chunk.offset);
    assert(memcmp(header, data, BLOB_HEADER) == 0);
    return 0;
}
