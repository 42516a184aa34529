#include "agent/uplink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/address.h"
#include "agent/identity.h"
#include "agent/resolve.h"
#include "agent/uplink_socket.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/uuid.h"

enum {
    TICK_MS = 1000,
    /* From uplink_open() to the console's hello. */
    OPEN_MS = 20000,
    /* For a bye and the close frames. */
    END_MS = 1000,
};

enum uplink_step {
    UPLINK_IDLE,
    UPLINK_RESOLVING,
    UPLINK_CONNECTING, /* TCP, TLS, WebSocket */
    UPLINK_NEXT,       /* another address is tried with the next turn of the loop */
    UPLINK_TALKING,    /* the session */
    UPLINK_ENDING,     /* the last messages and the close frames */
    UPLINK_OVER,       /* on_closed() comes with the next turn of the loop */
};

struct uplink {
    uv_loop_t *loop;
    const struct uplink_callbacks *callbacks;
    void *arg;
    char agent_id[UUID_TEXT];
    struct uplink_context *context; /* NULL until the first connection */
    enum uplink_step step;
    uv_timer_t timer; /* each second; at UPLINK_OVER at once */
    int64_t deadline_ms;
    struct address address;
    char header[ADDRESS_TEXT]; /* the Host header */
    char host_id[UUID_TEXT];
    struct resolve *resolve;
    struct resolved found;
    unsigned tried;
    struct uplink_socket socket;
    struct uplink_session session;
    bool has_session;
    char *frame; /* a gap and a binary frame; NULL until the first */
    int code;    /* why it is over */
    char text[UPLINK_TEXT];
    bool ended; /* uplink_end() */
};

/* The steps, in the order in which they run. */
static void on_resolved(void *arg, int r, const char *why, const struct resolved *found);
static void try_next(struct uplink *u);
static void on_socket_open(void *arg);
static void on_socket_data(void *arg, const char *data, size_t len, bool binary, bool final);
static void on_socket_room(void *arg);
static void on_session_open(void *arg, const json_t *hello);
static void on_session_message(void *arg, const char *type, const json_t *message);
static void on_session_queued(void *arg);
static void on_session_over(void *arg);
static void on_socket_closed(void *arg, int r, const char *text);
static void finish(struct uplink *u, int code, const char *text);
static void on_timer(uv_timer_t *timer);
static void over(struct uplink *u);

static const struct uplink_socket_callbacks socket_callbacks = {
    .on_open = on_socket_open,
    .on_data = on_socket_data,
    .on_room = on_socket_room,
    .on_closed = on_socket_closed,
};

static const struct uplink_session_callbacks session_callbacks = {
    .on_open = on_session_open,
    .on_message = on_session_message,
    .on_queued = on_session_queued,
    .on_over = on_session_over,
};

static int64_t now_ms(const struct uplink *u)
{
    return (int64_t)uv_now(u->loop);
}

struct uplink *uplink_new(uv_loop_t *loop, const struct uplink_callbacks *callbacks, void *arg)
{
    struct uplink *u = xcalloc(1, sizeof *u);
    *u = (struct uplink){.loop = loop, .callbacks = callbacks, .arg = arg};
    uuid_make(u->agent_id);
    (void)uv_timer_init(loop, &u->timer);
    u->timer.data = u;
    return u;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int prepare(struct uplink *u, const struct identity *id, char *reterr_text, size_t size)
{
    int r = address_parse(id->agents, &u->address);
    if (r < 0) {
        (void)snprintf(reterr_text, size, "the address of the console is not host:port");
        return r;
    }
    if (!u->context)
        u->context = uplink_context_new(u->loop, reterr_text, size);
    if (!u->context)
        return ERR_UNSUPPORTED;
    r = uplink_context_use(u->context, id, u->address.host);
    if (r < 0)
        (void)snprintf(reterr_text, size, "the certificate of this host cannot be used: %s",
                       err_str(r));
    (void)snprintf(u->header, sizeof u->header, "%s", id->agents);
    (void)snprintf(u->host_id, sizeof u->host_id, "%s", id->host);
    return r;
}

static void take_numeric(struct uplink *u)
{
    u->found = (struct resolved){.count = 1};
    (void)snprintf(u->found.address[0], RESOLVE_TEXT, "%.*s", RESOLVE_TEXT - 1, u->address.host);
    try_next(u);
}

static void start_resolving(struct uplink *u)
{
    u->step = UPLINK_RESOLVING;
    int r = resolve_start(u->loop, u->address.host, on_resolved, u, &u->resolve);
    if (r < 0)
        finish(u, r, "no thread could be started to look up the console's name");
}

void uplink_open(struct uplink *u, const struct identity *id)
{
    char text[UPLINK_TEXT];
    if (u->step != UPLINK_IDLE || u->ended)
        return;
    uv_update_time(u->loop);
    u->tried = 0;
    u->deadline_ms = now_ms(u) + OPEN_MS;
    (void)uv_timer_start(&u->timer, on_timer, TICK_MS, TICK_MS);
    u->step = UPLINK_CONNECTING;
    int r = prepare(u, id, text, sizeof text);
    if (r < 0)
        finish(u, r, text);
    else if (u->address.numeric)
        take_numeric(u);
    else
        start_resolving(u);
}

static void on_resolved(void *arg, int r, const char *why, const struct resolved *found)
{
    struct uplink *u = arg;
    char text[UPLINK_TEXT];
    u->resolve = NULL;
    if (r < 0) {
        (void)snprintf(text, sizeof text, "the name %s cannot be resolved: %s", u->address.host,
                       why);
        finish(u, r, text);
        return;
    }
    u->found = *found;
    try_next(u);
}

static void try_next(struct uplink *u)
{
    char text[UPLINK_TEXT] = "the console cannot be reached";
    u->step = UPLINK_CONNECTING;
    while (u->tried < u->found.count) {
        const char *address = u->found.address[u->tried++];
        bool opened = uplink_socket_open(&u->socket, u->context, address, u->address.port,
                                         u->header, &socket_callbacks, u, text, sizeof text) == 0;
        if (opened)
            return;
    }
    finish(u, ERR_UNREACHABLE, text);
}

static void on_socket_open(void *arg)
{
    struct uplink *u = arg;
    if (u->step != UPLINK_CONNECTING)
        return;
    u->step = UPLINK_TALKING;
    uplink_session_init(&u->session, u->host_id, u->agent_id, &session_callbacks, u, now_ms(u));
    u->has_session = true;
    uplink_socket_want_room(&u->socket);
}

static void on_session_open(void *arg, const json_t *hello)
{
    struct uplink *u = arg;
    u->callbacks->on_open(u->arg, hello);
}

/* ---- talking --------------------------------------------------------------------------------- */

static void on_socket_data(void *arg, const char *data, size_t len, bool binary, bool final)
{
    struct uplink *u = arg;
    if (u->has_session)
        uplink_session_data(&u->session, data, len, binary, final, now_ms(u));
}

static void on_session_message(void *arg, const char *type, const json_t *message)
{
    struct uplink *u = arg;
    u->callbacks->on_message(u->arg, type, message);
}

static void on_session_queued(void *arg)
{
    struct uplink *u = arg;
    uplink_socket_want_room(&u->socket);
}

static void write_piece(struct uplink *u)
{
    if (!u->frame)
        u->frame = xcalloc(1, UPLINK_GAP + BLOB_HEADER + BLOB_CHUNK);
    char *bytes = u->frame + UPLINK_GAP;
    size_t len = u->callbacks->on_room(u->arg, (uint8_t *)bytes);
    if (len == 0)
        return;
    u->session.said_ms = now_ms(u);
    uplink_socket_write(&u->socket, bytes, len, true);
    uplink_socket_want_room(&u->socket);
}

static void on_socket_room(void *arg)
{
    struct uplink *u = arg;
    if (!u->has_session)
        return;
    struct uplink_text *t = uplink_session_next(&u->session, now_ms(u));
    if (t) {
        uplink_socket_write(&u->socket, t->bytes + UPLINK_GAP, t->len, false);
        free(t);
        uplink_socket_want_room(&u->socket);
    } else if (u->session.over) {
        uplink_socket_end(&u->socket);
    } else if (u->session.phase == CHANNEL_OPEN) {
        write_piece(u);
    }
}

bool uplink_can(const struct uplink *u, enum uplink_capability capability)
{
    return u->step == UPLINK_TALKING && u->session.phase == CHANNEL_OPEN &&
           (u->session.capabilities & capability);
}

int uplink_send(struct uplink *u, const char *type, json_t *fields)
{
    if (u->step != UPLINK_TALKING || u->session.phase != CHANNEL_OPEN)
        return 0;
    return uplink_session_send(&u->session, type, fields);
}

void uplink_wake(struct uplink *u)
{
    if (u->step == UPLINK_TALKING)
        uplink_socket_want_room(&u->socket);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void keep_reason(struct uplink *u, int code, const char *text)
{
    u->code = code;
    (void)snprintf(u->text, sizeof u->text, "%s", text);
}

static void on_session_over(void *arg)
{
    struct uplink *u = arg;
    keep_reason(u, u->session.code, u->session.text);
    u->step = UPLINK_ENDING;
    u->deadline_ms = now_ms(u) + END_MS;
    uplink_socket_want_room(&u->socket);
}

void uplink_close(struct uplink *u, int code, const char *text)
{
    if (u->step == UPLINK_RESOLVING || u->step == UPLINK_NEXT) {
        finish(u, code, text);
    } else if (u->step == UPLINK_CONNECTING) {
        keep_reason(u, code, text);
        u->step = UPLINK_ENDING;
        uplink_socket_kill(&u->socket);
    } else if (u->step == UPLINK_TALKING) {
        uplink_session_end(&u->session, code, text);
    }
}

static void on_socket_closed(void *arg, int r, const char *text)
{
    struct uplink *u = arg;
    /* Where somebody answers, the other addresses would say the same. */
    bool next = r == ERR_UNREACHABLE && u->tried < u->found.count;
    if (u->step == UPLINK_CONNECTING && next) {
        u->step = UPLINK_NEXT;
        (void)uv_timer_start(&u->timer, on_timer, 0, TICK_MS);
    } else if (u->step == UPLINK_ENDING) {
        finish(u, u->code, u->text);
    } else {
        finish(u, r, text);
    }
}

/* The only way out, from any step. */
static void finish(struct uplink *u, int code, const char *text)
{
    if (u->resolve)
        resolve_cancel(TAKE(u->resolve));
    if (text != u->text)
        keep_reason(u, code, text);
    u->step = UPLINK_OVER;
    (void)uv_timer_start(&u->timer, on_timer, 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct uplink *u = timer->data;
    bool late = now_ms(u) >= u->deadline_ms;
    bool open = u->has_session && u->session.phase == CHANNEL_OPEN;
    switch (u->step) {
    case UPLINK_IDLE:
        return;
    case UPLINK_RESOLVING:
    case UPLINK_CONNECTING:
        if (late)
            uplink_close(u, -ETIMEDOUT, "the console did not answer within 20 s");
        return;
    case UPLINK_NEXT:
        try_next(u);
        return;
    case UPLINK_TALKING:
        uplink_session_tick(&u->session, now_ms(u));
        if (late && !open)
            uplink_session_end(&u->session, -ETIMEDOUT, "the console said no hello within 20 s");
        return;
    case UPLINK_ENDING:
        if (late)
            uplink_socket_kill(&u->socket);
        return;
    case UPLINK_OVER:
        over(u);
        return;
    }
}

static void close_all(struct uplink *u)
{
    uv_close((uv_handle_t *)&u->timer, NULL);
    if (u->context)
        uplink_context_close(u->context);
}

static void over(struct uplink *u)
{
    (void)uv_timer_stop(&u->timer);
    if (u->has_session)
        uplink_session_clear(&u->session);
    u->has_session = false;
    free(u->frame);
    u->frame = NULL;
    u->step = UPLINK_IDLE;
    if (u->ended)
        close_all(u);
    u->callbacks->on_closed(u->arg, u->code, u->text);
}

void uplink_end(struct uplink *u)
{
    if (u->ended)
        return;
    u->ended = true;
    if (u->step == UPLINK_IDLE)
        close_all(u);
    else
        uplink_close(u, ERR_STOPPING, "the agent of this host is ending");
}

void uplink_free(struct uplink *u)
{
    if (!u)
        return;
    uplink_context_free(u->context);
    free(u->frame);
    free(u);
}
