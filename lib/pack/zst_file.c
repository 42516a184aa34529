#include "lib/pack/zst_file.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/io.h"
#include "lib/base/mem.h"
#include "lib/pack/zstd.h"

enum { BLOCK_BYTES = 65536, SKIPPABLE = 0x184d2a50 };

/* A skippable frame: magic number, length of what follows, and that. */
struct footer {
    uint32_t magic;
    uint32_t len;
    uint64_t last_frame;
};

/* One frame's worth of bytes, or fewer at the end; -errno. */
static ssize_t read_block(int fd, char *block, size_t size)
{
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(fd, block + len, size - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

/* ---- packing --------------------------------------------------------------------------------- */

static int pack_frame(const char *text, size_t len, int to, uint64_t *written)
{
    char out[BLOCK_BYTES];
    struct zstd_writer *w = zstd_writer_new(ZSTD_LEVEL_DEFAULT);
    struct pack_step step;
    int r = 0;
    while (r == 0) {
        r = zstd_writer_step(w, text, len, true, out, sizeof out, &step);
        int written_all = r < 0 ? r : io_write_all(to, out, step.made);
        if (written_all < 0)
            r = written_all;
        text += step.used;
        len -= step.used;
        *written += step.made;
    }
    zstd_writer_free(w);
    return r < 0 ? r : 0;
}

int zst_file_pack(int from, int to, const volatile bool *stop)
{
    AUTOFREE char *text = xcalloc(1, ZST_FRAME);
    uint64_t written = 0, last_frame = 0;
    for (;;) {
        ssize_t n = read_block(from, text, ZST_FRAME);
        if (n <= 0 && (n < 0 || written > 0)) {
            if (n < 0)
                return (int)n;
            break;
        }
        last_frame = written;
        int r = stop && *stop ? ERR_CANCELLED : pack_frame(text, (size_t)n, to, &written);
        if (r < 0)
            return r;
    }
    struct footer footer = {htole32(SKIPPABLE), htole32(8), htole64(last_frame)};
    return io_write_all(to, &footer, sizeof footer);
}

/* ---- unpacking ------------------------------------------------------------------------------- */

/* Where the frames end; ERR_SYNTAX (with the file's end) when it is not one of ours. */
static int read_footer(int fd, struct footer *ret_footer, off_t *ret_end)
{
    struct stat st;
    struct footer f = {0};
    if (fstat(fd, &st) < 0)
        return -errno;
    off_t end = st.st_size - (off_t)sizeof f;
    *ret_end = st.st_size;
    if (end <= 0 || pread(fd, &f, sizeof f, end) != (ssize_t)sizeof f)
        return ERR_SYNTAX;
    if (le32toh(f.magic) != SKIPPABLE || le32toh(f.len) != 8)
        return ERR_SYNTAX;
    *ret_end = end;
    *ret_footer = f;
    return 0;
}

/* Goes on from frame to frame. */
struct unpack {
    struct zstd_reader *reader;
    uint64_t left; /* of the limit */
    char in[BLOCK_BYTES];
    char out[BLOCK_BYTES];
};

static int unpack_block(struct unpack *u, const char *in, size_t len, int to)
{
    struct pack_step step = {0};
    int r = 0;
    do {
        if (!u->reader)
            u->reader = zstd_reader_new(u->left);
        r = zstd_reader_step(u->reader, in, len, u->out, sizeof u->out, &step);
        if (r == 0 && len > 0 && step.used == 0 && step.made == 0)
            r = ERR_SYNTAX;
        if (r < 0)
            return r;
        in += step.used;
        len -= step.used;
        u->left -= step.made;
        int written = io_write_all(to, u->out, step.made);
        if (written < 0)
            return written;
        if (r == 1) {
            zstd_reader_free(u->reader);
            u->reader = NULL;
        }
    } while (len > 0 || (r == 0 && step.made == sizeof u->out));
    return 0;
}

int zst_file_unpack(int from, int to, uint64_t limit)
{
    struct footer footer;
    off_t end, at = lseek(from, 0, SEEK_CUR);
    int r = read_footer(from, &footer, &end);
    AUTOFREE struct unpack *u = xcalloc(1, sizeof *u);
    u->left = limit;
    if (r == ERR_SYNTAX) /* packed by somebody else: frames up to the end */
        r = 0;
    while (r == 0 && at < end) {
        size_t most = end - at < BLOCK_BYTES ? (size_t)(end - at) : BLOCK_BYTES;
        ssize_t n = read_block(from, u->in, most);
        if (n <= 0)
            r = n < 0 ? (int)n : ERR_SYNTAX;
        else
            r = unpack_block(u, u->in, (size_t)n, to);
        at += n;
    }
    /* The file ends within a frame. */
    if (r == 0 && u->reader)
        r = ERR_SYNTAX;
    zstd_reader_free(u->reader);
    return r;
}

/* ---- the end --------------------------------------------------------------------------------- */

static int unpack_last(int fd, off_t at, off_t end, struct buf *out)
{
    AUTOFREE char *in = malloc((size_t)(end - at) + 1);
    char *space;
    if (!in)
        return -ENOMEM;
    if (pread(fd, in, (size_t)(end - at), at) != end - at)
        return -EIO;
    int r = buf_reserve(out, ZST_FRAME + 1, &space);
    if (r < 0)
        return r;
    struct zstd_reader *reader = zstd_reader_new(ZST_FRAME);
    const char *next = in;
    size_t len = (size_t)(end - at), made = 0;
    struct pack_step step = {0};
    do {
        r = zstd_reader_step(reader, next, len, space + made, ZST_FRAME + 1 - made, &step);
        next += step.used;
        len -= step.used;
        made += step.made;
    } while (r == 0 && (step.used > 0 || step.made > 0));
    zstd_reader_free(reader);
    if (r < 0)
        return r;
    /* More behind it: then it is not the last. */
    if (r == 0 || len > 0)
        return ERR_SYNTAX;
    buf_added(out, made);
    return 0;
}

int zst_file_tail(int from, struct buf *out, bool *ret_whole)
{
    struct footer footer;
    off_t end;
    int r = read_footer(from, &footer, &end);
    if (r < 0)
        return r;
    uint64_t at = le64toh(footer.last_frame);
    /* What does not shrink grows by some bytes per frame. */
    if (at >= (uint64_t)end || (uint64_t)end - at > 2 * ZST_FRAME)
        return ERR_SYNTAX;
    *ret_whole = at == 0;
    return unpack_last(from, (off_t)at, end, out);
}
