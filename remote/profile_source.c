#include "remote/profile_source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/pack/zstd.h"
#include "lib/secure/hash.h"
#include "remote/store/profiles.h"

enum { PIECE = 64 << 10 };

struct profile_source {
    struct http_source base; /* first: the source is one */
    int fd;
    uint64_t offset; /* in the file, of what comes next */
    uint64_t left;   /* stored bytes that were not read yet */
    uint64_t bytes;  /* that must come out in all */
    uint64_t made;
    uint8_t sha256[SHA256_BYTES];
    struct sha256_stream *hash;
    struct zstd_reader *zstd;
    bool whole;     /* the frame's end was seen */
    size_t at, len; /* of `in`, not used yet */
    uint8_t in[PIECE];
};

static int read_more(struct profile_source *s)
{
    size_t want = s->left < PIECE ? (size_t)s->left : PIECE;
    ssize_t n;
    do
        n = pread(s->fd, s->in, want, (off_t)s->offset);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if (n == 0)
        return ERR_MISMATCH;
    s->offset += (uint64_t)n;
    s->left -= (uint64_t)n;
    s->at = 0;
    s->len = (size_t)n;
    return 0;
}

/* One step of zstd; reads more of the file when it has used what there was. */
static int step(struct profile_source *s, void *out, size_t size, size_t *ret_made)
{
    struct pack_step one = {0};
    if (s->at == s->len && s->left > 0) {
        int r = read_more(s);
        if (r < 0)
            return r;
    }
    size_t before = s->len - s->at;
    int r = zstd_reader_step(s->zstd, s->in + s->at, before, out, size, &one);
    if (r < 0)
        return r;
    s->at += one.used;
    s->whole = r == 1;
    *ret_made = one.made;
    bool stuck = one.made == 0 && one.used == 0 && s->left == 0;
    return !s->whole && stuck ? ERR_MISMATCH : 0;
}

/* With the last byte the sum must fit. */
static int check(struct profile_source *s, const void *out, size_t len)
{
    uint8_t sum[SHA256_BYTES];
    sha256_add(s->hash, out, len);
    s->made += len;
    if (s->made > s->bytes || (s->whole && s->made < s->bytes))
        return ERR_MISMATCH;
    if (s->made < s->bytes || !s->hash)
        return 0;
    sha256_end(s->hash, sum);
    s->hash = NULL;
    return memcmp(sum, s->sha256, sizeof sum) == 0 ? 0 : ERR_MISMATCH;
}

static int source_read(struct http_source *base, void *out, size_t size)
{
    struct profile_source *s = (struct profile_source *)base;
    size_t made = 0;
    if (s->made == s->bytes)
        return 0;
    while (made == 0 && !s->whole) {
        int r = step(s, out, size, &made);
        if (r < 0)
            return r;
    }
    int r = check(s, out, made);
    return r < 0 ? r : (int)made;
}

static void source_close(struct http_source *base)
{
    struct profile_source *s = (struct profile_source *)base;
    (void)close(s->fd);
    sha256_free(s->hash);
    zstd_reader_free(s->zstd);
    free(s);
}

struct http_source *profile_source_new(const struct profile_row *row, int fd)
{
    struct profile_source *s = xcalloc(1, sizeof *s);
    s->base = (struct http_source){.read = source_read, .close = source_close};
    s->fd = fd;
    s->offset = row->offset;
    s->left = row->sums.stored_bytes;
    s->bytes = row->sums.bytes;
    memcpy(s->sha256, row->sums.sha256, sizeof s->sha256);
    s->hash = sha256_new();
    s->zstd = zstd_reader_new(row->sums.bytes);
    return &s->base;
}
