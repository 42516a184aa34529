/* agents_listen.c -- the agent port: TLS with client certificates, WebSocket, and nothing else.
 * All of our calls into libwebsockets that agents need.
 *
 * The port has a context of libwebsockets of its own.  In one context with the web port,
 * libwebsockets would hand requests (and SNI the TLS settings) from one port to the other by
 * what a stranger writes into Host, as both vhosts do not listen by themselves. */
#include <assert.h>
#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/secure/cert.h"
#include "lib/secure/tls.h"
#include "remote/agents_private.h"
#include "remote/authority.h"
#include "remote/http_listen.h"

_Static_assert(AGENTS_GAP >= LWS_PRE, "libwebsockets needs room before what it sends");

enum {
    RX_BYTES = 4096,          /* of each connection */
    SERVICE_BYTES = 16 << 10, /* of all: one TLS record */
    HEAD_BYTES = 4096,
    SILENT_S = 20, /* until TLS and upgrade are done */
    PER_ADDRESS = LIMIT_AGENT_HANDSHAKES / 4,
    BYE_MS = 1000, /* good-byes go out before the end */
    TICK_MS = 5,
    QUIET_TICKS = 3,
    GIVE_UP_TICKS = 400,
};

/* The one of enum lws_write_protocol that its public header passes over. */
#define WRITE_CLOSE ((enum lws_write_protocol)4)

struct agents_port {
    struct agents *agents; /* NULL: ending */
    uv_loop_t *loop;
    struct lws_context *context;
    void *ssl_ctx; /* of its vhost */
    struct http_listener *listener;
    struct list newcomers; /* of struct newcomer */
    uv_timer_t timer;      /* of the end */
    uint64_t ends_ms;
    unsigned quiet, ticks;
    bool ending, gone, freeing;
};

/* A connection that is no WebSocket yet.  The time limits of libwebsockets begin with the first
 * event of its own, so that one that says nothing would stay for ever. */
struct newcomer {
    struct list link;
    struct lws *wsi;
    uint64_t since_ms;
};

/* What libwebsockets keeps for each connection. */
struct session {
    struct agent_conn *conn;
};

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len);
static int on_stranger(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                       size_t len);

static const struct lws_protocols protocols[] = {
    /* What comes before the upgrade, and what is none. */
    {.name = "http", .callback = on_stranger, .per_session_data_size = sizeof(struct session)},
    {.name = CHANNEL_SUBPROTOCOL,
     .callback = on_event,
     .per_session_data_size = sizeof(struct session),
     .rx_buffer_size = RX_BYTES},
    {.name = NULL},
};

/* Zeros: the clock of agents.c is the one for all connections. */
static const lws_retry_bo_t no_pings = {.secs_since_valid_ping = 0, .secs_since_valid_hangup = 0};

/* ---- of one connection ----------------------------------------------------------------------- */

void agents_wake(struct lws *wsi)
{
    if (wsi)
        (void)lws_callback_on_writable(wsi);
}

void agents_flow(struct lws *wsi, bool reads)
{
    if (wsi)
        (void)lws_rx_flow_control(wsi, reads);
}

void agents_settled(struct lws *wsi)
{
    if (wsi)
        http_listener_settled(wsi);
}

/* Closing the socket for the kernel makes the loop tell libwebsockets, in every state. */
void agents_kill(struct lws *wsi)
{
    if (!wsi)
        return;
    (void)shutdown(lws_get_socket_fd(wsi), SHUT_RDWR);
    (void)lws_callback_on_writable(wsi);
}

static struct agents_port *port_of(struct lws *wsi)
{
    struct lws_vhost *vhost = wsi ? lws_get_vhost(wsi) : NULL;
    return vhost ? lws_get_vhost_user(vhost) : NULL;
}

/* ---- newcomers ------------------------------------------------------------------------------- */

static void add_newcomer(struct agents_port *p, struct lws *wsi)
{
    struct newcomer *n = xcalloc(1, sizeof *n);
    n->wsi = wsi;
    n->since_ms = uv_now(p->loop);
    list_add(&p->newcomers, &n->link, n);
}

static void remove_newcomer(struct agents_port *p, const struct lws *wsi)
{
    struct newcomer *n;
    LIST_EACH(n, &p->newcomers)
    {
        if (n->wsi != wsi)
            continue;
        list_remove(&n->link);
        free(n);
    }
}

void agents_port_tick(struct agents_port *p, uint64_t now_ms)
{
    struct newcomer *n;
    LIST_EACH(n, &p->newcomers)
    {
        if (now_ms - n->since_ms > 1000 * SILENT_S)
            agents_kill(n->wsi);
    }
}

/* ---- connections ----------------------------------------------------------------------------- */

/* Whose certificate it is was checked in the handshake; whether he may still come is
 * agents_conn.c's business. */
static int on_open(struct agents_port *p, struct lws *wsi, struct session *s)
{
    struct cert_facts peer;
    remove_newcomer(p, wsi);
    int r = tls_peer(lws_get_ssl(wsi), &peer);
    if (r == 0 && peer.not_after_s < (int64_t)time(NULL))
        r = ERR_EXPIRED;
    if (r < 0 || !p->agents) {
        log_debug("a connection from %s has no certificate that counts: %s",
                  http_listener_peer(wsi), err_str(r));
        return -1;
    }
    if (strlen(peer.common_name) >= UUID_TEXT) {
        log_warn(0, "a certificate from %s names no host", http_listener_peer(wsi));
        return -1;
    }
    s->conn = agent_conn_new(p->agents, wsi, peer.common_name, peer.not_after_s);
    s->conn->certificate_from_s = peer.not_before_s;
    return 0;
}

/* On libuv, libwebsockets cuts the connection when a callback says that it is over, without the
 * close frame that lws_close_reason() would send.  So we write it, and the peer's own, or its
 * silence, ends the connection. */
static int write_close(struct agent_conn *c)
{
    unsigned char frame[AGENTS_GAP + 2] = {0};
    if (c->said_close)
        return 0;
    c->said_close = true;
    frame[AGENTS_GAP] = LWS_CLOSE_STATUS_NORMAL >> 8;
    frame[AGENTS_GAP + 1] = LWS_CLOSE_STATUS_NORMAL & 0xff;
    return lws_write(c->wsi, frame + AGENTS_GAP, 2, WRITE_CLOSE) < 2 ? -1 : 0;
}

static int on_writable(struct agent_conn *c)
{
    struct agent_message *m = c->deaf ? NULL : agent_conn_next(c);
    if (c->deaf)
        return -1;
    if (m) {
        int n = lws_write(c->wsi, m->bytes + AGENTS_GAP, m->len, LWS_WRITE_TEXT);
        bool sent = n >= (int)m->len;
        free(m);
        if (sent)
            (void)lws_callback_on_writable(c->wsi);
        return sent ? 0 : -1;
    }
    return c->phase == AGENT_BYE ? write_close(c) : 0;
}

static void on_over(struct session *s)
{
    if (s && s->conn)
        agent_conn_over(s->conn);
    if (s)
        s->conn = NULL;
}

/* ---- callbacks of libwebsockets -------------------------------------------------------------- */

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct agents_port *p = port_of(wsi);
    struct session *s = user;
    if (!p)
        return 0;
    /* A part of enum lws_callback_reasons; all others keep their meaning. */
    switch ((int)reason) {
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
        /* Without the header libwebsockets takes any protocol for meant. */
        return p->agents && lws_hdr_total_length(wsi, WSI_TOKEN_PROTOCOL) > 0 ? 0 : -1;
    case LWS_CALLBACK_ESTABLISHED:
        return on_open(p, wsi, s);
    case LWS_CALLBACK_RECEIVE:
        if (!s->conn)
            return -1;
        agent_conn_take(s->conn, lws_frame_is_binary(wsi), in, len,
                        lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0);
        return 0;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return s->conn && s->conn->said_close ? -1 : 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return s->conn ? on_writable(s->conn) : -1;
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_WS_SERVER_DROP_PROTOCOL:
        on_over(s);
        return 0;
    }
    return 0;
}

static int on_load_certificates(struct agents_port *p, void *ssl_ctx)
{
    p->ssl_ctx = ssl_ctx;
    return agents_port_renew(p) < 0 ? 1 : 0;
}

int agents_port_renew(struct agents_port *p)
{
    if (p->ending)
        return ERR_STOPPING;
    const struct authority *a = p->agents->settings.authority;
    const struct tls_setup setup = {.cert_pem = a->server_cert_pem,
                                    .chain_pem = a->ca_cert_pem,
                                    .key_pem = a->server_key_pem,
                                    .ca_pem = a->ca_cert_pem,
                                    .server = true,
                                    .need_client_cert = true};
    int r = tls_setup(p->ssl_ctx, &setup);
    if (r < 0)
        log_err(r, "agent port: the certificate or its key cannot be used");
    return r;
}

static int on_stranger(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                       size_t len)
{
    struct agents_port *p = port_of(wsi);
    if (!p)
        return 0;
    switch ((int)reason) {
    case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_CLIENT_VERIFY_CERTS:
        http_listener_remember(user);
        return 0;
    case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
        return on_load_certificates(p, user);
    case LWS_CALLBACK_WSI_CREATE:
        add_newcomer(p, wsi);
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        remove_newcomer(p, wsi);
        http_listener_gone(wsi);
        return 0;
    case LWS_CALLBACK_HTTP:
    case LWS_CALLBACK_HTTP_BODY:
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION:
    case LWS_CALLBACK_ESTABLISHED:
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_RAW_ADOPT:
    case LWS_CALLBACK_RAW_RX:
    case LWS_CALLBACK_RAW_WRITEABLE:
        return -1;
    }
    return 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

static struct lws_context *make_context(uv_loop_t *loop)
{
    void *loops[] = {loop};
    const struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT |
                   LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .foreign_loops = loops,
        .timeout_secs = SILENT_S,
        .pt_serv_buf_size = SERVICE_BYTES,
        .max_http_header_data2 = HEAD_BYTES,
        .max_http_header_pool2 = LIMIT_AGENT_HANDSHAKES,
        .retry_and_idle_policy = &no_pings,
    };
    return lws_create_context(&info);
}

static struct lws_vhost *make_vhost(struct agents_port *p)
{
    const struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .vhost_name = "agents",
        .protocols = protocols,
        .user = p,
        .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX |
                   LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS,
        .alpn = "http/1.1",
        .headers = http_listener_no_pages(),
        .keepalive_timeout = SILENT_S,
        .timeout_secs_ah_idle = SILENT_S,
        .retry_and_idle_policy = &no_pings,
    };
    return lws_create_vhost(p->context, &info);
}

int agents_port_open(struct agents_port **ret_port, struct agents *a)
{
    struct agents_port *p = xcalloc(1, sizeof *p);
    const struct http_listener_settings settings = {
        .loop = a->settings.loop,
        .listen = a->settings.listen,
        .what = "agent port",
        .most = LIMIT_HOSTS + LIMIT_AGENT_HANDSHAKES,
        .most_new = LIMIT_AGENT_HANDSHAKES,
        .most_of_one = PER_ADDRESS,
    };
    p->loop = a->settings.loop;
    int r = http_listener_open(&p->listener, &settings);
    if (r < 0) {
        free(p);
        return r;
    }
    p->agents = a;
    list_init(&p->newcomers);
    p->timer.data = p;
    (void)uv_timer_init(p->loop, &p->timer);
    p->context = make_context(p->loop);
    struct lws_vhost *vhost = p->context ? make_vhost(p) : NULL;
    r = vhost ? http_listener_start(p->listener, vhost) : ERR_FAILED;
    if (r < 0) {
        agents_port_free(p);
        return r;
    }
    *ret_port = p;
    return 0;
}

const char *agents_port_address(const struct agents_port *p)
{
    return http_listener_address(p->listener);
}

/* ---- the end, in steps ----------------------------------------------------------------------- */

static void on_wait_for_byes(uv_timer_t *timer);
static void on_wait_for_handles(uv_timer_t *timer);
static void on_closed(uv_handle_t *handle);

void agents_port_close(struct agents_port *p)
{
    if (p->ending)
        return;
    p->ending = true;
    http_listener_close(p->listener);
    p->ends_ms = uv_now(p->loop) + BYE_MS;
    (void)uv_timer_start(&p->timer, on_wait_for_byes, TICK_MS, TICK_MS);
}

void agents_port_free(struct agents_port *p)
{
    if (!p)
        return;
    agents_port_close(p);
    p->agents = NULL;
    p->freeing = true;
    /* Nobody waits for good-byes any more. */
    p->ends_ms = 0;
    if (p->gone)
        free(p);
}

static void on_wait_for_byes(uv_timer_t *timer)
{
    struct agents_port *p = timer->data;
    if (http_listener_count(p->listener) > 0 && uv_now(p->loop) < p->ends_ms)
        return;
    /* The first call begins to close its handles, the second frees, and may only come when they
     * are closed. */
    if (p->context)
        lws_context_destroy(p->context);
    (void)uv_timer_start(timer, on_wait_for_handles, TICK_MS, TICK_MS);
}

static void look(uv_handle_t *handle, void *arg)
{
    bool *busy = arg;
    *busy |= uv_is_closing(handle) != 0;
}

static void on_wait_for_handles(uv_timer_t *timer)
{
    struct agents_port *p = timer->data;
    bool busy = false;
    uv_walk(p->loop, look, &busy);
    p->quiet = busy ? 0 : p->quiet + 1;
    if (p->quiet < QUIET_TICKS && ++p->ticks < GIVE_UP_TICKS)
        return;
    if (p->context)
        lws_context_destroy(p->context);
    p->context = NULL;
    http_listener_free(p->listener);
    p->listener = NULL;
    uv_close((uv_handle_t *)timer, on_closed);
}

static void on_closed(uv_handle_t *handle)
{
    struct agents_port *p = handle->data;
    p->gone = true;
    if (p->freeing)
        free(p);
}
