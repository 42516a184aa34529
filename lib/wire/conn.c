#include "lib/wire/conn.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
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
#include "lib/wire/msg.h"

enum { READ_BYTES = 65536, FDS_PER_READ = 16 };

struct out_fd {
    int fd;
    size_t position; /* of the byte it travels with, in the whole stream */
};

static void on_event(uv_poll_t *poll, int status, int events);
static bool read_some(struct conn *c);
static void read_rest(struct conn *c, int reason);
static void take_lines(struct conn *c);
static void write_some(struct conn *c);
static void conn_end(struct conn *c, int reason);
static void on_poll_closed(uv_handle_t *handle);

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
    return uv_poll_start(&c->poll, UV_READABLE, on_event);
}

static void watch(struct conn *c)
{
    int events = UV_READABLE | (c->out.len > 0 ? UV_WRITABLE : 0);
    if (!c->closing)
        (void)uv_poll_start(&c->poll, events, on_event);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct conn *c = poll->data;
    if (status < 0) {
        read_rest(c, status);
        return;
    }
    if (events & UV_WRITABLE)
        write_some(c);
    if (!c->closing && (events & UV_READABLE))
        (void)read_some(c);
}

/* ---- reading ------------------------------------------------------------------------------------------------------- */

static int keep_fds(struct conn *c, struct msghdr *mh)
{
    int r = 0;
    for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm; cm = CMSG_NXTHDR(mh, cm)) {
        if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(cm) + i * sizeof fd, sizeof fd);
            if (c->in_fd_count < ARRAY_SIZE(c->in_fds)) {
                c->in_fds[c->in_fd_count++] = fd;
            } else {
                (void)close(fd);
                r = ERR_TOO_BIG;
            }
        }
    }
    return mh->msg_flags & MSG_CTRUNC ? ERR_TOO_BIG : r;
}

/* False when nothing is there or the connection is over. */
static bool read_some(struct conn *c)
{
    char *space;
    size_t room = c->in.limit - c->in.len;
    room = room < READ_BYTES ? room : READ_BYTES;
    int r = room == 0 ? ERR_TOO_BIG : buf_reserve(&c->in, room, &space);
    if (r < 0) {
        conn_end(c, r);
        return false;
    }
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(FDS_PER_READ * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = space, .iov_len = room};
    struct msghdr mh = {.msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = &control,
                        .msg_controllen = sizeof control};
    ssize_t n = recvmsg(c->fd, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            conn_end(c, -errno);
        return false;
    }
    r = keep_fds(c, &mh);
    if (n == 0 || r < 0) {
        conn_end(c, n == 0 ? UV_EOF : r);
        return false;
    }
    buf_added(&c->in, (size_t)n);
    take_lines(c);
    return !c->closing;
}

/* The peer has gone, perhaps with something of ours unread (then libuv says UV_EBADF and watches no more).  What it said
 * before is still there. */
static void read_rest(struct conn *c, int reason)
{
    while (read_some(c))
        continue;
    conn_end(c, reason);
}

static int fill_fds(struct conn *c, struct msg *m)
{
    if (m->fds_wanted > c->in_fd_count)
        return ERR_PROTOCOL;
    m->fd_count = m->fds_wanted;
    memcpy(m->fds, c->in_fds, m->fd_count * sizeof m->fds[0]);
    c->in_fd_count -= m->fd_count;
    memmove(c->in_fds, c->in_fds + m->fd_count, c->in_fd_count * sizeof c->in_fds[0]);
    return 0;
}

static void take_line(struct conn *c, const char *line, size_t len)
{
    AUTOMSG struct msg m = {0};
    int r = msg_parse(line, len, &m);
    if (r == 0)
        r = fill_fds(c, &m);
    if (r < 0) {
        conn_end(c, r);
        return;
    }
    log_trace("<- %s %s", m.method ? m.method : m.kind == MSG_ERROR ? "error" : "result",
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
        take_line(c, line, (size_t)(end - line));
    }
    if (!c->closing)
        buf_consume(&c->in, done);
}

/* ---- writing ------------------------------------------------------------------------------------------------------- */

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

static void write_some(struct conn *c)
{
    while (c->out.len > 0) {
        bool with_fd;
        size_t len = piece_length(c, &with_fd);
        ssize_t n = send_piece(c, len, with_fd);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            read_rest(c, -errno);
            return;
        }
        if (with_fd)
            drop_first_fd(c);
        buf_consume(&c->out, (size_t)n);
        c->out_done += (size_t)n;
    }
    if (c->out.len == 0 && c->end_after_flush) {
        conn_end(c, 0);
        return;
    }
    watch(c);
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
        c->out_fds[c->out_fd_count++] =
            (struct out_fd){.fd = fd, .position = c->out_done + before};
    }
    watch(c);
    return 0;
}

/* Nothing is sent on a closing connection; the descriptor is closed all the same. */
static bool is_over(const struct conn *c, int fd)
{
    if (!c->closing)
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

/* ---- the end ------------------------------------------------------------------------------------------------------- */

/* The only way out.  The first reason counts. */
static void conn_end(struct conn *c, int reason)
{
    if (c->closing)
        return;
    c->closing = true;
    c->reason = reason;
    (void)uv_poll_stop(&c->poll);
    uv_close((uv_handle_t *)&c->poll, on_poll_closed);
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

static void on_poll_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    while (c->out_fd_count > 0)
        drop_first_fd(c);
    free(c->out_fds);
    for (unsigned i = 0; i < c->in_fd_count; i++)
        (void)close(c->in_fds[i]);
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
