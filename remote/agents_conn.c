/* agents_conn.c -- one agent's connection: its phases, its queue, its clock, and who of two of
 * one host may stay. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "remote/agents_private.h"
#include "remote/dispatch.h"
#include "remote/fleet.h"
#include "remote/foreign.h"
#include "remote/id_hash.h"

/* A buffer that is larger after a message is given back: most messages are small, and
 * connections are many. */
enum { KEEP_BYTES = 8 << 10 };

/* The steps of a beginning, in the order in which they run. */
static void take_hello(struct agent_conn *c, const json_t *hello);
static void find_place(struct agent_conn *c, const json_t *hello);
static void ask_first(struct agent_conn *first, struct agent_conn *c, const json_t *hello);
static void let_in(struct agent_conn *c, const json_t *hello);

/* ---- the queue ------------------------------------------------------------------------------- */

static void drop_out(struct agent_conn *c)
{
    struct agent_message *m;
    LIST_EACH(m, &c->out)
    {
        list_remove(&m->link);
        free(m);
    }
    c->out_bytes = 0;
}

static uint64_t now_of(const struct agent_conn *c)
{
    return uv_now(c->agents->settings.loop);
}

static void queue(struct agent_conn *c, const char *type, json_t *fields)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_CHANNEL_MESSAGE);
    int r = channel_add(&text, type, fields);
    if (r < 0) {
        log_err(r, "the message %s for host %s cannot be made", type, c->name);
        return;
    }
    struct agent_message *m = xcalloc(1, sizeof *m + AGENTS_GAP + text.len);
    m->len = text.len;
    memcpy(m->bytes + AGENTS_GAP, text.data, text.len);
    list_add(&c->out, &m->link, m);
    c->out_bytes += m->len;
    c->said_ms = now_of(c);
    agents_wake(c->wsi);
}

void agent_conn_send(struct agent_conn *c, const char *type, json_t *fields)
{
    if (c->phase == AGENT_BYE || c->deaf || !c->agents)
        return;
    if (c->out_bytes <= LIMIT_CHANNEL_QUEUE) {
        queue(c, type, fields);
        return;
    }
    /* It would not take a good-bye either.  Its end comes from the loop: whoever sends may be in
     * the middle of something. */
    log_warn(0, "host %s: connection ended: it does not take what is sent to it", c->name);
    c->deaf = true;
    drop_out(c);
    agents_kill(c->wsi);
}

struct agent_message *agent_conn_next(struct agent_conn *c)
{
    if (list_empty(&c->out))
        return NULL;
    struct agent_message *m = c->out.next->owner;
    list_remove(&m->link);
    c->out_bytes -= m->len;
    return m;
}

/* ---- who speaks for a host ------------------------------------------------------------------- */

struct agent_conn *agents_find(struct agents *a, const char *host)
{
    struct agent_conn *c;
    LIST_EACH(c, &a->hosts[id_bucket(host, AGENTS_BUCKETS)])
    {
        if (str_eq(c->host, host))
            return c;
    }
    return NULL;
}

/* It does not want anybody's place any more. */
static void leave_first(struct agent_conn *c)
{
    if (c->first)
        c->first->rival = NULL;
    c->first = NULL;
    json_decref(c->hello);
    c->hello = NULL;
}

/* Gives up its place, to the one that waits for it. */
static void leave_place(struct agent_conn *c)
{
    struct agent_conn *rival = c->rival;
    if (!c->host_link.next)
        return;
    list_remove(&c->host_link);
    fleet_set_connected(c->agents->settings.fleet, c->host, false, NULL, loop_wall_ms());
    log_info("host %s (%s) has left", c->name, c->host);
    if (!rival)
        return;
    AUTOJSON json_t *hello = json_incref(rival->hello);
    const struct host_row *row = fleet_get(c->agents->settings.fleet, c->host);
    leave_first(rival);
    if (!row || row->revoked_ms)
        agent_conn_end(rival, ERR_REVOKED, "the identity of this host is revoked");
    else if (!c->agents->closing)
        let_in(rival, hello);
}

/* What is queued still goes out. */
static void say_no_more(struct agent_conn *c)
{
    c->phase = AGENT_BYE;
    c->phase_ms = now_of(c);
    agent_blobs_leave(c);
    leave_first(c);
    leave_place(c);
    agent_conn_flow(c);
}

void agent_conn_end(struct agent_conn *c, int error, const char *fmt, ...)
{
    char text[AGENTS_TEXT];
    va_list ap;
    if (c->phase == AGENT_BYE || !c->agents)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (error == ERR_STOPPING)
        log_debug("host %s: %s", c->name, text);
    else
        log_warn(0, "host %s: connection ended (%s): %s", c->name, err_name(error), text);
    AUTOJSON json_t *fields = json_object();
    json_set_string(fields, "code", err_name(error));
    json_set_string(fields, "text", text);
    queue(c, "bye", fields);
    say_no_more(c);
}

/* ---- beginning ------------------------------------------------------------------------------- */

struct agent_conn *agent_conn_new(struct agents *a, struct lws *wsi, const char *host,
                                  int64_t certificate_until_s)
{
    struct agent_conn *c = xcalloc(1, sizeof *c);
    const struct host_row *row = fleet_get(a->settings.fleet, host);
    c->agents = a;
    c->wsi = wsi;
    c->certificate_until_s = certificate_until_s;
    (void)snprintf(c->host, sizeof c->host, "%s", host);
    (void)snprintf(c->name, sizeof c->name, "%s", row ? row->name : c->host);
    buf_init(&c->in, LIMIT_CHANNEL_MESSAGE);
    list_init(&c->out);
    list_init(&c->blobs);
    list_init(&c->pending);
    list_add(&a->conns, &c->link, c);
    c->began_ms = c->heard_ms = c->said_ms = c->phase_ms = now_of(c);
    if (!row)
        agent_conn_end(c, ERR_REVOKED, "this console knows no such host");
    else if (row->revoked_ms)
        agent_conn_end(c, ERR_REVOKED, "the identity of this host is revoked");
    else if (a->closing)
        agent_conn_end(c, ERR_STOPPING, "the console is shutting down");
    return c;
}

static void take_hello(struct agent_conn *c, const json_t *hello)
{
    int64_t min = json_get_int(hello, "min_version", 0);
    int64_t max = json_get_int(hello, "max_version", 0);
    agents_settled(c->wsi);
    if (channel_choose_version(min, max) == 0) {
        agent_conn_end(
            c, ERR_UNSUPPORTED,
            "this console speaks versions %d to %d of the channel, the agent %lld to %lld",
            CHANNEL_VERSION_MIN, CHANNEL_VERSION, (long long)min, (long long)max);
        return;
    }
    c->takes = agent_capabilities(json_object_get(hello, "capabilities"));
    (void)snprintf(c->process, sizeof c->process, "%s", json_get_string(hello, "id", ""));
    find_place(c, hello);
}

static void find_place(struct agent_conn *c, const json_t *hello)
{
    struct agent_conn *first = agents_find(c->agents, c->host);
    if (!first) {
        let_in(c, hello);
    } else if (str_eq(first->process, c->process)) {
        /* The same agent, which knows that its old connection is gone. */
        if (first->rival)
            agent_conn_end(first->rival, ERR_BUSY, "the agent of this host has connected anew");
        agent_conn_end(first, ERR_BUSY, "the same agent has connected anew");
        let_in(c, hello);
    } else if (first->rival && !str_eq(first->rival->process, c->process)) {
        agent_conn_end(c, ERR_BUSY, "another agent with this identity is connected");
    } else {
        if (first->rival)
            agent_conn_end(first->rival, ERR_BUSY, "the same agent has connected anew");
        ask_first(first, c, hello);
    }
}

/* One that is not read now cannot answer, but it was heard of. */
static void ask_first(struct agent_conn *first, struct agent_conn *c, const json_t *hello)
{
    if (first->paused) {
        agent_conn_end(c, ERR_BUSY, "another agent with this identity is connected");
        return;
    }
    c->phase = AGENT_RIVAL;
    c->phase_ms = now_of(c);
    c->hello = json_deep_copy(hello);
    c->first = first;
    first->rival = c;
    agent_conn_send(first, "ping", NULL);
}

static void let_in(struct agent_conn *c, const json_t *hello)
{
    const struct agents_settings *s = &c->agents->settings;
    char name[LIMIT_NAME + 1];
    AUTOJSON json_t *fields = json_object();
    json_set_int(fields, "min_version", CHANNEL_VERSION_MIN);
    json_set_int(fields, "max_version", CHANNEL_VERSION);
    json_set_int(fields, "version",
                 channel_choose_version(json_get_int(hello, "min_version", 0),
                                        json_get_int(hello, "max_version", 0)));
    (void)json_object_set_new(fields, "capabilities", agent_our_capabilities());
    json_set_string(fields, "release", PROCTOR_VERSION);
    json_set_string(fields, "host", c->host);
    foreign_copy(name, sizeof name, s->name ? s->name : "");
    if (name[0])
        json_set_string(fields, "name", name);
    json_set_int(fields, "now_ms", loop_wall_ms());
    agent_conn_send(c, "hello", fields);
    c->phase = AGENT_OPEN;
    c->phase_ms = c->heard_ms = now_of(c);
    list_add(&c->agents->hosts[id_bucket(c->host, AGENTS_BUCKETS)], &c->host_link, c);
    fleet_set_connected(s->fleet, c->host, true, hello, loop_wall_ms());
    (void)snprintf(c->name, sizeof c->name, "%s", fleet_get(s->fleet, c->host)->name);
    log_info("host %s (%s) is connected", c->name, c->host);
    dispatch_host_open(s->dispatch, c->host);
}

/* ---- what comes ------------------------------------------------------------------------------ */

static void take_text(struct agent_conn *c, const char *text, size_t len)
{
    char why[AGENTS_TEXT] = "";
    const struct channel_type *type;
    AUTOJSON json_t *message = NULL;
    enum channel_phase phase = c->phase == AGENT_OPEN ? CHANNEL_OPEN : CHANNEL_HELLO;
    int r = channel_parse(text, len, CHANNEL_AGENT, phase, &type, &message, why, sizeof why);
    if (r < 0) {
        agent_conn_end(c, r, "%s", why);
        return;
    }
    if (str_eq(type->name, "bye")) {
        log_info("host %s says good-bye (%.32s): %.200s", c->name,
                 json_get_string(message, "code", ""), json_get_string(message, "text", ""));
        say_no_more(c);
        agents_wake(c->wsi);
    } else if (c->phase == AGENT_HELLO) {
        take_hello(c, message);
    } else if (c->phase == AGENT_RIVAL) {
        agent_conn_end(c, ERR_PROTOCOL, "message %s came before our hello", type->name);
    } else {
        r = agent_talk(c, type->name, message, why, sizeof why);
        if (r < 0)
            agent_conn_end(c, r, "%s", why);
    }
}

static void take_binary(struct agent_conn *c, const void *data, size_t len)
{
    char why[AGENTS_TEXT] = "";
    int r = ERR_PROTOCOL;
    if (c->phase == AGENT_OPEN)
        r = agent_blob_chunk(c, data, len, why, sizeof why);
    else
        (void)snprintf(why, sizeof why, "a piece of a result came before hello");
    if (r < 0)
        agent_conn_end(c, r, "%s", why);
}

static void take_whole(struct agent_conn *c, bool binary, const void *data, size_t len)
{
    /* What answers says that it lives. */
    if (c->rival)
        agent_conn_end(c->rival, ERR_BUSY, "another agent with this identity is connected");
    if (binary)
        take_binary(c, data, len);
    else
        take_text(c, data, len);
}

void agent_conn_take(struct agent_conn *c, bool binary, const void *data, size_t len, bool last)
{
    if (c->phase == AGENT_BYE || !c->agents)
        return;
    c->heard_ms = now_of(c);
    if (!c->in_started && last) {
        take_whole(c, binary, data, len);
        return;
    }
    c->in_started = true;
    c->in_binary = binary;
    c->in.limit = binary ? BLOB_HEADER + BLOB_CHUNK : LIMIT_CHANNEL_MESSAGE;
    int r = buf_add(&c->in, data, len);
    if (r < 0) {
        agent_conn_end(c, r, "a message is longer than one may be");
        buf_clear(&c->in);
        return;
    }
    if (!last)
        return;
    c->in_started = false;
    take_whole(c, binary, buf_str(&c->in), c->in.len);
    if (c->in.cap > KEEP_BYTES)
        buf_clear(&c->in);
    buf_reset(&c->in);
}

/* ---- the clock ------------------------------------------------------------------------------- */

static void tick_open(struct agent_conn *c, uint64_t now_ms, int64_t wall_s)
{
    if (c->certificate_until_s && wall_s > c->certificate_until_s)
        /* It comes again with its new one, if it has one. */
        agent_conn_end(c, ERR_EXPIRED, "the certificate of this connection has expired");
    else if (!c->paused && now_ms - c->heard_ms > CHANNEL_SILENT_MS)
        agent_conn_end(c, UV_ETIMEDOUT, "nothing was heard for %d s", CHANNEL_SILENT_MS / 1000);
    else if (now_ms - c->said_ms >= AGENTS_PING_MS)
        agent_conn_send(c, "ping", NULL);
}

static void tick_rival(struct agent_conn *c, uint64_t now_ms)
{
    if (now_ms - c->phase_ms >= AGENTS_RIVAL_MS)
        agent_conn_end(c->first, ERR_BUSY, "it does not answer, and another agent has connected");
}

void agent_conn_tick(struct agent_conn *c, uint64_t now_ms, int64_t wall_s)
{
    switch (c->phase) {
    case AGENT_HELLO:
        if (now_ms - c->began_ms > AGENTS_HELLO_MS)
            agent_conn_end(c, UV_ETIMEDOUT, "no hello came within %d s", AGENTS_HELLO_MS / 1000);
        return;
    case AGENT_RIVAL:
        tick_rival(c, now_ms);
        return;
    case AGENT_OPEN:
        tick_open(c, now_ms, wall_s);
        return;
    case AGENT_BYE:
        if (now_ms - c->phase_ms <= AGENTS_BYE_MS)
            return;
        c->deaf = true;
        agents_kill(c->wsi);
        return;
    }
}

/* While we do not read it says nothing, as far as we know. */
void agent_conn_flow(struct agent_conn *c)
{
    bool pause = c->phase == AGENT_OPEN &&
                 (c->store_bytes > (c->paused ? AGENTS_STORE_BYTES / 2 : AGENTS_STORE_BYTES) ||
                  c->pieces > (c->paused ? AGENTS_PIECES / 2 : AGENTS_PIECES) ||
                  c->lookups > (c->paused ? AGENTS_LOOKUPS / 2 : AGENTS_LOOKUPS));
    if (pause == c->paused)
        return;
    c->paused = pause;
    if (c->agents)
        c->heard_ms = now_of(c);
    agents_flow(c->wsi, !pause);
}

/* ---- the end --------------------------------------------------------------------------------- */

void agent_pending_add(struct agent_conn *c, struct agent_pending *p)
{
    p->conn = c;
    list_add(&c->pending, &p->link, p);
}

void agent_pending_drop(struct agent_pending *p)
{
    list_remove(&p->link);
    p->conn = NULL;
}

void agent_conn_abandon(struct agent_conn *c)
{
    struct agent_pending *p;
    LIST_EACH(p, &c->pending)
    {
        agent_pending_drop(p);
    }
    agent_blobs_leave(c);
    list_remove(&c->link);
    list_remove(&c->host_link);
    c->phase = AGENT_BYE;
    c->agents = NULL;
}

void agent_conn_over(struct agent_conn *c)
{
    c->phase = AGENT_BYE;
    c->wsi = NULL;
    if (c->agents) {
        leave_first(c);
        leave_place(c);
        c->agents->closes++;
        agent_conn_abandon(c);
    }
    drop_out(c);
    buf_clear(&c->in);
    json_decref(c->hello);
    free(c);
}
