#include "supervisor/logstream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"

enum {
    PAUSE_MS = 5,
    LOOK_BYTES = 65536,
    TURN_BYTES =
        1 << 20,    /* moved per turn of the loop, so that one loud app does not starve the rest */
    WAITS_MAX = 10, /* pauses after which an unfinished line is the app's */
};

static void on_readable(uv_poll_t *poll, int status, int events);
static void on_pause_over(uv_timer_t *timer);
static size_t move_turn(struct logstream *s, bool last);
static void on_handle_closed(uv_handle_t *handle);

/* ---- opening --------------------------------------------------------------------------------- */

static int open_at_end(const char *path, int64_t *ret_offset)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    off_t end = lseek(fd, 0, SEEK_END);
    *ret_offset = end < 0 ? 0 : end;
    return fd;
}

static int open_pipe(unsigned bytes, int *ret_read, int *ret_write)
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

static int open_files(struct logstream *s, unsigned pipe_bytes)
{
    int64_t unused;
    AUTOFREE char *index_path = xasprintf("%s.idx", s->path);
    s->file = open_at_end(s->path, &s->offset);
    if (s->file < 0)
        return s->file;
    s->index = open_at_end(index_path, &unused);
    if (s->index < 0)
        return s->index;
    int r = open_pipe(pipe_bytes, &s->pipe_read, &s->pipe_write);
    int size = r == 0 ? fcntl(s->pipe_read, F_GETPIPE_SZ) : 0;
    s->pipe_bytes = size > 0 ? (unsigned)size : 0;
    return r;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static void close_files(struct logstream *s)
{
    close_fd(&s->pipe_read);
    close_fd(&s->pipe_write);
    close_fd(&s->file);
    close_fd(&s->index);
    close_fd(&s->look_read);
    close_fd(&s->look_write);
    free(s->path);
    s->path = NULL;
}

int logstream_open(struct logstream *s, uv_loop_t *loop, const char *path, unsigned pipe_bytes)
{
    *s = (struct logstream){.pipe_read = -1,
                            .pipe_write = -1,
                            .file = -1,
                            .index = -1,
                            .look_read = -1,
                            .look_write = -1,
                            .path = xstrdup(path)};
    int r = open_files(s, pipe_bytes);
    if (r == 0)
        r = uv_poll_init(loop, &s->poll, s->pipe_read);
    if (r < 0) {
        close_files(s);
        return r;
    }
    (void)uv_timer_init(loop, &s->pause);
    s->poll.data = s->pause.data = s;
    s->open_handles = 2;
    return uv_poll_start(&s->poll, UV_READABLE, on_readable);
}

void logstream_close(struct logstream *s, logstream_closed_cb on_closed, void *arg)
{
    s->on_closed = on_closed;
    s->closed_arg = arg;
    uv_close((uv_handle_t *)&s->poll, on_handle_closed);
    uv_close((uv_handle_t *)&s->pause, on_handle_closed);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct logstream *s = handle->data;
    if (--s->open_handles > 0)
        return;
    close_files(s);
    if (s->on_closed)
        s->on_closed(s->closed_arg);
}

/* ---- moving ---------------------------------------------------------------------------------- */

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct logstream *s = poll->data;
    (void)move_turn(s, false);
    /* What comes in the next milliseconds is moved in one go. */
    (void)uv_poll_stop(&s->poll);
    (void)uv_timer_start(&s->pause, on_pause_over, PAUSE_MS, 0);
}

static void on_pause_over(uv_timer_t *timer)
{
    struct logstream *s = timer->data;
    (void)uv_poll_start(&s->poll, UV_READABLE, on_readable);
}

/* Somebody may have shortened the file from outside (`> file`): go on at its end, not behind a hole. */
static void follow_truncation(struct logstream *s)
{
    struct stat st;
    if (fstat(s->file, &st) == 0 && st.st_size < s->offset)
        s->offset = lseek(s->file, 0, SEEK_END);
}

static void write_index(struct logstream *s)
{
    int64_t now_ms = loop_wall_ms();
    if (now_ms == s->indexed_ms)
        return;
    s->indexed_ms = now_ms;
    uint64_t record[2] = {(uint64_t)now_ms, (uint64_t)s->offset};
    ssize_t n = write(s->index, record, sizeof record);
    /* A torn index only makes times less exact; readers check each record. */
    if (n != (ssize_t)sizeof record)
        log_debug("%s.idx: a record was not written", s->path);
}

/* Says in the file itself what is missing from it, once it can be written again. */
static void report_dropped(struct logstream *s)
{
    char text[96];
    int len =
        snprintf(text, sizeof text, "[proctor: %lld bytes of output could not be written here]\n",
                 (long long)s->dropped);
    ssize_t n = write(s->file, text, (size_t)len);
    /* No room for all of it: no half sentence stays. */
    if (n > 0 && n != len && ftruncate(s->file, s->offset) == 0)
        (void)lseek(s->file, s->offset, SEEK_SET);
    if (n != len)
        return;
    s->offset += len;
    s->dropped = 0;
}

/* Throws away what cannot be written, so that the app does not hang for ever on a full disk. */
static ssize_t discard(struct logstream *s, size_t len)
{
    char space[16384];
    return read(s->pipe_read, space, len < sizeof space ? len : sizeof space);
}

/* Moves up to `len` bytes into the file; 0 when the pipe is empty. */
static size_t move_kept(struct logstream *s, size_t len)
{
    if (s->dropped > 0)
        report_dropped(s);
    ssize_t n =
        s->dropped > 0 ? -1 : splice(s->pipe_read, NULL, s->file, NULL, len, SPLICE_F_NONBLOCK);
    if (n > 0) {
        s->offset += n;
        return (size_t)n;
    }
    if (n == 0 || (s->dropped == 0 && (errno == EAGAIN || errno == EINTR)))
        return 0;
    int error = errno;
    n = discard(s, len);
    if (n <= 0)
        return 0;
    if (s->dropped == 0)
        log_err(-error, "%s: output of the app is dropped", s->path);
    s->dropped += n;
    return (size_t)n;
}

static size_t move_cut(struct logstream *s, size_t len)
{
    ssize_t n = discard(s, len);
    return n > 0 ? (size_t)n : 0;
}

/* Copies what is in the pipe without taking it; how much there is. */
static ssize_t look(struct logstream *s, char *space, size_t size)
{
    ssize_t n = tee(s->pipe_read, s->look_write, size, SPLICE_F_NONBLOCK);
    ssize_t got = 0;
    while (got < n) {
        ssize_t piece = read(s->look_read, space + got, (size_t)(n - got));
        if (piece <= 0)
            break;
        got += piece;
    }
    return got;
}

/* Moves the first `len` bytes, all of which are in the pipe. */
static void move_exactly(struct logstream *s, size_t len, bool keep)
{
    while (len > 0) {
        size_t n = keep ? move_kept(s, len) : move_cut(s, len);
        if (n == 0)
            return;
        len -= n;
    }
}

static size_t move_watched(struct logstream *s, bool last)
{
    char space[LOOK_BYTES];
    ssize_t n = look(s, space, sizeof space);
    size_t done = 0;
    s->looks++;
    /* When the look ends because its space does, the last line is not unfinished but cut. */
    bool urgent = last || s->waits >= WAITS_MAX;
    bool at_end = last || (urgent && (size_t)n < sizeof space);
    while (done < (size_t)n) {
        size_t len;
        enum stderr_verdict verdict =
            stderr_lines_next(&s->lines, space + done, (size_t)n - done, at_end, urgent, &len);
        if (verdict == STDERR_WAIT) {
            s->waits++;
            return done;
        }
        s->waits = 0;
        move_exactly(s, len, verdict == STDERR_KEEP);
        done += len;
    }
    return done;
}

static size_t move_turn(struct logstream *s, bool last)
{
    size_t moved = 0;
    follow_truncation(s);
    write_index(s);
    while (moved < TURN_BYTES) {
        size_t n = s->watching ? move_watched(s, last) : move_kept(s, TURN_BYTES - moved);
        if (n == 0)
            break;
        moved += n;
    }
    return moved;
}

void logstream_drain(struct logstream *s)
{
    /* A descendant that goes on writing must not keep us here: what the dead process wrote fits in one pipe. */
    for (int turn = 0; turn < 4 && move_turn(s, true) > 0; turn++)
        continue;
}

int logstream_watch(struct logstream *s, bool on)
{
    if (on == s->watching)
        return 0;
    if (on && s->look_read < 0) {
        int size = fcntl(s->pipe_read, F_GETPIPE_SZ);
        int r = open_pipe(size > 0 ? (unsigned)size : LOOK_BYTES, &s->look_read, &s->look_write);
        if (r < 0)
            return r;
        (void)fcntl(s->look_write, F_SETFL, O_NONBLOCK);
    }
    s->watching = on;
    s->waits = 0;
    /* What was seen before this says nothing about what comes now. */
    s->lines.mid_line = false;
    s->lines.help_due = 0;
    return 0;
}

void logstream_tail(const struct logstream *s, int64_t from, struct buf *out)
{
    char space[LIMIT_STDERR_TAIL];
    int64_t start = s->offset - (int64_t)sizeof space;
    /* Shortened from outside since: nobody knows any more where it was. */
    if (from > s->offset)
        from = 0;
    if (start < from)
        start = from;
    ssize_t n = pread(s->file, space, (size_t)(s->offset - start), start);
    if (n <= 0)
        return;
    const char *text = space;
    const char *newline = start > from ? memchr(space, '\n', (size_t)n) : NULL;
    if (newline)
        text = newline + 1;
    (void)buf_add(out, text, (size_t)(space + n - text));
}
