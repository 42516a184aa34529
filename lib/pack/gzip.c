#define ZLIB_CONST
#include "lib/pack/gzip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "lib/base/err.h"
#include "lib/base/mem.h"

/* zlib counts in unsigned int; 16 added to the window chooses gzip's header and trailer. */
enum { WINDOW_BITS = 15 + 16, MEMORY_LEVEL = 8, STEP_MAX = 1 << 30 };

static unsigned at_most(size_t len)
{
    return len < STEP_MAX ? (unsigned)len : STEP_MAX;
}

/* ---- compressing ----------------------------------------------------------------------------- */

struct gzip_writer {
    z_stream z;
    bool done;
};

struct gzip_writer *gzip_writer_new(int level)
{
    struct gzip_writer *w = xcalloc(1, sizeof *w);
    if (level < 1 || level > 9)
        level = Z_DEFAULT_COMPRESSION;
    if (deflateInit2(&w->z, level, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL, Z_DEFAULT_STRATEGY) !=
        Z_OK)
        abort();
    return w;
}

void gzip_writer_free(struct gzip_writer *w)
{
    if (!w)
        return;
    (void)deflateEnd(&w->z);
    free(w);
}

int gzip_writer_step(struct gzip_writer *w, const void *in, size_t in_len, bool end, void *out,
                     size_t out_size, struct pack_step *ret_step)
{
    if (w->done)
        return ERR_FAILED;
    unsigned in_now = at_most(in_len), out_now = at_most(out_size);
    w->z.next_in = in;
    w->z.avail_in = in_now;
    w->z.next_out = out;
    w->z.avail_out = out_now;
    int result = deflate(&w->z, end && in_now == in_len ? Z_FINISH : Z_NO_FLUSH);
    /* Z_BUF_ERROR: nothing could be done with these buffers; the next step has others. */
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
        return ERR_FAILED;
    w->done = result == Z_STREAM_END;
    *ret_step =
        (struct pack_step){.used = in_now - w->z.avail_in, .made = out_now - w->z.avail_out};
    return w->done ? 1 : 0;
}

/* ---- decompressing --------------------------------------------------------------------------- */

struct gzip_reader {
    z_stream z;
    uint64_t left; /* bytes that may still come out */
    int ended;     /* 1 or an error: what every further step returns */
};

struct gzip_reader *gzip_reader_new(uint64_t limit)
{
    struct gzip_reader *r = xcalloc(1, sizeof *r);
    r->left = limit;
    if (inflateInit2(&r->z, WINDOW_BITS) != Z_OK)
        abort();
    return r;
}

void gzip_reader_free(struct gzip_reader *r)
{
    if (!r)
        return;
    (void)inflateEnd(&r->z);
    free(r);
}

static int state_of(int result)
{
    switch (result) {
    case Z_OK:
    case Z_BUF_ERROR:
        return 0;
    case Z_STREAM_END:
        return 1;
    case Z_MEM_ERROR:
        return -ENOMEM;
    default:
        return ERR_SYNTAX;
    }
}

static int read_some(struct gzip_reader *r, void *out, size_t out_size, size_t *ret_made)
{
    r->z.next_out = out;
    r->z.avail_out = at_most(out_size);
    unsigned out_now = r->z.avail_out;
    int state = state_of(inflate(&r->z, Z_NO_FLUSH));
    if (state < 0)
        return state;
    if (out_now - r->z.avail_out > r->left)
        return ERR_TOO_BIG;
    *ret_made = out_now - r->z.avail_out;
    r->left -= *ret_made;
    return state;
}

/* At the limit the trailer may still come, but not a byte more of content. */
static int read_end(struct gzip_reader *r)
{
    char past_the_limit;
    size_t made;
    return read_some(r, &past_the_limit, 1, &made);
}

int gzip_reader_step(struct gzip_reader *r, const void *in, size_t in_len, void *out,
                     size_t out_size, struct pack_step *ret_step)
{
    unsigned in_now = r->ended == 0 ? at_most(in_len) : 0;
    size_t made = 0;
    r->z.next_in = in;
    r->z.avail_in = in_now;
    if (r->ended == 0 && r->left > 0)
        r->ended = read_some(r, out, out_size < r->left ? out_size : (size_t)r->left, &made);
    if (r->ended == 0 && r->left == 0)
        r->ended = read_end(r);
    if (r->ended < 0)
        return r->ended;
    *ret_step = (struct pack_step){.used = in_now - r->z.avail_in, .made = made};
    return r->ended;
}
