#include "remote/http.h"

#include <errno.h>
#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/secure/tls.h"
#include "remote/http_ending.h"
#include "remote/http_listen.h"
#include "remote/http_private.h"

enum { WATCH_MS = 500 };

/* What libwebsockets keeps for us with a connection. */
struct session {
    struct http_conn *conn;
};

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len);

/* HTTP is ours: http_private.h says why. */
static const struct lws_protocols protocols[] = {
    {.name = "https",
     .callback = on_event,
     .per_session_data_size = sizeof(struct session),
     .rx_buffer_size = HTTP_SERVICE_BUFFER},
    {.name = NULL},
};

/* Zeros: live.c asks its viewers itself. */
static const lws_retry_bo_t no_pings = {.secs_since_valid_ping = 0, .secs_since_valid_hangup = 0};

/* ---- callbacks of libwebsockets -------------------------------------------------------------- */

static int on_load_certificates(struct http *h, void *ssl_ctx)
{
    const struct http_settings *s = &h->settings;
    h->ssl_ctx = ssl_ctx;
    return http_renew(h, s->cert_pem, s->chain_pem, s->key_pem) < 0 ? 1 : 0;
}

int http_renew(struct http *h, const char *cert_pem, const char *chain_pem, const char *key_pem)
{
    const struct tls_setup setup = {
        .cert_pem = cert_pem, .chain_pem = chain_pem, .key_pem = key_pem, .server = true};
    int r = h->closing ? ERR_STOPPING : tls_setup(h->ssl_ctx, &setup);
    if (r < 0)
        log_err(r, "web port: the certificate or its key cannot be used");
    return r;
}

static int on_gone(struct session *s)
{
    if (s && s->conn)
        http_conn_gone(s->conn);
    if (s)
        s->conn = NULL;
    return 0;
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct lws_vhost *vhost = wsi ? lws_get_vhost(wsi) : NULL;
    struct http *h = vhost ? lws_get_vhost_user(vhost) : NULL;
    struct session *s = user;
    /* A part of enum lws_callback_reasons; all others keep their meaning. */
    switch ((int)reason) {
    case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_CLIENT_VERIFY_CERTS:
        http_listener_remember(user);
        return 0;
    case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS:
        return h ? on_load_certificates(h, user) : 1;
    case LWS_CALLBACK_RAW_ADOPT:
        if (!s || !h)
            return -1;
        s->conn = http_conn_new(h, wsi);
        return 0;
    case LWS_CALLBACK_RAW_RX:
        return s && s->conn ? http_conn_received(s->conn, in, len) : -1;
    case LWS_CALLBACK_RAW_WRITEABLE:
        return s && s->conn ? http_conn_writeable(s->conn) : -1;
    /* Of each end at least one comes, while the session is still there. */
    case LWS_CALLBACK_RAW_CLOSE:
    case LWS_CALLBACK_RAW_SKT_DROP_PROTOCOL:
        return on_gone(s);
    case LWS_CALLBACK_WSI_DESTROY:
        http_listener_gone(wsi);
        return 0;
    }
    return 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Its lines end in a newline and begin with a time of their own.  Bad requests are noise of
 * strangers, so that debug it is. */
static void emit(int level, const char *line)
{
    log_debug("libwebsockets: %.*s", (int)strcspn(line, "\n"), line);
}

static struct lws_context *make_context(struct http *h)
{
    void *loops[] = {h->loop};
    const struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT |
                   LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .foreign_loops = loops,
        .timeout_secs = h->settings.silent_s,
        .pt_serv_buf_size = HTTP_SERVICE_BUFFER,
        /* Of the agents' port: one for each connection whose head is read; with fewer, some slow
         * ones hold up all others. */
        .max_http_header_data2 = LIMIT_HTTP_HEAD,
        .max_http_header_pool2 = LIMIT_AGENT_HANDSHAKES,
        .retry_and_idle_policy = &no_pings,
    };
    lws_set_log_level(LLL_ERR | LLL_WARN | LLL_NOTICE, emit);
    return lws_create_context(&info);
}

static struct lws_vhost *make_vhost(struct http *h)
{
    const struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .vhost_name = "web",
        .protocols = protocols,
        .user = h,
        .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX |
                   LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS,
        .alpn = "http/1.1",
        .retry_and_idle_policy = &no_pings,
    };
    return lws_create_vhost(h->context, &info);
}

static char **copy_names(const char *const *names)
{
    size_t count = 0;
    while (names && names[count])
        count++;
    char **copy = xcalloc(count + 1, sizeof *copy);
    for (size_t i = 0; i < count; i++)
        copy[i] = xstrdup(names[i]);
    return copy;
}

static void free_http(struct http *h)
{
    struct http_exchange *x;
    /* Those that somebody still has are on their own. */
    LIST_EACH(x, &h->all)
    {
        x->http = NULL;
        list_remove(&x->link);
    }
    for (size_t i = 0; h->names[i]; i++)
        free(h->names[i]);
    free(h->names);
    http_ending_free(h->ending);
    free(h);
}

static struct http *http_new(uv_loop_t *loop, const struct http_settings *settings)
{
    struct http *h = xcalloc(1, sizeof *h);
    h->loop = loop;
    h->settings = *settings;
    h->settings.silent_s = settings->silent_s ? settings->silent_s : LIMIT_HTTP_SILENT_S;
    h->names = copy_names(settings->names);
    h->most_bytes = settings->most_bytes ? settings->most_bytes : LIMIT_HTTP_BYTES;
    list_init(&h->conns);
    list_init(&h->all);
    h->watch.data = h;
    return h;
}

static void on_watch(uv_timer_t *timer)
{
    const struct http *h = timer->data;
    struct http_conn *c;
    LIST_EACH(c, &h->conns)
    http_conn_watch(c);
}

static int open_listener(struct http *h)
{
    const struct http_settings *s = &h->settings;
    const struct http_listener_settings settings = {
        .loop = h->loop,
        .listen = s->listen,
        .what = "web port",
        .raw = true,
        .most = s->most_connections ? s->most_connections : LIMIT_HTTP_CONNECTIONS,
        .most_of_one = s->most_of_one ? s->most_of_one : LIMIT_HTTP_PER_ADDRESS,
    };
    return http_listener_open(&h->listener, &settings);
}

/* The port that a browser takes when none is said. */
static bool is_https_port(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon && str_eq(colon, ":443");
}

int http_open(struct http **ret_http, uv_loop_t *loop, const struct http_settings *settings)
{
    struct http *h = http_new(loop, settings);
    int r = open_listener(h);
    if (r < 0) {
        free_http(h);
        return r;
    }
    h->hsts = is_https_port(settings->public_address ? settings->public_address : http_address(h));
    (void)uv_timer_init(loop, &h->watch);
    (void)uv_timer_start(&h->watch, on_watch, WATCH_MS, WATCH_MS);
    h->ending = http_ending_new(h);
    h->context = make_context(h);
    http_ending_note_handles(h->ending);
    h->vhost = h->context ? make_vhost(h) : NULL;
    /* What was borrowed for the call. */
    h->settings.listen = h->settings.cert_pem = h->settings.chain_pem = h->settings.key_pem = NULL;
    h->settings.names = NULL;
    h->settings.public_address = NULL;
    r = h->vhost ? http_listener_start(h->listener, h->vhost) : ERR_FAILED;
    if (r < 0) {
        http_close(h, NULL, NULL);
        return r;
    }
    *ret_http = h;
    return 0;
}

const char *http_address(const struct http *h)
{
    return http_listener_address(h->listener);
}

void *http_context(struct http *h)
{
    return h->context;
}

/* ---- closing --------------------------------------------------------------------------------- */

void http_close(struct http *h, void (*closed)(void *arg), void *arg)
{
    if (h->closing)
        return;
    h->closing = true;
    http_listener_close(h->listener);
    http_ending_start(h->ending, closed, arg);
}

static void on_watch_closed(uv_handle_t *handle)
{
    free_http(handle->data);
}

/* The last step of the ending: nothing of libwebsockets is left. */
void http_ended(struct http *h)
{
    http_listener_free(h->listener);
    uv_close((uv_handle_t *)&h->watch, on_watch_closed);
}
