#include "supervisor/ipc.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "supervisor/instance.h"
#include "supervisor/ipc_message.h"
#include "supervisor/slots.h"
#include "supervisor/supervisor.h"

enum {
    LOOK_BYTES = 128 << 10, /* of one look into the socket; its buffer holds 208 KiB */
    LINES_PER_TURN = 64,    /* then the others have theirs */
    READS_PER_TURN = 4,     /* of a channel that is read and thrown away */
    PART_BYTES = 32 << 10,  /* half a line of so many bytes is taken out of the socket */
    HALF_MIN_MS = 1,        /* half a line is looked at again after so long, and then rarer */
    HALF_MAX_MS = 250,
};

/* In slot->ipc_done; 0: nothing is in hand, or it is not done yet. */
#define DONE_LINE (1ull << 63) /* the line in hand is done; below: messages received with it */
#define DONE_PART                                                                                  \
    (1ull << 62) /* the piece in hand is in i7.ipc.part when that is as long as said below */
#define DONE_FOR (1ull << 61) /* the channel is read and thrown away */
#define DONE_VALUE 0xffffffffull

struct ipc {
    struct instance *instance; /* NULL: it has let go */
    uv_poll_t poll;
    uv_timer_t look; /* half a line is there: look again */
    unsigned open_handles;
    int fd; /* -1: the channel is over */
    json_t *facts;
    struct buf part; /* the beginning of a long line, already taken out of the socket */
    struct buf out;  /* whole lines that wait until the app reads */
    size_t half;     /* bytes of half a line at the last look */
    unsigned look_ms;
    bool ended;  /* nothing comes any more but what is in the socket */
    bool marked; /* the socket's peek offset is not -1 */
    bool warned;
};

/* What the loop calls, and the way of a message. */
static void on_ready(uv_poll_t *poll, int status, int events);
static void on_look(uv_timer_t *timer);
static void look(struct ipc *c);
static void take_line(struct ipc *c, char *line, size_t len);
static void take_part(struct ipc *c, char *bytes, size_t len);
static void over(struct ipc *c);

/* ---- life ------------------------------------------------------------------------------------ */

static void free_if_closed(struct ipc *c)
{
    if (c->instance || c->open_handles > 0)
        return;
    json_decref(c->facts);
    buf_clear(&c->part);
    buf_clear(&c->out);
    free(c);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct ipc *c = handle->data;
    c->open_handles--;
    free_if_closed(c);
}

/* What is waited for: messages, unless half a line is there, and room when something is to be sent. */
static void wait_for(struct ipc *c)
{
    bool half = uv_is_active((uv_handle_t *)&c->look);
    int events = (half ? 0 : UV_READABLE) | (c->out.len > 0 ? UV_WRITABLE : 0);
    if (c->fd < 0)
        return;
    if (events)
        (void)uv_poll_start(&c->poll, events, on_ready);
    else
        (void)uv_poll_stop(&c->poll);
}

/* Takes `fd`. */
static struct ipc *ipc_new(struct instance *in, int fd)
{
    struct ipc *c = xcalloc(1, sizeof *c);
    c->instance = in;
    c->fd = fd;
    c->facts = json_object();
    buf_init(&c->part, LIMIT_IPC_LINE);
    buf_init(&c->out, LIMIT_IPC_QUEUE);
    c->poll.data = c->look.data = c;
    in->ipc = c;
    if (fd < 0)
        return c;
    (void)uv_timer_init(&in->sup->loop, &c->look);
    (void)uv_poll_init(&in->sup->loop, &c->poll, fd);
    c->open_handles = 2;
    wait_for(c);
    return c;
}

/* Nothing comes any more.  What the app has told stays until its process is gone. */
static void over(struct ipc *c)
{
    if (c->fd < 0)
        return;
    uv_close((uv_handle_t *)&c->poll, on_handle_closed);
    uv_close((uv_handle_t *)&c->look, on_handle_closed);
    keep_drop(&c->instance->sup->keep, "i%d.ipc", c->instance->pm_id);
    keep_drop(&c->instance->sup->keep, "i%d.ipc.part", c->instance->pm_id);
    (void)close(c->fd);
    c->fd = -1;
}

static void forget(struct instance *in)
{
    struct ipc *c = in->ipc;
    over(c);
    keep_drop(&in->sup->keep, "i%d.ipc.json", in->pm_id);
    in->ipc = NULL;
    c->instance = NULL;
    free_if_closed(c);
}

int ipc_open(struct instance *in, int *ret_child_fd)
{
    int ends[2];
    ipc_close(in);
    *ret_child_fd = -1;
    in->slot->ipc_done = 0;
    in->slot->ipc_received = 0;
    if (!in->runtime.is_node)
        return 0;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    int r = keep_store(&in->sup->keep, ends[0], "i%d.ipc", in->pm_id);
    if (r < 0) {
        (void)close(ends[0]);
        (void)close(ends[1]);
        return r;
    }
    (void)ipc_new(in, ends[0]);
    *ret_child_fd = ends[1];
    return 0;
}

void ipc_environment(const struct instance *in, struct strlist *env)
{
    const struct runtime_version *v = &in->runtime;
    /* One of a shell that was itself a child of Node is not ours to pass on. */
    env_unset(env, "NODE_CHANNEL_FD");
    env_unset(env, "NODE_CHANNEL_SERIALIZATION_MODE");
    if (!in->ipc)
        return;
    env_set(env, "NODE_CHANNEL_FD", "3");
    /* Older ones know JSON only, and would leave the variable to their children. */
    if (v->major > 12 || (v->major == 12 && v->minor >= 16))
        env_set(env, "NODE_CHANNEL_SERIALIZATION_MODE", "json");
}

/* Does what is still in the socket.  Its buffer bounds that, unless somebody else goes on writing. */
static void drain(struct ipc *c)
{
    for (int i = 0; i < 100 && c->fd >= 0; i++) {
        char byte;
        (void)uv_timer_stop(&c->look);
        look(c);
        if (c->fd < 0 || uv_is_active((uv_handle_t *)&c->look) ||
            recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
            return;
    }
}

void ipc_close(struct instance *in)
{
    if (!in->ipc)
        return;
    drain(in->ipc);
    forget(in);
}

/* ---- what is in hand ------------------------------------------------------------------------- */

static void mark(struct ipc *c, int bytes)
{
    c->marked = bytes >= 0;
    (void)setsockopt(c->fd, SOL_SOCKET, SO_PEEK_OFF, &bytes, sizeof bytes);
}

/* Takes what is in hand out of the socket; `space` has room for it.  Stops where a descriptor came with the bytes. */
static void consume(struct ipc *c, char *space, size_t len)
{
    while (len > 0) {
        ssize_t n = recv(c->fd, space, len, MSG_DONTWAIT);
        if (n <= 0 && errno != EINTR)
            return;
        len -= n > 0 ? (size_t)n : 0;
    }
}

static void settle_line(struct ipc *c)
{
    struct slot *slot = c->instance->slot;
    slot->ipc_received = (uint32_t)(slot->ipc_done & DONE_VALUE);
    if (c->part.len > 0)
        keep_drop(&c->instance->sup->keep, "i%d.ipc.part", c->instance->pm_id);
    buf_clear(&c->part);
    slot->ipc_done = 0;
}

/* What the supervisor before us had in hand: taken out of the socket when it was done, left there when not. */
static void finish_in_hand(struct ipc *c)
{
    static char space[LOOK_BYTES];
    struct slot *slot = c->instance->slot;
    uint64_t done = slot->ipc_done;
    int in_hand = -1;
    socklen_t size = sizeof in_hand;
    (void)getsockopt(c->fd, SOL_SOCKET, SO_PEEK_OFF, &in_hand, &size);
    if (in_hand > (int)sizeof space)
        in_hand = -1;
    bool stored = (done & DONE_PART) && c->part.len == (done & DONE_VALUE);
    if (in_hand > 0 && ((done & DONE_LINE) || stored))
        consume(c, space, (size_t)in_hand);
    mark(c, -1);
    if (done & DONE_LINE)
        settle_line(c);
    if (done & DONE_PART)
        slot->ipc_done = 0;
}

void ipc_restore(struct instance *in)
{
    AUTOBUF struct buf facts = BUF_INIT(LIMIT_IPC_FACTS);
    struct keep_link *keep = &in->sup->keep;
    int fd = keep_take(keep, "i%d.ipc", in->pm_id);
    int r = keep_get(keep, &facts, "i%d.ipc.json", in->pm_id);
    if (fd < 0 && r < 0)
        return;
    struct ipc *c = ipc_new(in, fd);
    json_t *told = r == 0 ? json_object_parse(facts.data, facts.len) : NULL;
    if (told) {
        json_decref(c->facts);
        c->facts = told;
    }
    if (fd < 0)
        return;
    if (keep_get(keep, &c->part, "i%d.ipc.part", in->pm_id) < 0)
        buf_clear(&c->part);
    finish_in_hand(c);
}

/* ---- messages -------------------------------------------------------------------------------- */

/* The metrics come again by themselves, an action is told once. */
static void keep_facts(struct ipc *c)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_IPC_FACTS);
    AUTOJSON json_t *kept = json_copy(c->facts);
    (void)json_object_del(kept, "metrics");
    if (json_to_buf(kept, &text) == 0)
        (void)keep_put(&c->instance->sup->keep, text.data, text.len, "i%d.ipc.json",
                       c->instance->pm_id);
}

static void warn_once(struct ipc *c, const char *what)
{
    if (!c->warned)
        log_warn(0, "%s: %s", instance_name(c->instance), what);
    c->warned = true;
}

static void do_data(struct ipc *c, enum ipc_kind kind, const char *line, size_t len)
{
    AUTOJSON json_t *data = ipc_message_data(line, len, kind);
    if (!data) {
        warn_once(c, "a message on its IPC channel has no usable \"data\", and is ignored");
        return;
    }
    if (kind == IPC_MONITOR)
        ipc_facts_monitor(c->facts, data);
    else if (kind == IPC_ACTION && ipc_facts_action(c->facts, data))
        keep_facts(c);
    else if (kind == IPC_REPLY)
        triggers_replied(&c->instance->sup->triggers, c->instance, data);
}

/* The one thing that must not be done twice: Node ends an app that gets an answer which it does not wait for. */
static void acknowledge_handle(struct ipc *c)
{
    AUTOJSON json_t *answer = json_object();
    json_set_string(answer, "cmd", "NODE_HANDLE_ACK");
    (void)ipc_send(c->instance, answer);
}

/* May be done twice when we die in the middle of it: only counting is exact, all else has the same result again. */
static enum ipc_kind do_message(struct ipc *c, const char *line, size_t len)
{
    enum ipc_kind kind = ipc_message_kind(line, len);
    switch (kind) {
    case IPC_READY:
        log_debug("%s: ready", instance_name(c->instance));
        json_set_bool(c->facts, "ready", true);
        keep_facts(c);
        break;
    case IPC_MONITOR:
    case IPC_ACTION:
    case IPC_REPLY:
        do_data(c, kind, line, len);
        break;
    case IPC_HANDLE:
    case IPC_NODE:
    case IPC_OTHER:
        break;
    case IPC_BAD:
        warn_once(c, "sends on its IPC channel what is no JSON");
        break;
    }
    return kind;
}

static bool listens(const struct ipc *c)
{
    return !(c->instance->slot->ipc_done & DONE_FOR);
}

/* The app sends more than we take at once.  What is in c->part is lost to it and us. */
static void stop_listening(struct ipc *c)
{
    log_warn(0,
             "%s: a line on its IPC channel is longer than %u bytes; its messages are ignored from "
             "now on",
             instance_name(c->instance), LIMIT_IPC_LINE);
    c->instance->slot->ipc_done = DONE_FOR;
    keep_drop(&c->instance->sup->keep, "i%d.ipc.part", c->instance->pm_id);
    buf_clear(&c->part);
    mark(c, -1);
}

/* `line` is the front of the socket, newline included; behind what is in c->part. */
static void take_line(struct ipc *c, char *line, size_t len)
{
    struct slot *slot = c->instance->slot;
    if (c->part.len > 0 && buf_add(&c->part, line, len - 1) < 0) {
        stop_listening(c);
        return;
    }
    mark(c, (int)len);
    bool long_line = c->part.len > 0;
    enum ipc_kind kind =
        do_message(c, long_line ? c->part.data : line, long_line ? c->part.len : len - 1);
    slot->ipc_done = DONE_LINE | (uint32_t)(slot->ipc_received + 1);
    if (kind == IPC_HANDLE)
        acknowledge_handle(c);
    consume(c, line, len);
    settle_line(c);
}

static void take_part(struct ipc *c, char *bytes, size_t len)
{
    struct slot *slot = c->instance->slot;
    if (buf_add(&c->part, bytes, len) < 0) {
        stop_listening(c);
        return;
    }
    mark(c, (int)len);
    slot->ipc_done = DONE_PART | c->part.len;
    (void)keep_put(&c->instance->sup->keep, c->part.data, c->part.len, "i%d.ipc.part",
                   c->instance->pm_id);
    consume(c, bytes, len);
    slot->ipc_done = 0;
}

static bool has_hung_up(int fd)
{
    struct pollfd end = {.fd = fd, .events = POLLRDHUP};
    return poll(&end, 1, 0) > 0 && (end.revents & (POLLHUP | POLLRDHUP));
}

/* Half a line would be readable all the time: it is looked at again by and by, and taken out when it is long, since its
 * other half may have no room in the socket. */
static void half_line(struct ipc *c, char *bytes, size_t len)
{
    if (len >= PART_BYTES) {
        take_part(c, bytes, len);
        return;
    }
    if (c->ended) {
        over(c);
        return;
    }
    /* The other half may have come with the end, behind what we have seen: that is for the next look. */
    c->ended = has_hung_up(c->fd);
    unsigned next_ms = c->look_ms * 2 < HALF_MAX_MS ? c->look_ms * 2 : HALF_MAX_MS;
    c->look_ms = len > c->half || c->look_ms == 0 ? HALF_MIN_MS : next_ms;
    c->half = len;
    (void)uv_timer_start(&c->look, on_look, c->look_ms, 0);
}

/* Reads and throws away. */
static void look_away(struct ipc *c, char *space, size_t size)
{
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t n = recv(c->fd, space, size, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            over(c);
        if (n <= 0)
            return;
    }
}

static void take_lines(struct ipc *c, char *bytes, size_t len)
{
    char *end = bytes + len, *newline;
    unsigned lines = 0;
    while (lines < LINES_PER_TURN && listens(c) &&
           (newline = memchr(bytes, '\n', (size_t)(end - bytes)))) {
        take_line(c, bytes, (size_t)(newline + 1 - bytes));
        bytes = newline + 1;
        lines++;
    }
    if (lines > 0)
        c->look_ms = 0;
    else
        half_line(c, bytes, (size_t)(end - bytes));
}

static void look(struct ipc *c)
{
    static char bytes[LOOK_BYTES];
    if (!listens(c)) {
        look_away(c, bytes, sizeof bytes);
        return;
    }
    if (c->marked)
        mark(c, -1);
    ssize_t n = recv(c->fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
    if (n > 0)
        take_lines(c, bytes, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        over(c);
}

static void on_look(uv_timer_t *timer)
{
    struct ipc *c = timer->data;
    look(c);
    wait_for(c);
}

/* ---- sending --------------------------------------------------------------------------------- */

/* Whole lines only: the kernel takes one of at most LIMIT_IPC_SEND bytes as a whole or not at all. */
static void flush(struct ipc *c)
{
    while (c->out.len > 0) {
        const char *newline = memchr(c->out.data, '\n', c->out.len);
        size_t len = (size_t)(newline + 1 - c->out.data);
        ssize_t n = send(c->fd, c->out.data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            buf_reset(&c->out);
        if (n < 0)
            return;
        buf_consume(&c->out, (size_t)n);
    }
}

int ipc_send(struct instance *in, const json_t *message)
{
    AUTOBUF struct buf line = BUF_INIT(LIMIT_IPC_SEND);
    struct ipc *c = in->ipc;
    if (!c || c->fd < 0)
        return -ENOTCONN;
    AUTOFREE char *text = json_dumps(message, JSON_COMPACT | JSON_ENCODE_ANY);
    int r = text ? buf_addf(&line, "%s\n", text) : ERR_INVALID;
    if (r == 0 && buf_add(&c->out, line.data, line.len) < 0)
        r = ERR_FULL;
    if (r < 0)
        return r;
    flush(c);
    wait_for(c);
    return 0;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct ipc *c = poll->data;
    if (status < 0) {
        over(c);
        return;
    }
    if (events & UV_WRITABLE)
        flush(c);
    if (events & UV_READABLE)
        look(c);
    wait_for(c);
}

/* ---- what others want to know ---------------------------------------------------------------- */

bool ipc_has_action(const struct instance *in, const char *name, const json_t **ret_known)
{
    const json_t *facts = in->ipc ? in->ipc->facts : NULL;
    if (ret_known)
        *ret_known = json_object_get(facts, "actions");
    return facts && ipc_facts_has_action(facts, name);
}

json_t *ipc_view(const struct instance *in)
{
    if (!in->ipc)
        return NULL;
    json_t *j = json_deep_copy(in->ipc->facts);
    json_set_int(j, "messages", in->slot->ipc_received);
    return j;
}
