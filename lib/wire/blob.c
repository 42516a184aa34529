#include "lib/wire/blob.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/io.h"
#include "lib/base/mem.h"
#include "lib/pack/zstd.h"

enum { BUFFER = 64 << 10 };

/* ---- a pass over a file ---------------------------------------------------------------------- */

/* Reads from one descriptor, packs or unpacks, writes to the other, and sums on both sides. */
struct pass {
    int in_fd;
    uint64_t in_offset;
    int out_fd;              /* -1: nowhere */
    const atomic_bool *stop; /* set by another thread; NULL: never */
    uint64_t in_bytes, out_bytes;
    struct sha256_stream *in_sum, *out_sum;
    uint8_t in[BUFFER];
    uint8_t out[BUFFER];
};

static struct pass *pass_new(int in_fd, uint64_t in_offset, int out_fd)
{
    struct pass *p = xcalloc(1, sizeof *p);
    p->in_fd = in_fd;
    p->in_offset = in_offset;
    p->out_fd = out_fd;
    p->in_sum = sha256_new();
    p->out_sum = sha256_new();
    return p;
}

static void pass_free(struct pass *p)
{
    sha256_free(p->in_sum);
    sha256_free(p->out_sum);
    free(p);
}

/* Fills `in` with at most `want` bytes.  Returns their number, 0 at the end of the file, or
 * -errno. */
static int pass_read(struct pass *p, uint64_t want)
{
    ssize_t n;
    if (p->in_offset > INT64_MAX - BUFFER)
        return -EINVAL;
    do {
        n = pread(p->in_fd, p->in, want < BUFFER ? (size_t)want : BUFFER, (off_t)p->in_offset);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    p->in_offset += (uint64_t)n;
    p->in_bytes += (uint64_t)n;
    sha256_add(p->in_sum, p->in, (size_t)n);
    return (int)n;
}

static int pass_write(struct pass *p, size_t len)
{
    p->out_bytes += len;
    sha256_add(p->out_sum, p->out, len);
    return p->out_fd < 0 ? 0 : io_write_all(p->out_fd, p->out, len);
}

/* ---- compressing ----------------------------------------------------------------------------- */

/* Packs `len` bytes of `in`; with none, ends the frame. */
static int pack(struct pass *p, struct zstd_writer *w, size_t len)
{
    size_t used = 0;
    bool end = len == 0;
    for (;;) {
        struct pack_step step;
        int done = zstd_writer_step(w, p->in + used, len - used, end, p->out, sizeof p->out, &step);
        if (done < 0)
            return done;
        used += step.used;
        int r = pass_write(p, step.made);
        if (r < 0)
            return r;
        if (end ? done == 1 : used == len)
            return 0;
    }
}

static int pack_all(struct pass *p, struct zstd_writer *w)
{
    for (;;) {
        int n = pass_read(p, BUFFER);
        if (n < 0)
            return n;
        int r = pack(p, w, (size_t)n);
        if (r < 0 || n == 0)
            return r;
    }
}

int blob_compress(int in_fd, int out_fd, struct blob_sums *ret_sums)
{
    struct pass *p = pass_new(in_fd, 0, out_fd);
    struct zstd_writer *w = zstd_writer_new(ZSTD_LEVEL_DEFAULT);
    int r = pack_all(p, w);
    if (r == 0) {
        ret_sums->bytes = p->in_bytes;
        ret_sums->stored_bytes = p->out_bytes;
        sha256_end(TAKE(p->in_sum), ret_sums->sha256);
        sha256_end(TAKE(p->out_sum), ret_sums->stored_sha256);
    }
    zstd_writer_free(w);
    pass_free(p);
    return r;
}

/* ---- expanding ------------------------------------------------------------------------------- */

/* Unpacks `len` bytes of `in`.  Returns 1 when the frame ended with the last of them, 0 when it
 * goes on. */
static int unpack(struct pass *p, struct zstd_reader *z, size_t len)
{
    size_t used = 0;
    for (;;) {
        /* A small frame may expand to much, so here and not for each read. */
        if (p->stop && atomic_load(p->stop))
            return ERR_STOPPING;
        struct pack_step step;
        int done = zstd_reader_step(z, p->in + used, len - used, p->out, sizeof p->out, &step);
        if (done < 0)
            return done;
        used += step.used;
        int r = pass_write(p, step.made);
        if (r < 0)
            return r;
        if (done == 1)
            return used == len ? 1 : ERR_SYNTAX;
        if (used == len && step.made < sizeof p->out)
            return 0;
    }
}

/* Neither less than one frame nor more. */
static int unpack_all(struct pass *p, struct zstd_reader *z, uint64_t len)
{
    int done = 0;
    while (p->in_bytes < len) {
        int n = pass_read(p, len - p->in_bytes);
        if (n < 0)
            return n;
        if (n == 0 || done == 1)
            return ERR_SYNTAX;
        done = unpack(p, z, (size_t)n);
        if (done < 0)
            return done;
    }
    return done == 1 ? 0 : ERR_SYNTAX;
}

/* Frees the pass. */
static int expand(struct pass *p, uint64_t len, uint64_t limit, struct blob_sums *ret_sums)
{
    struct zstd_reader *z = zstd_reader_new(limit);
    int r = unpack_all(p, z, len);
    if (r == 0) {
        ret_sums->bytes = p->out_bytes;
        ret_sums->stored_bytes = p->in_bytes;
        sha256_end(TAKE(p->out_sum), ret_sums->sha256);
        sha256_end(TAKE(p->in_sum), ret_sums->stored_sha256);
    }
    zstd_reader_free(z);
    pass_free(p);
    return r;
}

int blob_expand(int in_fd, uint64_t offset, uint64_t len, int out_fd, uint64_t limit,
                struct blob_sums *ret_sums)
{
    return expand(pass_new(in_fd, offset, out_fd), len, limit, ret_sums);
}

int blob_check(int in_fd, uint64_t len, uint64_t limit, const atomic_bool *stop,
               struct blob_sums *ret_sums)
{
    struct pass *p = pass_new(in_fd, 0, -1);
    p->stop = stop;
    return expand(p, len, limit, ret_sums);
}

/* ---- chunks ---------------------------------------------------------------------------------- */

static const uint64_t offset_limit = 1ull << 62;

void blob_header_put(uint8_t ret_header[static BLOB_HEADER], uint32_t blob, uint64_t offset)
{
    for (int i = 0; i < 4; i++)
        ret_header[i] = (uint8_t)(blob >> (24 - 8 * i));
    for (int i = 0; i < 8; i++)
        ret_header[4 + i] = (uint8_t)(offset >> (56 - 8 * i));
}

int blob_chunk_parse(const void *frame, size_t len, struct blob_chunk *ret_chunk)
{
    const uint8_t *bytes = frame;
    struct blob_chunk chunk = {.blob = 0};
    if (len <= BLOB_HEADER || len > BLOB_HEADER + BLOB_CHUNK)
        return ERR_PROTOCOL;
    for (int i = 0; i < 4; i++)
        chunk.blob = chunk.blob << 8 | bytes[i];
    for (int i = 4; i < BLOB_HEADER; i++)
        chunk.offset = chunk.offset << 8 | bytes[i];
    if (chunk.offset > offset_limit)
        return ERR_PROTOCOL;
    chunk.data = bytes + BLOB_HEADER;
    chunk.len = len - BLOB_HEADER;
    *ret_chunk = chunk;
    return 0;
}
