#include "lib/wire/client.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/method.h"
#include "lib/wire/msg.h"

enum { READ_BYTES = 65536, RETRY_MS = 5000, RETRY_STEP_MS = 20, LIVED_MS = 1000 };

/* ---- connecting ---------------------------------------------------------------------------------------------------- */

static int connect_once(struct client *c)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(c->path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, c->path, strlen(c->path) + 1);
    AUTOCLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return -errno;
    c->fd = TAKE_FD(fd);
    return 0;
}

static void disconnect(struct client *c)
{
    if (c->fd >= 0)
        (void)close(c->fd);
    c->fd = -1;
    while (c->in_fd_count > 0)
        (void)close(c->in_fds[--c->in_fd_count]);
    buf_clear(&c->in);
}

static int send_all(struct client *c, const struct buf *out)
{
    size_t done = 0;
    while (done < out->len) {
        ssize_t n = send(c->fd, out->data + done, out->len - done, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        done += (size_t)n;
    }
    return 0;
}

/* The answer to hello is skipped like any answer that nobody waits for; a refusal closes the connection. */
static int send_hello(struct client *c)
{
    AUTOBUF struct buf out = BUF_INIT(4096);
    AUTOJSON json_t *hello = json_object();
    json_set_int(hello, "version", WIRE_VERSION);
    json_set_string(hello, "program", "proctor");
    int r = msg_add_request(&out, "hello", "hello", hello, 0);
    return r < 0 ? r : send_all(c, &out);
}

static int reconnect(struct client *c)
{
    disconnect(c);
    int r = connect_once(c);
    return r < 0 ? r : send_hello(c);
}

int client_open(struct client *c, const char *socket_path)
{
    *c = (struct client){.path = xstrdup(socket_path), .fd = -1, .retry_ms = RETRY_MS};
    buf_init(&c->in, LIMIT_CONTROL_LINE);
    int r = reconnect(c);
    if (r == -EPIPE || r == -ECONNRESET) {
        /* There was somebody, who may come back: the first call tries again. */
        disconnect(c);
        return 0;
    }
    if (r < 0)
        client_close(c);
    return r;
}

void client_close(struct client *c)
{
    disconnect(c);
    free(c->path);
    c->path = NULL;
}

/* ---- receiving ----------------------------------------------------------------------------------------------------- */

static void keep_fds(struct client *c, struct msghdr *mh)
{
    for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm; cm = CMSG_NXTHDR(mh, cm)) {
        if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(cm) + i * sizeof fd, sizeof fd);
            if (c->in_fd_count < ARRAY_SIZE(c->in_fds))
                c->in_fds[c->in_fd_count++] = fd;
            else
                (void)close(fd);
        }
    }
}

static int receive(struct client *c)
{
    char *space;
    size_t room = c->in.limit - c->in.len;
    room = room < READ_BYTES ? room : READ_BYTES;
    int r = room == 0 ? ERR_TOO_BIG : buf_reserve(&c->in, room, &space);
    if (r < 0)
        return r;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(4 * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = space, .iov_len = room};
    struct msghdr mh = {.msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = &control,
                        .msg_controllen = sizeof control};
    ssize_t n = recvmsg(c->fd, &mh, MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR)
        return 0;
    if (n <= 0)
        return n < 0 ? -errno : -ECONNRESET;
    keep_fds(c, &mh);
    buf_added(&c->in, (size_t)n);
    return 0;
}

/* The next message: 1 with `*ret_msg`, 0 when a whole line is not there yet, or an error. */
static int take_message(struct client *c, struct msg *ret_msg)
{
    const char *end = c->in.len ? memchr(c->in.data, '\n', c->in.len) : NULL;
    if (!end)
        return 0;
    size_t len = (size_t)(end - c->in.data);
    int r = msg_parse(c->in.data, len, ret_msg);
    buf_consume(&c->in, len + 1);
    if (r < 0)
        return r;
    while (ret_msg->fd_count < ret_msg->fds_wanted && c->in_fd_count > 0) {
        ret_msg->fds[ret_msg->fd_count++] = c->in_fds[0];
        c->in_fd_count--;
        memmove(c->in_fds, c->in_fds + 1, c->in_fd_count * sizeof c->in_fds[0]);
    }
    return 1;
}

/* Waits for the next message; an interruption by a signal is reported to the caller's callback. */
static int next_message(struct client *c, client_progress_cb on_progress, void *arg, struct msg *ret_msg)
{
    for (;;) {
        int r = take_message(c, ret_msg);
        if (r != 0)
            return r;
        struct pollfd poll_fd = {.fd = c->fd, .events = POLLIN};
        r = poll(&poll_fd, 1, -1);
        if (r < 0 && errno != EINTR)
            return -errno;
        if (r < 0) {
            r = on_progress ? on_progress(arg, NULL) : 0;
            if (r != 0)
                return r;
            continue;
        }
        r = receive(c);
        if (r < 0)
            return r;
    }
}

/* ---- calling ------------------------------------------------------------------------------------------------------- */

static struct client_request *first_unanswered(struct client_request *requests, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!requests[i].answered)
            return &requests[i];
    return NULL;
}

/* The unanswered request with this id; a refused hello is the answer to the first. */
static struct client_request *find_request(struct client_request *requests, size_t count,
                                           const struct msg *m, const char *id)
{
    if (m->kind == MSG_ERROR && str_eq(id, "hello"))
        return first_unanswered(requests, count);
    for (size_t i = 0; i < count; i++)
        if (!requests[i].answered && str_eq(requests[i].id, id))
            return &requests[i];
    return NULL;
}

/* Hands a message to the request that it belongs to; others are skipped. */
static int take_in(struct client_request *requests, size_t count, struct msg *m)
{
    bool progress = m->kind == MSG_NOTIFICATION;
    const char *id = progress ? json_get_string(m->params, "id", NULL) : m->id;
    struct client_request *request = find_request(requests, count, m, id);
    if (!request)
        return 0;
    if (progress)
        return request->on_progress ? request->on_progress(request->arg, m->params) : 0;
    request->answered = true;
    request->result = m->kind == MSG_ERROR ? m->error : 0;
    *request->answer = *m;
    *m = (struct msg){0};
    return 0;
}

static int wait_answers(struct client *c, struct client_request *requests, size_t count)
{
    for (struct client_request *first; (first = first_unanswered(requests, count));) {
        AUTOMSG struct msg m = {0};
        int r = next_message(c, first->on_progress, first->arg, &m);
        if (r < 0)
            return r;
        r = take_in(requests, count, &m);
        if (r != 0)
            return r;
    }
    return 0;
}

static int send_unanswered(struct client *c, const struct client_request *requests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (requests[i].answered)
            continue;
        AUTOBUF struct buf out = BUF_INIT(LIMIT_CONTROL_LINE);
        int r = msg_add_request(&out, requests[i].id, requests[i].method, requests[i].params, 0);
        if (r == 0)
            r = send_all(c, &out);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool connection_broke(int r)
{
    /* EINTR: connect() met a signal. */
    return r == -ECONNRESET || r == -EPIPE || r == -ECONNREFUSED || r == -ENOENT || r == -EINTR;
}

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int client_call_all(struct client *c, struct client_request *requests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uuid_make(requests[i].id);
        *requests[i].answer = (struct msg){0};
        requests[i].answered = false;
    }
    int64_t give_up = now_ms() + c->retry_ms;
    int r = c->fd < 0 ? reconnect(c) : 0;
    for (;;) {
        int64_t began = now_ms();
        if (r == 0)
            r = send_unanswered(c, requests, count);
        /* A peer that refused and closed has said why: it lies in our socket. */
        if (r == 0 || r == -EPIPE)
            r = wait_answers(c, requests, count);
        if (r == 0 || !connection_broke(r))
            return r;
        if (now_ms() - began > LIVED_MS)
            give_up = now_ms() + c->retry_ms;
        if (now_ms() >= give_up)
            return r;
        (void)poll(NULL, 0, RETRY_STEP_MS);
        r = reconnect(c);
    }
}

int client_call(struct client *c, const char *method, json_t *params, client_progress_cb on_progress,
                void *arg, struct msg *ret_answer)
{
    struct client_request request = {.method = method,
                                     .params = params,
                                     .on_progress = on_progress,
                                     .arg = arg,
                                     .answer = ret_answer};
    int r = client_call_all(c, &request, 1);
    return r < 0 ? r : request.result;
}

int client_send(struct client *c, const char *method, json_t *params)
{
    char id[UUID_TEXT];
    uuid_make(id);
    AUTOBUF struct buf out = BUF_INIT(LIMIT_CONTROL_LINE);
    int r = msg_add_request(&out, id, method, params, 0);
    return r < 0 ? r : send_all(c, &out);
}
