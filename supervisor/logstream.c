#include "supervisor/logstream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "supervisor/keep_link.h"
#include "supervisor/log_drop.h"
#include "supervisor/log_open.h"
#include "supervisor/log_rotate.h"

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

int logstream_open(struct logstream *s, uv_loop_t *loop, const char *path, unsigned pipe_bytes,
                   struct keep_link *keep, const char *name, struct slot_stream *kept)
{
    *s = (struct logstream){.pipe_read = -1,
                            .pipe_write = -1,
                            .file = -1,
                            .index = -1,
                            .look_read = -1,
                            .look_write = -1,
                            .lost = -1,
                            .path = xstrdup(path),
                            .keep = keep,
                            .kept = kept};
    (void)snprintf(s->name, sizeof s->name, "%s", name);
    int r = log_open_files(s, pipe_bytes);
    bool adopted = r > 0;
    if (r >= 0)
        r = uv_poll_init(loop, &s->poll, s->pipe_read);
    if (r < 0) {
        log_close_files(s);
        return r;
    }
    (void)uv_timer_init(loop, &s->pause);
    s->poll.data = s->pause.data = s;
    s->open_handles = 2;
    log_drop_mend(s);
    log_rotate_adopt(s, adopted);
    log_drop_adopt(s, adopted);
    return uv_poll_start(&s->poll, UV_READABLE, on_readable);
}

void logstream_rotate_by(struct logstream *s, const struct log_limits *limits,
                         logstream_archived_cb on_archived, void *arg)
{
    s->limits = *limits;
    s->on_archived = on_archived;
    s->archived_arg = arg;
}

void logstream_close(struct logstream *s, logstream_closed_cb on_closed, void *arg)
{
    s->on_closed = on_closed;
    s->closed_arg = arg;
    keep_drop(s->keep, "%s.*", s->name);
    log_drop_line_over(s);
    if (!log_drop_end(s, true))
        log_warn(0, "%s: %lld lines of output were dropped, and that cannot be written there",
                 s->path, (long long)log_drop_state(s->kept).lines);
    *s->kept = (struct slot_stream){0};
    uv_close((uv_handle_t *)&s->poll, on_handle_closed);
    uv_close((uv_handle_t *)&s->pause, on_handle_closed);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct logstream *s = handle->data;
    if (--s->open_handles > 0)
        return;
    log_close_files(s);
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

/* Somebody may have shortened the file from outside (`> file`, copytruncate): go on at its end, not behind a hole. */
static void follow_truncation(struct logstream *s)
{
    struct stat st;
    if (fstat(s->file, &st) < 0 || st.st_size >= s->offset)
        return;
    s->offset = lseek(s->file, 0, SEEK_END);
    log_reset_index(s);
    log_drop_moved(s);
}

/* Moves up to `len` bytes into the file; 0 when the pipe is empty. */
static size_t move_kept(struct logstream *s, size_t len)
{
    if (!log_drop_end(s, false))
        return log_drop_move(s, len);
    ssize_t n = splice(s->pipe_read, NULL, s->file, NULL, len, SPLICE_F_NONBLOCK);
    if (n > 0) {
        s->offset += n;
        return (size_t)n;
    }
    if (n == 0 || errno == EAGAIN || errno == EINTR)
        return 0;
    /* The app must not hang for ever on a full disk. */
    log_drop_begin(s, errno);
    return log_drop_move(s, len);
}

/* Takes what nobody wants. */
static size_t move_cut(struct logstream *s, size_t len)
{
    char space[16384];
    ssize_t n = read(s->pipe_read, space, len < sizeof space ? len : sizeof space);
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
    log_write_index(s);
    while (moved < TURN_BYTES) {
        size_t n = s->watching ? move_watched(s, last) : move_kept(s, TURN_BYTES - moved);
        if (n == 0)
            break;
        moved += n;
    }
    log_rotate_if_due(s);
    return moved;
}

void logstream_drain(struct logstream *s)
{
    /* A descendant that goes on writing must not keep us here: what the dead process wrote fits in one pipe. */
    for (int turn = 0; turn < 4 && move_turn(s, true) > 0; turn++)
        continue;
    log_drop_line_over(s);
    (void)log_drop_end(s, true);
}

void logstream_tick(struct logstream *s)
{
    follow_truncation(s);
    (void)log_drop_end(s, false);
    log_rotate_if_due(s);
}

int logstream_reopen(struct logstream *s)
{
    return log_rotate_reopen(s);
}

int64_t logstream_dropped_lines(const struct logstream *s)
{
    return log_drop_state(s->kept).total_lines;
}

int logstream_watch(struct logstream *s, bool on)
{
    if (on == s->watching)
        return 0;
    if (on && s->look_read < 0) {
        int size = fcntl(s->pipe_read, F_GETPIPE_SZ);
        int r =
            log_open_pipe(size > 0 ? (unsigned)size : LOOK_BYTES, &s->look_read, &s->look_write);
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
