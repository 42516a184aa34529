/* Reading by looking first: a line stays in the socket until it is done.
 *
 * A peek without room for descriptors installs none; with room it gives duplicates, and the kernel ends it behind the piece
 * that carries them.  Sockets of this kind tell no low-water mark to poll(), so half a line would wake us all the time:
 * it is not polled for, and looked at again after a while. */
#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "lib/base/err.h"
#include "lib/wire/conn.h"
#include "lib/wire/conn_private.h"

enum {
    /* Half a line of so much leaves its sender room: it is told to go on when 3/4 of its buffer (208 KiB) are free. */
    PEEK_BYTES = 32768,
    LOOK_MIN_MS = 4,
    LOOK_MAX_MS = 64,
    /* So often without a byte more: the sender is stopped, or waits for room.  About half a second. */
    LOOKS_MAX = 12,
};

/* The steps, in the order in which they run. */
static size_t take_lines(struct conn *c, char *data, size_t len);
static bool wait_for_rest(struct conn *c, size_t len);
static bool read_bit(struct conn *c, char *space);
static bool take_bit(struct conn *c, size_t len);

static ssize_t peek(struct conn *c, char *space)
{
    ssize_t n = recv(c->fd, space, PEEK_BYTES, MSG_PEEK | MSG_DONTWAIT);
    bool nothing = n < 0 && (errno == EAGAIN || errno == EINTR);
    if (n > 0 || (nothing && !c->broken))
        return n;
    conn_end(c, nothing ? c->broken : n == 0 ? UV_EOF : -errno);
    return -1;
}

bool conn_peek_some(struct conn *c)
{
    char space[PEEK_BYTES];
    if (c->in.len > 0)
        return read_bit(c, space);
    ssize_t n = peek(c, space);
    if (n < 0)
        return false;
    size_t done = take_lines(c, space, (size_t)n);
    if (c->closing)
        return false;
    if (done > 0) {
        c->looks = 0;
        c->seen = 0;
        return true;
    }
    return wait_for_rest(c, (size_t)n) || read_bit(c, space);
}

/* Takes out what was done.  Descriptors go with it: the duplicates are the message's. */
static bool consume(struct conn *c, char *line, size_t len)
{
    size_t gone = 0;
    while (gone < len) {
        ssize_t n = recv(c->fd, line + gone, len - gone, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            conn_end(c, n < 0 ? -errno : UV_EOF);
            return false;
        }
        gone += (size_t)n;
    }
    return true;
}

static size_t take_lines(struct conn *c, char *data, size_t len)
{
    size_t done = 0;
    c->taking = true;
    while (done < len) {
        char *line = data + done;
        char *end = memchr(line, '\n', len - done);
        if (!end)
            break;
        conn_take_line(c, line, (size_t)(end - line));
        if (!c->closing && c->out.len > 0)
            conn_write(c);
        if (c->closing || !consume(c, line, (size_t)(end - line) + 1))
            break;
        done += (size_t)(end - line) + 1;
    }
    c->taking = false;
    return done;
}

/* ---- half a line ----------------------------------------------------------------------------- */

/* `len`: what can be seen of it.  False when there is nothing to wait for: it is to be taken out bit by bit. */
static bool wait_for_rest(struct conn *c, size_t len)
{
    int queued = 0;
    (void)ioctl(c->fd, SIOCINQ, &queued);
    bool grown = (size_t)queued > c->seen;
    bool hidden = (size_t)queued > len && !grown; /* behind a piece with descriptors */
    c->looks = grown ? 0 : c->looks + 1;
    c->seen = (size_t)queued;
    if (len == PEEK_BYTES || hidden || c->looks > LOOKS_MAX || c->peer_ends)
        return false;
    unsigned wait_ms = LOOK_MIN_MS << (c->looks < 4 ? c->looks : 4);
    c->half = true;
    (void)uv_timer_start(&c->look_again, conn_look_again,
                         wait_ms < LOOK_MAX_MS ? wait_ms : LOOK_MAX_MS, 0);
    conn_watch(c);
    return true;
}

void conn_look_again(uv_timer_t *timer)
{
    struct conn *c = timer->data;
    (void)uv_timer_stop(timer);
    c->half = false;
    (void)conn_peek_some(c);
    if (!c->closing)
        conn_watch(c);
}

/* ---- lines that are too long ----------------------------------------------------------------- */

static bool read_bit(struct conn *c, char *space)
{
    ssize_t n = peek(c, space);
    if (n < 0)
        return false;
    char *end = memchr(space, '\n', (size_t)n);
    return take_bit(c, end ? (size_t)(end - space) + 1 : (size_t)n);
}

static bool take_bit(struct conn *c, size_t len)
{
    char *space;
    int r = len > c->in.limit - c->in.len ? ERR_TOO_BIG : buf_reserve(&c->in, len, &space);
    if (r < 0) {
        conn_end(c, r);
        return false;
    }
    ssize_t n = fds_receive(&c->in_fds, c->fd, space, len);
    if (n == -EAGAIN || n == -EINTR)
        return false;
    if (n <= 0) {
        conn_end(c, n == 0 ? UV_EOF : (int)n);
        return false;
    }
    buf_added(&c->in, (size_t)n);
    c->looks = 0;
    c->seen = 0;
    if (c->in.data[c->in.len - 1] != '\n')
        return true;
    conn_take_line(c, c->in.data, c->in.len - 1);
    if (c->closing)
        return false;
    buf_reset(&c->in);
    conn_give_back(c);
    return true;
}
