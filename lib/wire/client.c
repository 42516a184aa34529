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

enum {
    READ_BYTES = 65536,
    RETRY_MS = 20000,
    NOBODY_MS = 5000,
    RETRY_STEP_MS = 20,
    LIVED_MS = 1000,
    /* A supervisor that is alive takes a connection, reads and answers hello in milliseconds. */
    SILENCE_MS = 10000,
};

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until the socket can be read or written: 0, -EINTR, or -ETIMEDOUT when `until_ms` (-1: never) has passed. */
static int wait_socket(const struct client *c, short events, int64_t until_ms)
{
    struct pollfd poll_fd = {.fd = c->fd, .events = events};
    int64_t left = until_ms < 0 ? -1 : until_ms - now_ms();
    if (until_ms >= 0 && left <= 0)
        return -ETIMEDOUT;
    int r = poll(&poll_fd, 1, (int)left);
    if (r < 0)
        return -errno;
    return r > 0 ? 0 : -ETIMEDOUT;
}

/* ---- connecting ------------------------------------------------------------------------------ */

/* A Unix socket that does not block is connected at once, or refused with EAGAIN while the queue of those who wait is
 * full: behind it is somebody who does not take connections. */
static int connect_within(int fd, const struct sockaddr_un *address, int64_t until_ms)
{
    while (connect(fd, (const struct sockaddr *)address, sizeof *address) < 0) {
        if (errno != EAGAIN && errno != EINTR)
            return -errno;
        if (now_ms() >= until_ms)
            return -ETIMEDOUT;
        (void)poll(NULL, 0, RETRY_STEP_MS);
    }
    return 0;
}

static int connect_once(struct client *c)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(c->path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    memcpy(address.sun_path, c->path, strlen(c->path) + 1);
    AUTOCLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int r = connect_within(fd, &address, now_ms() + c->silence_ms);
    if (r < 0)
        return r;
    c->fd = TAKE_FD(fd);
    return 0;
}

static void disconnect(struct client *c)
{
    if (c->fd >= 0)
        (void)close(c->fd);
    c->fd = -1;
    c->heard = false;
    fds_clear(&c->in_fds);
    buf_clear(&c->in);
}

static int send_all(struct client *c, const struct buf *out)
{
    size_t done = 0;
    int64_t until_ms = now_ms() + c->silence_ms;
    while (done < out->len) {
        ssize_t n = send(c->fd, out->data + done, out->len - done, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return -errno;
        if (n > 0) {
            done += (size_t)n;
            until_ms = now_ms() + c->silence_ms;
            continue;
        }
        if (wait_socket(c, POLLOUT, until_ms) == -ETIMEDOUT)
            return -ETIMEDOUT;
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
    *c = (struct client){.path = xstrdup(socket_path),
                         .fd = -1,
                         .retry_ms = RETRY_MS,
                         .nobody_ms = NOBODY_MS,
                         .silence_ms = SILENCE_MS};
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

/* ---- receiving ------------------------------------------------------------------------------- */

static int receive(struct client *c)
{
    char *space;
    size_t room = c->in.limit - c->in.len;
    room = room < READ_BYTES ? room : READ_BYTES;
    if (room == 0) {
        c->why = "the supervisor's answer is longer than a message may be";
        return ERR_TOO_BIG;
    }
    int r = buf_reserve(&c->in, room, &space);
    if (r < 0)
        return r;
    ssize_t n = fds_receive(&c->in_fds, c->fd, space, room);
    if (n == -EINTR || n == -EAGAIN)
        return 0;
    if (n == ERR_TOO_BIG)
        c->why = "the supervisor sent more descriptors than it may";
    if (n <= 0)
        return n < 0 ? (int)n : -ECONNRESET;
    c->heard = true;
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
    if (r < 0) {
        c->why = "what the supervisor answered is no message of ours";
        return r;
    }
    r = fds_hand_over(&c->in_fds, ret_msg);
    if (r < 0)
        c->why = "the supervisor's answer came without the descriptor that it promises";
    return r < 0 ? r : 1;
}

/* Waits for the next message; an interruption by a signal is reported to the callback of `request`. */
static int next_message(struct client *c, const struct client_request *request, struct msg *ret_msg)
{
    int64_t began_ms = now_ms();
    for (;;) {
        int r = take_message(c, ret_msg);
        if (r != 0)
            return r;
        int limit_ms = c->heard ? c->limit_ms : c->silence_ms;
        r = wait_socket(c, POLLIN, limit_ms > 0 ? began_ms + limit_ms : -1);
        if (r == -EINTR) {
            r = request->on_progress ? request->on_progress(request->arg, NULL) : 0;
            if (r != 0)
                return r;
            continue;
        }
        if (r == 0)
            r = receive(c);
        if (r < 0)
            return r;
        began_ms = now_ms();
    }
}

/* ---- calling --------------------------------------------------------------------------------- */

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
        int r = next_message(c, first, &m);
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
        if (r == ERR_TOO_BIG)
            c->why = "the request is larger than a message may be";
        if (r == 0)
            r = send_all(c, &out);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool connection_broke(int r)
{
    return r == -ECONNRESET || r == -EPIPE || r == -ECONNREFUSED || r == -ENOENT;
}

/* Who listens on the socket, as the kernel says. */
static char *supervisor_name(const struct client *c)
{
    struct ucred peer = {0};
    socklen_t len = sizeof peer;
    if (c->fd < 0 || getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.pid <= 0)
        return xstrdup("the supervisor");
    return xasprintf("the supervisor (pid %d)", (int)peer.pid);
}

/* The sentence for a call that failed with `r`; NULL when the code says all there is. */
static char *sentence(const struct client *c, const char *method, int r)
{
    if (r != -ETIMEDOUT)
        return xstrdup_null(c->why);
    AUTOFREE char *name = supervisor_name(c);
    if (!c->heard)
        return xasprintf("%s does not answer", name);
    return xasprintf("%s has not answered '%s' within %d s", name, method, c->limit_ms / 1000);
}

static void explain(const struct client *c, struct client_request *requests, size_t count, int r)
{
    for (size_t i = 0; i < count; i++) {
        if (requests[i].answered)
            continue;
        AUTOFREE char *text = sentence(c, requests[i].method, r);
        if (!text)
            return;
        json_t *root = json_object();
        json_set_string(root, "message", text);
        *requests[i].answer = (struct msg){.kind = MSG_ERROR,
                                           .root = root,
                                           .error = r,
                                           .error_text = json_get_string(root, "message", "")};
    }
}

static int patience_ms(const struct client *c, int r)
{
    bool nobody = r == -ECONNREFUSED || r == -ENOENT;
    return nobody && c->nobody_ms < c->retry_ms ? c->nobody_ms : c->retry_ms;
}

/* Sends and waits, again and again while the connection breaks. */
static int call_all(struct client *c, struct client_request *requests, size_t count)
{
    int64_t trying_since = now_ms();
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
            trying_since = now_ms();
        if (now_ms() - trying_since >= patience_ms(c, r))
            return r;
        (void)poll(NULL, 0, RETRY_STEP_MS);
        r = reconnect(c);
    }
}

int client_call_all(struct client *c, struct client_request *requests, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uuid_make(requests[i].id);
        *requests[i].answer = (struct msg){0};
        requests[i].answered = false;
    }
    c->why = NULL;
    int r = call_all(c, requests, count);
    if (r < 0)
        explain(c, requests, count, r);
    return r;
}

int client_call(struct client *c, const char *method, json_t *params,
                client_progress_cb on_progress, void *arg, struct msg *ret_answer)
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
