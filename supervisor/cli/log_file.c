#include "supervisor/cli/log_file.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/mem.h"

enum { BLOCK_BYTES = 65536 };

struct index_record {
    uint64_t time_ms;
    uint64_t offset;
};

/* ---- opening --------------------------------------------------------------------------------- */

static void open_index(struct log_file *f)
{
    AUTOFREE char *path = xasprintf("%s.idx", f->path);
    f->index_fd = open(path, O_RDONLY | O_CLOEXEC);
    f->index_pos = f->next_offset = 0;
    f->time_ms = 0;
}

/* O_NONBLOCK: the name may mean a FIFO, on which open() would wait. */
static int open_files(struct log_file *f)
{
    f->fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (f->fd < 0)
        return -errno;
    f->offset = 0;
    f->taken = 0;
    buf_reset(&f->in);
    open_index(f);
    return 0;
}

static void close_files(struct log_file *f)
{
    if (f->fd >= 0)
        (void)close(f->fd);
    if (f->index_fd >= 0)
        (void)close(f->index_fd);
    f->fd = f->index_fd = -1;
}

void log_file_init(struct log_file *f, const char *path, int fd, int index_fd)
{
    *f = (struct log_file){.path = xstrdup(path), .fd = fd, .index_fd = index_fd};
    buf_init(&f->in, LOG_LINE_BYTES + 2 * BLOCK_BYTES);
}

int log_file_open(struct log_file *f, const char *path)
{
    log_file_init(f, path, -1, -1);
    int r = open_files(f);
    if (r < 0)
        log_file_close(f);
    return r;
}

void log_file_close(struct log_file *f)
{
    close_files(f);
    buf_clear(&f->in);
    free(f->path);
    f->path = NULL;
}

/* ---- the index ------------------------------------------------------------------------------- */

static bool read_record(const struct log_file *f, uint64_t pos, struct index_record *ret_record)
{
    struct index_record raw;
    if (pread(f->index_fd, &raw, sizeof raw, (off_t)pos) != (ssize_t)sizeof raw)
        return false;
    *ret_record = (struct index_record){le64toh(raw.time_ms), le64toh(raw.offset)};
    return true;
}

/* Goes to the last record at or before `offset` by halving, so that the tail of a big file costs
 * some reads. */
static void seek_index(struct log_file *f, uint64_t offset)
{
    struct stat st;
    if (f->index_fd < 0 || fstat(f->index_fd, &st) < 0)
        return;
    uint64_t low = 0, high = (uint64_t)st.st_size / sizeof(struct index_record);
    struct index_record record;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (read_record(f, middle * sizeof record, &record) && record.offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    f->index_pos = low * sizeof record;
    f->next_offset = 0;
    f->time_ms = low > 0 && read_record(f, f->index_pos - sizeof record, &record)
                     ? (int64_t)record.time_ms
                     : 0;
}

/* Reads the record that comes next, unless that was done. */
static bool peek_record(struct log_file *f)
{
    struct index_record record;
    if (f->next_offset > 0)
        return true;
    if (f->index_fd < 0 || !read_record(f, f->index_pos, &record))
        return false;
    f->next_offset = record.offset;
    f->next_time_ms = (int64_t)record.time_ms;
    return true;
}

/* The time at `f->offset`: walks on, as lines are read in order. */
static int64_t time_here(struct log_file *f)
{
    while (peek_record(f) && f->next_offset <= f->offset) {
        f->time_ms = f->next_time_ms;
        f->index_pos += sizeof(struct index_record);
        f->next_offset = 0;
    }
    return f->time_ms;
}

/* ---- the tail -------------------------------------------------------------------------------- */

/* Counts newlines backwards in the block that ends at `end`; returns the position behind the one
 * that is one too many, or -1. */
static int64_t scan_block(const char *block, size_t len, uint64_t begin, size_t lines,
                          size_t *count)
{
    while (len > 0) {
        const char *newline = memrchr(block, '\n', len);
        if (!newline)
            return -1;
        len = (size_t)(newline - block);
        if (*count == lines)
            return (int64_t)(begin + len + 1);
        (*count)++;
    }
    return -1;
}

int64_t log_file_seek_tail(struct log_file *f, size_t lines)
{
    struct stat st;
    char block[BLOCK_BYTES];
    if (fstat(f->fd, &st) < 0)
        return -errno;
    uint64_t end = (uint64_t)st.st_size;
    int64_t start = lines == 0 ? (int64_t)end : -1;
    size_t count = 0;
    char last = '\n';
    if (end > 0 && pread(f->fd, &last, 1, (off_t)end - 1) < 0)
        return -errno;
    /* Lines are counted by the newlines that end them; an unfinished one has none. */
    if (last != '\n' && lines > 0)
        count++;
    for (uint64_t left = end; start < 0 && left > 0;) {
        size_t len = left < sizeof block ? (size_t)left : sizeof block;
        ssize_t n = pread(f->fd, block, len, (off_t)(left - len));
        if (n != (ssize_t)len)
            return n < 0 ? -errno : -ESPIPE;
        start = scan_block(block, len, left - len, lines, &count);
        left -= len;
    }
    f->offset = start < 0 ? 0 : (uint64_t)start;
    f->taken = 0;
    buf_reset(&f->in);
    seek_index(f, f->offset);
    return (int64_t)count;
}

void log_file_seek_time(struct log_file *f, int64_t since_ms)
{
    struct stat st;
    struct index_record record;
    uint64_t low = 0, offset = 0;
    uint64_t high =
        f->index_fd >= 0 && fstat(f->index_fd, &st) == 0 ? (uint64_t)st.st_size / sizeof record : 0;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (read_record(f, middle * sizeof record, &record) && (int64_t)record.time_ms < since_ms) {
            low = middle + 1;
            offset = record.offset;
        } else {
            high = middle;
        }
    }
    f->offset = offset;
    f->taken = 0;
    buf_reset(&f->in);
    seek_index(f, offset);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static int read_more(struct log_file *f)
{
    char *space;
    int r = buf_reserve(&f->in, BLOCK_BYTES, &space);
    if (r < 0)
        return r;
    ssize_t n = pread(f->fd, space, BLOCK_BYTES, (off_t)(f->offset + f->in.len));
    if (n < 0)
        return errno == EINTR ? 1 : -errno;
    buf_added(&f->in, (size_t)n);
    return n > 0;
}

/* Drops the line that was handed out before. */
static void drop_taken(struct log_file *f)
{
    buf_consume(&f->in, f->taken);
    f->offset += f->taken;
    f->taken = 0;
}

static int take_line(struct log_file *f, size_t len, size_t newline, struct log_line *ret_line)
{
    *ret_line = (struct log_line){f->in.data, len, time_here(f)};
    f->taken = len + newline;
    return 1;
}

int log_file_next(struct log_file *f, bool rest, struct log_line *ret_line)
{
    drop_taken(f);
    size_t looked = 0;
    for (;;) {
        const char *newline =
            f->in.len > looked ? memchr(f->in.data + looked, '\n', f->in.len - looked) : NULL;
        if (newline)
            return take_line(f, (size_t)(newline - f->in.data), 1, ret_line);
        if (f->in.len >= LOG_LINE_BYTES)
            return take_line(f, f->in.len, 0, ret_line);
        looked = f->in.len;
        int r = read_more(f);
        if (r < 0)
            return r;
        if (r == 0)
            break;
    }
    return rest && f->in.len > 0 ? take_line(f, f->in.len, 0, ret_line) : 0;
}

/* ---- truncation and rotation ----------------------------------------------------------------- */

static int reopen(struct log_file *f)
{
    close_files(f);
    int r = open_files(f);
    return r < 0 ? r : 1;
}

static bool is_named(int fd, const char *path)
{
    struct stat named, held;
    return fstat(fd, &held) == 0 && stat(path, &named) == 0 && named.st_dev == held.st_dev &&
           named.st_ino == held.st_ino;
}

/* A new index gets its name a moment after its log. */
static void follow_index(struct log_file *f)
{
    AUTOFREE char *path = xasprintf("%s.idx", f->path);
    if (f->index_fd >= 0 && (is_named(f->index_fd, path) || !is_named(f->fd, f->path)))
        return;
    if (f->index_fd >= 0)
        (void)close(f->index_fd);
    open_index(f);
    seek_index(f, f->offset);
}

int log_file_check(struct log_file *f)
{
    struct stat held;
    drop_taken(f);
    follow_index(f);
    if (fstat(f->fd, &held) < 0)
        return -errno;
    if ((uint64_t)held.st_size < f->offset)
        return reopen(f);
    return (uint64_t)held.st_size > f->offset + f->in.len;
}

bool log_file_exchanged(const struct log_file *f)
{
    struct stat named, held;
    if (fstat(f->fd, &held) < 0 || stat(f->path, &named) < 0)
        return false;
    return (named.st_dev != held.st_dev || named.st_ino != held.st_ino) && named.st_size > 0;
}
