/* Any bytes as a gzip file, in steps of any size; the first two bytes choose the limit and the
 * size.  Never more comes out than the limit, and both ways of cutting the input make the same. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/pack/gzip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 4096 };

static int unpack(const uint8_t *data, size_t size, uint64_t limit, size_t piece,
                  uint64_t *ret_made)
{
    uint8_t out[OUT_MAX];
    size_t used = 0;
    int r;
    struct gzip_reader *reader = gzip_reader_new(limit);
    *ret_made = 0;
    for (;;) {
        struct pack_step step;
        size_t in = size - used < piece ? size - used : piece;
        size_t room = piece < OUT_MAX ? piece : OUT_MAX;
        r = gzip_reader_step(reader, data + used, in, out, room, &step);
        if (r < 0)
            break;
        assert(step.used <= in && step.made <= room);
        used += step.used;
        *ret_made += step.made;
        assert(*ret_made <= limit);
        if (r == 1 || (used == size && step.made < room))
            break;
        assert(step.used > 0 || step.made > 0);
    }
    gzip_reader_free(reader);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    uint64_t limit = (uint64_t)data[0] * 257, made, made_at_once;
    size_t piece = (size_t)data[1] + 1;
    int in_pieces = unpack(data + 2, size - 2, limit, piece, &made);
    int at_once = unpack(data + 2, size - 2, limit, SIZE_MAX, &made_at_once);
    assert((in_pieces == 1) == (at_once == 1));
    assert(in_pieces != 1 || made == made_at_once);
    return 0;
}
