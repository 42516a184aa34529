#include "lib/pack/zstd.h"

#include <errno.h>
#include <stdlib.h>

#include <zstd.h>
#include <zstd_errors.h>

#include "lib/base/err.h"
#include "lib/base/mem.h"

enum { WRITER_WINDOW_LOG = 20, READER_WINDOW_LOG = 23, LEVEL_HIGHEST = 19 };

/* ---- compressing ----------------------------------------------------------------------------- */

struct zstd_writer {
    ZSTD_CCtx *ctx;
    bool done;
};

struct zstd_writer *zstd_writer_new(int level)
{
    struct zstd_writer *w = xcalloc(1, sizeof *w);
    w->ctx = ZSTD_createCCtx();
    if (!w->ctx)
        abort();
    if (level < 1 || level > LEVEL_HIGHEST)
        level = ZSTD_LEVEL_DEFAULT;
    (void)ZSTD_CCtx_setParameter(w->ctx, ZSTD_c_compressionLevel, level);
    (void)ZSTD_CCtx_setParameter(w->ctx, ZSTD_c_windowLog, WRITER_WINDOW_LOG);
    (void)ZSTD_CCtx_setParameter(w->ctx, ZSTD_c_checksumFlag, 1);
    return w;
}

void zstd_writer_free(struct zstd_writer *w)
{
    if (!w)
        return;
    (void)ZSTD_freeCCtx(w->ctx);
    free(w);
}

int zstd_writer_step(struct zstd_writer *w, const void *in, size_t in_len, bool end, void *out,
                     size_t out_size, struct pack_step *ret_step)
{
    ZSTD_inBuffer from = {.src = in, .size = in_len};
    ZSTD_outBuffer to = {.dst = out, .size = out_size};
    /* zstd would begin a second frame. */
    if (w->done)
        return ERR_FAILED;
    size_t left = ZSTD_compressStream2(w->ctx, &to, &from, end ? ZSTD_e_end : ZSTD_e_continue);
    if (ZSTD_isError(left))
        return ERR_FAILED;
    w->done = end && left == 0;
    *ret_step = (struct pack_step){.used = from.pos, .made = to.pos};
    return w->done ? 1 : 0;
}

/* ---- decompressing --------------------------------------------------------------------------- */

struct zstd_reader {
    ZSTD_DCtx *ctx;
    uint64_t left;       /* bytes that may still come out */
    unsigned magic_seen; /* bytes of the magic number that came */
    int ended;           /* 1 or an error: what every further step returns */
};

struct zstd_reader *zstd_reader_new(uint64_t limit)
{
    struct zstd_reader *r = xcalloc(1, sizeof *r);
    r->left = limit;
    r->ctx = ZSTD_createDCtx();
    if (!r->ctx)
        abort();
    (void)ZSTD_DCtx_setParameter(r->ctx, ZSTD_d_windowLogMax, READER_WINDOW_LOG);
    return r;
}

void zstd_reader_free(struct zstd_reader *r)
{
    if (!r)
        return;
    (void)ZSTD_freeDCtx(r->ctx);
    free(r);
}

/* zstd also takes frames without content ("skippable") and those of its first versions for
 * frames. */
static bool magic_fits(struct zstd_reader *r, const unsigned char *in, size_t in_len)
{
    static const unsigned char magic[] = {0x28, 0xb5, 0x2f, 0xfd};
    for (; r->magic_seen < sizeof magic && in_len > 0; in_len--)
        if (*in++ != magic[r->magic_seen++])
            return false;
    return true;
}

static int error_of(size_t result)
{
    switch (ZSTD_getErrorCode(result)) {
    case ZSTD_error_frameParameter_windowTooLarge:
        return ERR_TOO_BIG;
    case ZSTD_error_memory_allocation:
        return -ENOMEM;
    default:
        return ERR_SYNTAX;
    }
}

static int read_some(struct zstd_reader *r, ZSTD_inBuffer *from, void *out, size_t out_size,
                     size_t *ret_made)
{
    ZSTD_outBuffer to = {.dst = out, .size = out_size};
    size_t result = ZSTD_decompressStream(r->ctx, &to, from);
    if (ZSTD_isError(result))
        return error_of(result);
    if (to.pos > r->left)
        return ERR_TOO_BIG;
    r->left -= to.pos;
    *ret_made = to.pos;
    return result == 0 ? 1 : 0;
}

/* At the limit the end of the frame may still come, but not a byte more out of it. */
static int read_end(struct zstd_reader *r, ZSTD_inBuffer *from)
{
    char past_the_limit;
    size_t made;
    return read_some(r, from, &past_the_limit, 1, &made);
}

int zstd_reader_step(struct zstd_reader *r, const void *in, size_t in_len, void *out,
                     size_t out_size, struct pack_step *ret_step)
{
    ZSTD_inBuffer from = {.src = in, .size = in_len};
    size_t made = 0;
    if (r->ended == 0 && !magic_fits(r, in, in_len))
        r->ended = ERR_SYNTAX;
    if (r->ended == 0 && r->left > 0)
        r->ended = read_some(r, &from, out, out_size < r->left ? out_size : (size_t)r->left, &made);
    if (r->ended == 0 && r->left == 0)
        r->ended = read_end(r, &from);
    if (r->ended < 0)
        return r->ended;
    *ret_step = (struct pack_step){.used = from.pos, .made = made};
    return r->ended;
}
