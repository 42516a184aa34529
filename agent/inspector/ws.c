#include "agent/inspector/ws.h"

#include <assert.h>
#include <errno.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len);

static const struct lws_protocols protocols[] = {
    {.name = "inspector", .callback = on_event, .rx_buffer_size = WS_PIECE},
    {.name = NULL},
};

/* Zeros: neither pings nor a hang-up of idle connections.  Without a policy there are pings after 300 s. */
static const lws_retry_bo_t no_pings = {.secs_since_valid_ping = 0, .secs_since_valid_hangup = 0};

struct lws_context *ws_context_new(uv_loop_t *loop)
{
    /* Its log lines could carry the path that must stay secret; what went wrong comes through the callbacks. */
    lws_set_log_level(0, NULL);
    /* Or it sends the connection through a proxy. */
    (void)unsetenv("http_proxy");
    (void)unsetenv("socks_proxy");
    void *loops[] = {loop};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_DISABLE_IPV6,
        .foreign_loops = loops,
    };
    return lws_create_context(&info);
}

void ws_context_free(struct lws_context *context, uv_loop_t *loop)
{
    /* The first call starts to close its handles, the second frees; with one alone it leaks. */
    lws_context_destroy(context);
    while (uv_run(loop, UV_RUN_DEFAULT) != 0)
        continue;
    lws_context_destroy(context);
}

int ws_open(struct ws *w, struct lws_context *context, unsigned port, const char *path,
            const struct ws_callbacks *callbacks, void *arg)
{
    char host[32];
    AUTOFREE char *full_path = xasprintf("%s%s", path[0] == '/' ? "" : "/", path);
    (void)snprintf(host, sizeof host, "127.0.0.1:%u", port);
    *w = (struct ws){.callbacks = callbacks, .arg = arg, .starting = true};
    struct lws_client_connect_info info = {
        .context = context,
        .address = "127.0.0.1",
        .port = (int)port,
        .path = full_path,
        .host = host,
        .ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT,
        .local_protocol_name = protocols[0].name,
        .userdata = w,
        .pwsi = &w->wsi,
        .retry_and_idle_policy = &no_pings,
    };
    struct lws *wsi = lws_client_connect_via_info(&info);
    w->starting = false;
    if (!wsi)
        w->wsi = NULL;
    return wsi ? 0 : -ECONNREFUSED;
}

int ws_send(struct ws *w, const char *text, size_t len)
{
    if (!w->open || w->closing)
        return -EPIPE;
    if (len > WS_MESSAGE || w->queued == WS_QUEUE)
        return ERR_TOO_BIG;
    char *bytes = xcalloc(1, LWS_PRE + len);
    memcpy(bytes + LWS_PRE, text, len);
    w->queue[w->queued++] = (struct ws_text){.bytes = bytes, .len = len};
    (void)lws_callback_on_writable(w->wsi);
    return 0;
}

void ws_close(struct ws *w)
{
    if (!w->open) {
        ws_kill(w);
        return;
    }
    w->closing = true;
    (void)lws_callback_on_writable(w->wsi);
}

void ws_kill(struct ws *w)
{
    w->closing = true;
    if (w->wsi)
        lws_set_timeout(w->wsi, PENDING_TIMEOUT_CLOSE_SEND, LWS_TO_KILL_ASYNC);
}

static void drop_queue(struct ws *w)
{
    for (unsigned i = 0; i < w->queued; i++)
        free(w->queue[i].bytes);
    w->queued = 0;
}

void ws_forget(struct ws *w)
{
    if (w->wsi)
        lws_set_wsi_user(w->wsi, NULL);
    w->wsi = NULL;
    w->open = false;
    drop_queue(w);
}

/* ---- callbacks of libwebsockets -------------------------------------------------------------- */

static void on_failed(struct ws *w, struct lws *wsi, const char *text)
{
    int status = (int)lws_http_client_http_response(wsi);
    log_debug("the connection was not made: %s (status %d)", text ? text : "no reason given",
              status);
    w->wsi = NULL;
    if (!w->starting)
        w->callbacks->on_open(w->arg, status > 0 ? ERR_INSPECTOR : -ECONNREFUSED, status);
}

/* Returns what libwebsockets wants: non-zero closes the connection. */
static int on_writable(struct ws *w)
{
    if (w->queued > 0) {
        struct ws_text first = w->queue[0];
        memmove(w->queue, w->queue + 1, --w->queued * sizeof w->queue[0]);
        int n =
            lws_write(w->wsi, (unsigned char *)first.bytes + LWS_PRE, first.len, LWS_WRITE_TEXT);
        free(first.bytes);
        if (n < (int)first.len)
            return -1;
        (void)lws_callback_on_writable(w->wsi);
        return 0;
    }
    if (!w->closing)
        return 0;
    lws_close_reason(w->wsi, LWS_CLOSE_STATUS_NORMAL, NULL, 0);
    return -1;
}

static void on_over(struct ws *w)
{
    drop_queue(w);
    w->wsi = NULL;
    w->open = false;
    w->callbacks->on_closed(w->arg);
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    struct ws *w = user;
    /* About the context as a whole, or forgotten. */
    if (!w)
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    /* A part of enum lws_callback_reasons; all others keep their meaning. */
    switch ((int)reason) {
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        w->open = true;
        w->callbacks->on_open(w->arg, 0, 101);
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        on_failed(w, wsi, in);
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        w->callbacks->on_data(w->arg, in, len,
                              lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0);
        return 0;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return on_writable(w);
    case LWS_CALLBACK_CLIENT_CLOSED:
        on_over(w);
        return 0;
    }
    return lws_callback_http_dummy(wsi, reason, user, in, len);
}
