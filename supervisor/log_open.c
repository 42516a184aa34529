#include "supervisor/log_open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/io.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "supervisor/keep_link.h"
#include "supervisor/logstream.h"

enum { RECORD_BYTES = 16, BLOCK_BYTES = 65536 };

int log_open_at_end(const char *path, int64_t *ret_offset)
{
    struct stat st;
    AUTOCLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    /* A fifo that nobody reads would hold up the app. */
    if (!S_ISREG(st.st_mode))
        return ERR_NO_FILE;
    off_t end = lseek(fd, 0, SEEK_END);
    *ret_offset = end < 0 ? 0 : end;
    return TAKE_FD(fd);
}

int log_open_pipe(unsigned bytes, int *ret_read, int *ret_write)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    /* Our end does not block; the app's must: Node and everybody else expects that of a pipe. */
    (void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
    (void)fcntl(fds[0], F_SETPIPE_SZ,
                (int)bytes); /* unprivileged users have a budget: the default is fine too */
    *ret_read = fds[0];
    *ret_write = fds[1];
    return 0;
}

/* ---- bytes of a log ---------------------------------------------------------------------------- */

int64_t log_line_begin(int fd, int64_t end)
{
    char block[BLOCK_BYTES];
    int64_t least = end > LOGSTREAM_LINE ? end - LOGSTREAM_LINE : 0;
    for (int64_t at = end; at > least;) {
        size_t len = at - least < BLOCK_BYTES ? (size_t)(at - least) : BLOCK_BYTES;
        if (pread(fd, block, len, at - (int64_t)len) != (ssize_t)len)
            return end;
        const char *newline = memrchr(block, '\n', len);
        at -= (int64_t)len;
        if (newline)
            return at + (newline - block) + 1;
    }
    return least == 0 ? 0 : end;
}

int log_copy_range(int from, int64_t at, int64_t end, int to)
{
    char block[BLOCK_BYTES];
    while (at < end) {
        size_t len = end - at < BLOCK_BYTES ? (size_t)(end - at) : BLOCK_BYTES;
        ssize_t n = pread(from, block, len, at);
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        int r = io_write_all(to, block, (size_t)n);
        if (r < 0)
            return r;
        at += n;
    }
    return 0;
}

/* ---- the index ------------------------------------------------------------------------------- */

/* Records are whole, whatever happened before. */
static void align_index(int index)
{
    off_t end = lseek(index, 0, SEEK_END), whole = end - end % RECORD_BYTES;
    if (end != whole && ftruncate(index, whole) == 0)
        (void)lseek(index, whole, SEEK_SET);
}

void log_reset_index(struct logstream *s)
{
    if (ftruncate(s->index, 0) < 0)
        log_debug("%s.idx: cannot be cut", s->path);
    (void)lseek(s->index, 0, SEEK_SET);
    s->indexed_ms = s->began_ms = 0;
}

void log_write_index(struct logstream *s)
{
    int64_t now_ms = loop_wall_ms();
    if (now_ms == s->indexed_ms)
        return;
    s->indexed_ms = now_ms;
    if (s->began_ms == 0)
        s->began_ms = now_ms;
    uint64_t record[2] = {(uint64_t)now_ms, (uint64_t)s->offset};
    ssize_t n = write(s->index, record, sizeof record);
    if (n == (ssize_t)sizeof record)
        return;
    /* A missing record only makes times less exact; half a one would spoil all that follow. */
    if (n > 0)
        align_index(s->index);
    log_debug("%s.idx: a record was not written", s->path);
}

/* ---- adopting -------------------------------------------------------------------------------- */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void close_fds(struct logstream *s)
{
    close_fd(&s->pipe_read);
    close_fd(&s->pipe_write);
    close_fd(&s->file);
    close_fd(&s->index);
    close_fd(&s->look_read);
    close_fd(&s->look_write);
    close_fd(&s->lost);
}

/* All of them or none: they are stored before any process gets one. */
static bool adopt(struct logstream *s)
{
    s->pipe_read = keep_take(s->keep, "%s.r", s->name);
    s->pipe_write = keep_take(s->keep, "%s.w", s->name);
    s->file = keep_take(s->keep, "%s.file", s->name);
    s->index = keep_take(s->keep, "%s.index", s->name);
    s->lost = keep_take(s->keep, "%s.lost", s->name);
    if (s->pipe_read >= 0 && s->pipe_write >= 0 && s->file >= 0 && s->index >= 0) {
        off_t offset = lseek(s->file, 0, SEEK_CUR);
        s->offset = offset > 0 ? offset : 0;
        return true;
    }
    keep_drop(s->keep, "%s.*", s->name);
    close_fds(s);
    return false;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int store(struct logstream *s)
{
    int r = keep_store(s->keep, s->pipe_read, "%s.r", s->name);
    if (r >= 0)
        r = keep_store(s->keep, s->pipe_write, "%s.w", s->name);
    if (r >= 0)
        r = keep_store(s->keep, s->file, "%s.file", s->name);
    if (r >= 0)
        r = keep_store(s->keep, s->index, "%s.index", s->name);
    return r < 0 ? r : 0;
}

static int create(struct logstream *s, unsigned pipe_bytes)
{
    int64_t unused;
    AUTOFREE char *index_path = xasprintf("%s.idx", s->path);
    s->file = log_open_at_end(s->path, &s->offset);
    if (s->file < 0)
        return s->file;
    s->index = log_open_at_end(index_path, &unused);
    if (s->index < 0)
        return s->index;
    int r = log_open_pipe(pipe_bytes, &s->pipe_read, &s->pipe_write);
    return r < 0 ? r : store(s);
}

static void read_begin(struct logstream *s)
{
    uint64_t record[2];
    align_index(s->index);
    if (s->offset > 0 && pread(s->index, record, sizeof record, 0) == (ssize_t)sizeof record)
        s->began_ms = (int64_t)record[0];
    else if (s->offset > 0)
        s->began_ms = loop_wall_ms();
}

int log_open_files(struct logstream *s, unsigned pipe_bytes)
{
    bool adopted = adopt(s);
    int r = adopted ? 0 : create(s, pipe_bytes);
    if (r < 0) {
        keep_drop(s->keep, "%s.*", s->name);
        return r;
    }
    int size = fcntl(s->pipe_read, F_GETPIPE_SZ);
    s->pipe_bytes = size > 0 ? (unsigned)size : 0;
    read_begin(s);
    return adopted;
}

void log_close_files(struct logstream *s)
{
    close_fds(s);
    free(s->path);
    s->path = NULL;
}
