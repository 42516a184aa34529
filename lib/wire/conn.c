#include "lib/wire/conn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/auto.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/conn_private.h"
#include "lib/wire/msg.h"

enum {
    READ_BYTES = 65536,
    /* An empty buffer that a large message has grown above this is given back. */
    KEEP_BYTES = 256 << 10,
    /* After an error of sending that passes by itself. */
    SEND_AGAIN_MS = 10,
    /* Lines that may be torn one after the other: each by another death. */
    TORN_MAX = 8,
    /* `restarted` comes in one piece with the newline that ends a torn line. */
    TORN_MS = 1000,
};

struct out_fd {
    int fd;
    size_t position; /* of the byte it travels with, in the whole stream */
};

static void on_event(uv_poll_t *poll, int status, int events);
static bool read_some(struct conn *c);
static void take_lines(struct conn *c);
static void on_send_again(uv_timer_t *timer);
static void on_handle_closed(uv_handle_t *handle);

int conn_open(struct conn *c, uv_loop_t *loop, int fd, conn_msg_cb on_msg, conn_closed_cb on_closed,
              void *arg)
{
    *c = (struct conn){.fd = fd, .on_msg = on_msg, .on_closed = on_closed, .arg = arg};
    buf_init(&c->in, LIMIT_CONTROL_LINE);
    buf_init(&c->out, LIMIT_CONTROL_QUEUE);
    c->poll.data = c;
    int r = uv_poll_init(loop, &c->poll, fd); /* makes it non-blocking too */
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    (void)uv_timer_init(loop, &c->send_again);
    (void)uv_timer_init(loop, &c->look_again);
    c->send_again.data = c->look_again.data = c;
    return uv_poll_start(&c->poll, UV_READABLE, on_event);
}

int conn_open_peeking(struct conn *c, uv_loop_t *loop, int fd, bool restarted, conn_msg_cb on_msg,
                      conn_closed_cb on_closed, void *arg)
{
    int r = conn_open(c, loop, fd, on_msg, on_closed, arg);
    if (r < 0)
        return r;
    c->peeking = true;
    if (!restarted)
        return 0;
    c->forgives_first = true;
    (void)buf_addc(&c->out, '\n');
    return conn_notify(c, "restarted", NULL);
}

void conn_forgive_torn(struct conn *c)
{
    c->forgives_torn = true;
}

void conn_watch(struct conn *c)
{
    bool sends = c->out.len > 0 && !uv_is_active((uv_handle_t *)&c->send_again);
    int events = (c->half ? UV_DISCONNECT : UV_READABLE) | (sends ? UV_WRITABLE : 0);
    if (!c->closing)
        (void)uv_poll_start(&c->poll, events, on_event);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct conn *c = poll->data;
    if (status < 0) {
        conn_read_rest(c, status);
        return;
    }
    if (events & UV_WRITABLE)
        conn_write(c);
    if (events & UV_DISCONNECT)
        c->peer_ends = true;
    if (c->closing)
        return;
    if (c->half && (events & UV_DISCONNECT))
        conn_look_again(&c->look_again);
    else if (events & UV_READABLE)
        (void)read_some(c);
}

/* A large message must not cost memory for the rest of the connection's life: neither its buffer nor what was made of
 * it. */
static void give_back(struct buf *b)
{
    if (b->len > 0 || b->cap <= KEEP_BYTES)
        return;
    buf_clear(b);
    (void)malloc_trim(0);
}

void conn_give_back(struct conn *c)
{
    give_back(&c->in);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* False when nothing is there or the connection is over. */
static bool read_some(struct conn *c)
{
    if (c->peeking)
        return conn_peek_some(c);
    char *space;
    size_t room = c->in.limit - c->in.len;
    room = room < READ_BYTES ? room : READ_BYTES;
    int r = room == 0 ? ERR_TOO_BIG : buf_reserve(&c->in, room, &space);
    if (r < 0) {
        conn_end(c, r);
        return false;
    }
    ssize_t n = fds_receive(&c->in_fds, c->fd, space, room);
    if (n == -EAGAIN || n == -EINTR)
        return false;
    if (n <= 0) {
        conn_end(c, n == 0 ? UV_EOF : (int)n);
        return false;
    }
    buf_added(&c->in, (size_t)n);
    take_lines(c);
    return !c->closing;
}

/* The peer has gone, perhaps with something of ours unread (then libuv says UV_EBADF and watches no more).  What it said
 * before is still there. */
void conn_read_rest(struct conn *c, int reason)
{
    c->peer_ends = true;
    while (read_some(c))
        continue;
    conn_end(c, reason);
}

/* It was no torn line. */
static void on_torn(uv_timer_t *timer)
{
    conn_end(timer->data, ERR_SYNTAX);
}

/* What an earlier one of us has not read, or of the peer has not written, to its end. */
static bool is_forgiven(struct conn *c)
{
    if (c->forgives_first) {
        c->forgives_first = false;
        return true;
    }
    if (!c->forgives_torn || c->torn++ >= TORN_MAX)
        return false;
    (void)uv_timer_start(&c->look_again, on_torn, TORN_MS, 0);
    return true;
}

/* The descriptors of a line that is still in the socket. */
static int peek_fds(struct conn *c, const struct msg *m, const char *line, size_t len)
{
    AUTOFREE char *space = NULL;
    if (!c->taking || m->fds_wanted == 0)
        return 0;
    space = xcalloc(1, len + 1);
    ssize_t n = fds_peek(&c->in_fds, c->fd, space, len + 1);
    return n < 0 ? (int)n : 0;
}

void conn_take_line(struct conn *c, const char *line, size_t len)
{
    AUTOMSG struct msg m = {0};
    int r = msg_parse(line, len, &m);
    if (r < 0 && is_forgiven(c))
        return;
    c->forgives_first = false;
    if (r == 0 && c->torn > 0 && !str_eq(m.method, "restarted"))
        r = ERR_SYNTAX;
    if (c->torn > 0)
        (void)uv_timer_stop(&c->look_again);
    c->torn = 0;
    if (r == 0)
        r = peek_fds(c, &m, line, len);
    if (r == 0)
        r = fds_hand_over(&c->in_fds, &m);
    if (r < 0) {
        conn_end(c, r);
        return;
    }
    log_trace("<- %s %s",
              m.method              ? m.method
              : m.kind == MSG_ERROR ? "error"
                                    : "result",
              m.id ? m.id : "");
    c->on_msg(c, &m);
}

static void take_lines(struct conn *c)
{
    size_t done = 0;
    while (!c->closing && done < c->in.len) {
        const char *line = c->in.data + done;
        const char *end = memchr(line, '\n', c->in.len - done);
        if (!end)
            break;
        done += (size_t)(end - line) + 1;
        conn_take_line(c, line, (size_t)(end - line));
    }
    if (!c->closing)
        buf_consume(&c->in, done);
    give_back(&c->in);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* How far one sendmsg() may go: up to the next descriptor's byte, which must start a call of its own. */
static size_t piece_length(const struct conn *c, bool *ret_with_fd)
{
    *ret_with_fd = c->out_fd_count > 0 && c->out_fds[0].position == c->out_done;
    size_t next = *ret_with_fd ? 1 : 0;
    if (c->out_fd_count <= next)
        return c->out.len;
    size_t until = c->out_fds[next].position - c->out_done;
    return until < c->out.len ? until : c->out.len;
}

static void drop_first_fd(struct conn *c)
{
    (void)close(c->out_fds[0].fd);
    c->out_fd_count--;
    memmove(c->out_fds, c->out_fds + 1, c->out_fd_count * sizeof *c->out_fds);
}

static ssize_t send_piece(struct conn *c, size_t len, bool with_fd)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = c->out.data, .iov_len = len};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
    if (with_fd) {
        mh.msg_control = &control;
        mh.msg_controllen = sizeof control.bytes;
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.head), &c->out_fds[0].fd, sizeof(int));
    }
    return sendmsg(c->fd, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The kernel is short of memory, or too many descriptors of ours are on their way: nothing of it is the peer's fault. */
static bool passes_by_itself(int error)
{
    return error == ETOOMANYREFS || error == ENOBUFS || error == ENOMEM;
}

static void drop_queue(struct conn *c)
{
    buf_reset(&c->out);
    while (c->out_fd_count > 0)
        drop_first_fd(c);
}

static void on_send_again(uv_timer_t *timer)
{
    conn_write(timer->data);
}

void conn_write(struct conn *c)
{
    while (c->out.len > 0) {
        bool with_fd;
        size_t len = piece_length(c, &with_fd);
        ssize_t n = send_piece(c, len, with_fd);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0 && passes_by_itself(errno)) {
            (void)uv_timer_start(&c->send_again, on_send_again, SEND_AGAIN_MS, 0);
            break;
        }
        if (n < 0 && c->taking) { /* first what it has said */
            c->broken = -errno;
            c->peer_ends = true;
            drop_queue(c);
            return;
        }
        if (n < 0) {
            conn_read_rest(c, -errno);
            return;
        }
        if (with_fd)
            drop_first_fd(c);
        buf_consume(&c->out, (size_t)n);
        c->out_done += (size_t)n;
    }
    give_back(&c->out);
    if (c->out.len == 0 && c->end_after_flush) {
        conn_end(c, 0);
        return;
    }
    conn_watch(c);
}

/* `before`: the queue's length before the message was added to it; `r`: what adding it returned. */
static int queued(struct conn *c, size_t before, int r, int fd)
{
    if (r < 0) {
        if (fd >= 0)
            (void)close(fd);
        conn_end(c, r);
        return r;
    }
    if (fd >= 0) {
        c->out_fds = xreallocarray(c->out_fds, c->out_fd_count + 1, sizeof *c->out_fds);
        c->out_fds[c->out_fd_count++] = (struct out_fd){.fd = fd, .position = c->out_done + before};
    }
    conn_watch(c);
    return 0;
}

/* Nothing is sent on a closing connection; the descriptor is closed all the same. */
static bool is_over(const struct conn *c, int fd)
{
    if (!c->closing && !c->broken)
        return false;
    if (fd >= 0)
        (void)close(fd);
    return true;
}

int conn_request(struct conn *c, const char *id, const char *method, json_t *params, int fd)
{
    if (is_over(c, fd))
        return -EPIPE;
    size_t before = c->out.len;
    log_trace("-> %s %s", method, id ? id : "");
    return queued(c, before, msg_add_request(&c->out, id, method, params, fd >= 0), fd);
}

int conn_notify(struct conn *c, const char *method, json_t *params)
{
    return conn_request(c, NULL, method, params, -1);
}

int conn_result(struct conn *c, const char *id, json_t *result, int fd)
{
    if (is_over(c, fd))
        return -EPIPE;
    size_t before = c->out.len;
    return queued(c, before, msg_add_result(&c->out, id, result, fd >= 0), fd);
}

int conn_error(struct conn *c, const char *id, int error, const char *text, json_t *data)
{
    if (is_over(c, -1))
        return -EPIPE;
    size_t before = c->out.len;
    return queued(c, before, msg_add_error(&c->out, id, error, text, data), -1);
}

int conn_progress(struct conn *c, const char *id, json_t *params)
{
    AUTOJSON json_t *with_id = json_copy(params);
    json_set_string(with_id, "id", id);
    return conn_notify(c, "progress", with_id);
}

/* ---- the end --------------------------------------------------------------------------------- */

void conn_end(struct conn *c, int reason)
{
    if (c->closing)
        return;
    c->closing = true;
    c->reason = reason;
    (void)uv_poll_stop(&c->poll);
    /* The keeper's copy would keep it open for the peer. */
    if (c->peeking)
        (void)shutdown(c->fd, SHUT_RDWR);
    c->open_handles = 3;
    uv_close((uv_handle_t *)&c->look_again, on_handle_closed);
    uv_close((uv_handle_t *)&c->poll, on_handle_closed);
    uv_close((uv_handle_t *)&c->send_again, on_handle_closed);
}

void conn_close(struct conn *c)
{
    conn_end(c, 0);
}

void conn_close_after_flush(struct conn *c)
{
    c->end_after_flush = true;
    if (c->out.len == 0)
        conn_end(c, 0);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    if (--c->open_handles > 0)
        return;
    while (c->out_fd_count > 0)
        drop_first_fd(c);
    free(c->out_fds);
    fds_clear(&c->in_fds);
    buf_clear(&c->in);
    buf_clear(&c->out);
    (void)close(c->fd);
    c->fd = -1;
    c->on_closed(c, c->reason);
}

int conn_peer(const struct conn *c, pid_t *ret_pid, uid_t *ret_uid)
{
    struct ucred cred;
    socklen_t len = sizeof cred;
    if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return -errno;
    *ret_pid = cred.pid;
    *ret_uid = cred.uid;
    return 0;
}
