#include "supervisor/log_drop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/log.h"
#include "supervisor/keep_link.h"
#include "supervisor/log_open.h"
#include "supervisor/log_rotate.h"
#include "supervisor/logstream.h"

enum {
    BLOCK_BYTES = 65536,
    TRY_MS = 100,
    ERRNO_END = 4096,
};

/* More than a disk or the years of a clock in ms hold. */
static const int64_t count_max = 1LL << 50;

/* ---- the record ------------------------------------------------------------------------------ */

struct slot_lost log_drop_state(const struct slot_stream *kept)
{
    return kept->lost[kept->flags & STREAM_LOST_SIDE];
}

/* Whole or not at all: the other side is filled, then it counts. */
static void commit(struct slot_stream *kept, const struct slot_lost *lost)
{
    uint32_t other = kept->flags ^ STREAM_LOST_SIDE;
    kept->lost[other & STREAM_LOST_SIDE] = *lost;
    __atomic_store_n(&kept->flags, other, __ATOMIC_RELEASE);
}

static bool is_count(int64_t n)
{
    return n >= 0 && n <= count_max;
}

static bool is_plausible(const struct slot_lost *l)
{
    return is_count(l->bytes) && is_count(l->lines) && is_count(l->counted) && is_count(l->from) &&
           is_count(l->total_lines) && l->error >= 0 && l->error < ERRNO_END && l->mid_line <= 1;
}

void log_drop_mend(struct logstream *s)
{
    struct slot_lost lost = log_drop_state(s->kept);
    if (is_plausible(&lost) && is_count(s->kept->cut_at) && is_count(s->kept->rotated_wall_ms))
        return;
    log_err(0, "%s: what was noted of it is damaged and forgotten", s->path);
    *s->kept = (struct slot_stream){0};
}

bool log_drop_active(const struct logstream *s)
{
    return log_drop_state(s->kept).error != 0;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static void cut_file(struct logstream *s, int64_t from)
{
    if (ftruncate(s->file, from) < 0)
        log_warn(-errno, "%s: cannot be cut back to its last whole line", s->path);
    (void)lseek(s->file, from, SEEK_SET);
    s->offset = from;
}

void log_drop_begin(struct logstream *s, int error)
{
    struct slot_lost lost = log_drop_state(s->kept);
    int64_t from = log_line_begin(s->file, s->offset);
    lost.bytes += s->offset - from;
    lost.mid_line = s->offset > from;
    lost.from = from;
    lost.error = error;
    commit(s->kept, &lost);
    cut_file(s, from);
    s->try_at_ms = (int64_t)uv_now(s->pause.loop) + TRY_MS;
    log_err(-error, "%s: output of the app is dropped", s->path);
}

/* Says in the file itself what is missing from it.  No half sentence stays. */
static bool tell(struct logstream *s, const struct slot_lost *lost)
{
    char text[256];
    int len = snprintf(text, sizeof text,
                       "[proctor: %lld lines (%lld bytes) of output were not written here: %s]\n",
                       (long long)lost->lines, (long long)lost->bytes, strerror(lost->error));
    ssize_t n = write(s->file, text, (size_t)len);
    if (n == len) {
        s->offset += n;
        return true;
    }
    if (n > 0)
        cut_file(s, s->offset);
    return false;
}

bool log_drop_end(struct logstream *s, bool now)
{
    struct slot_lost lost = log_drop_state(s->kept);
    int64_t now_ms = (int64_t)uv_now(s->pause.loop);
    if (lost.error == 0)
        return true;
    if (lost.mid_line || (!now && now_ms < s->try_at_ms))
        return false;
    s->try_at_ms = now_ms + TRY_MS;
    if (!tell(s, &lost))
        return false;
    log_warn(0, "%s: is written again; %lld lines (%lld bytes) of output were dropped", s->path,
             (long long)lost.lines, (long long)lost.bytes);
    lost.bytes = lost.lines = 0;
    lost.error = 0;
    commit(s->kept, &lost);
    return true;
}

/* ---- dropping -------------------------------------------------------------------------------- */

static void count(struct slot_lost *lost, const char *bytes, size_t len)
{
    for (const char *p = bytes; (p = memchr(p, '\n', (size_t)(bytes + len - p))); p++) {
        lost->lines++;
        lost->total_lines++;
    }
    lost->bytes += (int64_t)len;
    if (len > 0)
        lost->mid_line = bytes[len - 1] != '\n';
}

/* Counts what lies in the memory file behind what was counted, and gives the memory back. */
static void count_lost(struct logstream *s)
{
    char block[BLOCK_BYTES];
    struct slot_lost lost = log_drop_state(s->kept);
    off_t end = lseek(s->lost, 0, SEEK_CUR);
    while (lost.counted < end) {
        size_t len = (size_t)(end - lost.counted);
        ssize_t n = pread(s->lost, block, len < sizeof block ? len : sizeof block, lost.counted);
        if (n <= 0)
            break;
        count(&lost, block, (size_t)n);
        lost.counted += n;
    }
    commit(s->kept, &lost);
    (void)fallocate(s->lost, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, lost.counted);
}

static bool open_lost(struct logstream *s)
{
    if (s->lost >= 0)
        return true;
    s->lost = memfd_create("proctor-lost", MFD_CLOEXEC);
    if (s->lost < 0)
        return false;
    struct slot_lost lost = log_drop_state(s->kept);
    lost.counted = 0;
    commit(s->kept, &lost);
    if (keep_store(s->keep, s->lost, "%s.lost", s->name) >= 0)
        return true;
    (void)close(s->lost);
    s->lost = -1;
    return false;
}

/* No memory or descriptors either: exact as long as we live. */
static size_t drop_plainly(struct logstream *s, size_t len)
{
    char block[BLOCK_BYTES];
    ssize_t n = read(s->pipe_read, block, len < sizeof block ? len : sizeof block);
    if (n <= 0)
        return 0;
    struct slot_lost lost = log_drop_state(s->kept);
    count(&lost, block, (size_t)n);
    commit(s->kept, &lost);
    return (size_t)n;
}

/* How much of the pipe belongs to the line that was begun: up to its newline, or everything. */
static size_t rest_of_line(struct logstream *s, size_t len)
{
    char block[BLOCK_BYTES];
    int look_read, look_write;
    if (log_open_pipe(sizeof block, &look_read, &look_write) < 0)
        return len;
    (void)fcntl(look_write, F_SETFL, O_NONBLOCK);
    (void)tee(s->pipe_read, look_write, len < sizeof block ? len : sizeof block, SPLICE_F_NONBLOCK);
    ssize_t n = read(look_read, block, sizeof block);
    (void)close(look_read);
    (void)close(look_write);
    const char *newline = n > 0 ? memchr(block, '\n', (size_t)n) : NULL;
    if (newline)
        return (size_t)(newline - block) + 1;
    return n > 0 ? (size_t)n : len;
}

size_t log_drop_move(struct logstream *s, size_t len)
{
    if (log_drop_state(s->kept).mid_line)
        len = rest_of_line(s, len);
    if (!open_lost(s))
        return drop_plainly(s, len);
    ssize_t n = splice(s->pipe_read, NULL, s->lost, NULL, len, SPLICE_F_NONBLOCK);
    if (n > 0)
        count_lost(s);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return drop_plainly(s, len);
    return n > 0 ? (size_t)n : 0;
}

void log_drop_line_over(struct logstream *s)
{
    struct slot_lost lost = log_drop_state(s->kept);
    if (!lost.mid_line || lost.error == 0)
        return;
    lost.mid_line = 0;
    lost.lines++;
    lost.total_lines++;
    commit(s->kept, &lost);
}

void log_drop_moved(struct logstream *s)
{
    struct slot_lost lost = log_drop_state(s->kept);
    if (lost.error == 0)
        return;
    lost.from = s->offset;
    commit(s->kept, &lost);
}

/* ---- after a death --------------------------------------------------------------------------- */

void log_drop_adopt(struct logstream *s, bool adopted)
{
    struct stat st;
    struct slot_lost lost = log_drop_state(s->kept);
    if (lost.error == 0) {
        /* All of it is told, or the slot is a new one and knows nothing. */
        lost.counted = s->lost >= 0 ? lseek(s->lost, 0, SEEK_CUR) : 0;
        commit(s->kept, &lost);
        return;
    }
    if (s->lost >= 0)
        count_lost(s);
    if (!adopted) { /* another descriptor of the file, which may be another file */
        log_drop_moved(s);
        log_drop_line_over(s);
        return;
    }
    /* It may not have been cut yet, or hold the sentence that tells what was lost: that is told again. */
    if (fstat(s->file, &st) == 0 && st.st_size > lost.from)
        cut_file(s, lost.from);
}
