#include "agent/uplink_socket.h"

#include <assert.h>
#include <errno.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/foreign.h"
#include "agent/identity.h"
#include "agent/uplink_session.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/secure/tls.h"
#include "lib/wire/blob.h"

static_assert(UPLINK_GAP >= LWS_PRE, "libwebsockets wants a larger gap");

enum {
    RX_BYTES = 4096,
    /* One that it can write without keeping a copy of the rest. */
    TX_BYTES = BLOB_HEADER + BLOB_CHUNK + LWS_PRE,
    /* Descriptors: one connection, and what it has of its own.  Else it makes a table for as many as the system allows. */
    FDS = 16,
    TIMEOUT_S = 30,
};

struct uplink_context {
    struct lws_context *lws;
    void *ssl_ctx; /* of our connections; belongs to lws */
    bool closed;
};

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len);

static const struct lws_protocols protocols[] = {
    {.name = CHANNEL_SUBPROTOCOL,
     .callback = on_event,
     .rx_buffer_size = RX_BYTES,
     .tx_packet_size = TX_BYTES},
    {.name = NULL},
};

/* Zeros: neither pings nor a hang-up of idle connections; the session has its own. */
static const lws_retry_bo_t no_pings = {.secs_since_valid_ping = 0, .secs_since_valid_hangup = 0};

/* ---- the context ----------------------------------------------------------------------------- */

static void on_log(int level, const char *line)
{
    log_debug("libwebsockets: %.*s", (int)strcspn(line, "\n"), line);
}

struct uplink_context *uplink_context_new(uv_loop_t *loop, char *reterr_text, size_t size)
{
    struct uplink_context *c = xcalloc(1, sizeof *c);
    void *loops[] = {loop};
    lws_set_log_level(LLL_ERR | LLL_WARN, on_log);
    /* Or it sends the connection through a proxy that was meant for other programs. */
    (void)unsetenv("http_proxy");
    (void)unsetenv("socks_proxy");
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT |
                   LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS,
        .fd_limit_per_thread = FDS,
        .timeout_secs = TIMEOUT_S,
        .foreign_loops = loops,
        .user = c,
    };
    c->lws = lws_create_context(&info);
    if (c->lws && c->ssl_ctx)
        return c;
    (void)snprintf(reterr_text, size,
                   "libwebsockets cannot be used with libuv and TLS here (is its plugin"
                   " libwebsockets-evlib-uv installed?)");
    if (c->lws) {
        /* Without a connection both calls may come at once. */
        lws_context_destroy(c->lws);
        lws_context_destroy(c->lws);
    }
    free(c);
    return NULL;
}

int uplink_context_use(struct uplink_context *c, const struct identity *id, const char *host)
{
    const struct tls_setup setup = {
        .cert_pem = id->cert_pem, .key_pem = id->key_pem, .ca_pem = id->ca_pem, .host = host};
    return tls_setup(c->ssl_ctx, &setup);
}

void uplink_context_close(struct uplink_context *c)
{
    if (!c->closed)
        lws_context_destroy(c->lws);
    c->closed = true;
}

void uplink_context_free(struct uplink_context *c)
{
    if (!c)
        return;
    /* The first call starts to close its handles, the second frees; with one alone it leaks. */
    uplink_context_close(c);
    lws_context_destroy(c->lws);
    free(c);
}

/* ---- one connection -------------------------------------------------------------------------- */

int uplink_socket_open(struct uplink_socket *s, struct uplink_context *c, const char *address,
                       unsigned port, const char *host,
                       const struct uplink_socket_callbacks *callbacks, void *arg,
                       char *reterr_text, size_t size)
{
    *s = (struct uplink_socket){.callbacks = callbacks, .arg = arg, .starting = true};
    struct lws_client_connect_info info = {
        .context = c->lws,
        .address = address,
        .port = (int)port,
        .path = "/",
        .host = host,
        .ssl_connection =
            LCCSCF_USE_SSL | LCCSCF_HTTP_NO_FOLLOW_REDIRECT |
            /* What tls_setup() says about the host stands; this would also cut an IPv6 address at its first
                           * colon. */
            LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK,
        .alpn = "http/1.1",
        .protocol = CHANNEL_SUBPROTOCOL,
        .local_protocol_name = CHANNEL_SUBPROTOCOL,
        .userdata = s,
        .pwsi = &s->wsi,
        .retry_and_idle_policy = &no_pings,
    };
    struct lws *wsi = lws_client_connect_via_info(&info);
    s->starting = false;
    if (wsi)
        return 0;
    s->wsi = NULL;
    (void)snprintf(reterr_text, size, "%s cannot be reached", address);
    return ERR_UNREACHABLE;
}

void uplink_socket_want_room(struct uplink_socket *s)
{
    if (s->wsi && s->open)
        (void)lws_callback_on_writable(s->wsi);
}

void uplink_socket_write(struct uplink_socket *s, char *bytes, size_t len, bool binary)
{
    int n =
        lws_write(s->wsi, (unsigned char *)bytes, len, binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT);
    s->failed = n < (int)len;
}

void uplink_socket_end(struct uplink_socket *s)
{
    if (!s->open) {
        uplink_socket_kill(s);
        return;
    }
    s->ending = true;
    (void)lws_callback_on_writable(s->wsi);
}

/* libwebsockets would go on sending what it has not sent yet, for a peer that does not read for ever when it is told to stop each
 * second: so the socket is made one that takes nothing. */
void uplink_socket_kill(struct uplink_socket *s)
{
    s->ending = true;
    if (!s->wsi)
        return;
    (void)shutdown(lws_get_socket_fd(s->wsi), SHUT_RDWR);
    lws_set_timeout(s->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_SYNC);
}

/* ---- callbacks of libwebsockets -------------------------------------------------------------- */

/* Of TLS libwebsockets says "connect SSL err 1" at best. */
static int explain(const struct uplink_socket *s, struct lws *wsi, const char *said, char *text,
                   size_t size)
{
    char words[200];
    int status = (int)lws_http_client_http_response(wsi);
    void *ssl = lws_get_ssl(wsi);
    foreign_copy(words, sizeof words, said ? said : "no reason given");
    if (status > 0) {
        (void)snprintf(text, size, "the console does not take the connection: HTTP status %d",
                       status);
        return ERR_PROTOCOL;
    }
    if (ssl) {
        tls_explain(ssl, text, size);
        log_debug("libwebsockets: %s: %s", words, text);
        return s->secured ? -ECONNRESET : ERR_UNTRUSTED;
    }
    (void)snprintf(text, size, "the console cannot be reached: %s", words);
    return ERR_UNREACHABLE;
}

/* The first that tells of an end counts: a server that breaks off between TLS and the upgrade, as it does when it does not like our
 * certificate under TLS 1.3, is told of neither as an error nor as closed, only as LWS_CALLBACK_CLOSED_CLIENT_HTTP. */
static void be_over(struct uplink_socket *s, struct lws *wsi, const char *said)
{
    char text[UPLINK_TEXT] = "the connection to the console broke";
    int r = s->open ? -ECONNRESET : explain(s, wsi, said, text, sizeof text);
    lws_set_wsi_user(wsi, NULL);
    s->wsi = NULL;
    s->open = false;
    if (!s->starting)
        s->callbacks->on_closed(s->arg, r, text);
}

/* Returns what libwebsockets wants: non-zero closes the connection. */
static int on_writable(struct uplink_socket *s)
{
    if (s->ending) {
        lws_close_reason(s->wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
        return -1;
    }
    s->callbacks->on_room(s->arg);
    return s->failed ? -1 : 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct uplink_socket *s = user;
    if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_CLIENT_VERIFY_CERTS) {
        /* Its context is set up later and again, by uplink_context_use(). */
        struct uplink_context *c = lws_context_user(lws_get_context(wsi));
        c->ssl_ctx = user;
        return 0;
    }
    /* About the context as a whole. */
    if (!s)
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    /* A part of enum lws_callback_reasons; all others keep their meaning. */
    switch ((int)reason) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        s->secured = true;
        return 0;
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        s->open = true;
        s->callbacks->on_open(s->arg);
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        be_over(s, wsi, in);
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        s->callbacks->on_data(s->arg, in, len, lws_frame_is_binary(wsi) != 0,
                              lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0);
        return 0;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return on_writable(s);
    case LWS_CALLBACK_CLIENT_CLOSED:
    case LWS_CALLBACK_CLOSED_CLIENT_HTTP:
    case LWS_CALLBACK_WSI_DESTROY:
        be_over(s, wsi, NULL);
        return 0;
    case LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION:
        /* tls_setup() has its own verification; `user` is OpenSSL's here. */
        return 0;
    }
    return lws_callback_http_dummy(wsi, reason, user, in, len);
}
