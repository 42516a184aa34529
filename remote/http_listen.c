#include "remote/http_listen.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

enum {
    BACKLOG = 512,
    ACCEPTS_AT_ONCE =
        64,         /* then others on the loop have their turn; the rest waits in the kernel */
    PAUSE_MS = 200, /* without free descriptors */
    COMPLAIN_MS = 60 * 1000,
    KEY_BYTES = 16,
};

struct http_listener {
    struct http_listener_settings settings;
    char address[HTTP_LISTEN_TEXT];
    int fd;
    uv_poll_t poll;
    uv_timer_t pause;
    unsigned open_handles;
    bool closing, freeing;
    unsigned count;     /* all connections */
    unsigned new_count; /* those in `fresh` */
    struct list fresh;  /* of struct conn: not settled */
    uint64_t complained_ms;
    struct conn *adopting;
};

/* One connection, from accept4() to LWS_CALLBACK_WSI_DESTROY: the opaque user data of its wsi. */
struct conn {
    struct http_listener *listener;
    struct list link;
    uint8_t key[KEY_BYTES]; /* what counts as one address: IPv4 whole, of IPv6 the first 64 bits */
    char address[HTTP_ADDRESS_TEXT];
};

static void on_readable(uv_poll_t *poll, int status, int events);
static bool accept_one(struct http_listener *l);
static bool has_room(struct http_listener *l, const struct conn *c);
static void adopt(struct http_listener *l, struct conn *c, int fd);
static void pause_accepting(struct http_listener *l);
static void on_pause_over(uv_timer_t *timer);
static void on_closed(uv_handle_t *handle);

/* ---- addresses ------------------------------------------------------------------------------- */

/* Splits "host:port" or "[host]:port"; `host` without brackets. */
static int split(const char *text, char *host, size_t size, bool *ret_bracketed, int64_t *ret_port)
{
    const char *colon = strrchr(text, ':');
    if (!colon || str_to_int(colon + 1, 0, 65535, ret_port) < 0)
        return ERR_INVALID;
    size_t len = (size_t)(colon - text);
    bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    if (bracketed) {
        text++;
        len -= 2;
    }
    if (len == 0 || len >= size)
        return ERR_INVALID;
    memcpy(host, text, len);
    host[len] = '\0';
    *ret_bracketed = bracketed;
    return 0;
}

int http_listen_parse(const char *text, struct sockaddr_storage *ret_address)
{
    char host[HTTP_ADDRESS_TEXT];
    int64_t port;
    bool bracketed;
    if (split(text, host, sizeof host, &bracketed, &port) < 0)
        return ERR_INVALID;
    struct sockaddr_storage address = {0};
    if (bracketed) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
        if (inet_pton(AF_INET6, host, &in6->sin6_addr) != 1)
            return ERR_INVALID;
    } else {
        struct sockaddr_in *in4 = (struct sockaddr_in *)&address;
        in4->sin_family = AF_INET;
        in4->sin_port = htons((uint16_t)port);
        if (inet_pton(AF_INET, str_eq(host, "localhost") ? "127.0.0.1" : host, &in4->sin_addr) != 1)
            return ERR_INVALID;
    }
    *ret_address = address;
    return 0;
}

static socklen_t address_len(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                          : sizeof(struct sockaddr_in);
}

/* The address without its port, and what of it counts as one.  IPv4 in IPv6 is IPv4. */
static void describe(const struct sockaddr_storage *address, struct conn *c)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
    const struct sockaddr_in *in4 = (const struct sockaddr_in *)address;
    memset(c->key, 0, sizeof c->key);
    c->address[0] = '\0';
    if (address->ss_family == AF_INET) {
        memcpy(c->key, mapped, sizeof mapped);
        memcpy(c->key + sizeof mapped, &in4->sin_addr, 4);
        (void)inet_ntop(AF_INET, &in4->sin_addr, c->address, sizeof c->address);
    } else if (address->ss_family == AF_INET6 && memcmp(&in6->sin6_addr, mapped, 12) == 0) {
        memcpy(c->key, &in6->sin6_addr, KEY_BYTES);
        (void)inet_ntop(AF_INET, (const uint8_t *)&in6->sin6_addr + 12, c->address,
                        sizeof c->address);
    } else if (address->ss_family == AF_INET6) {
        memcpy(c->key, &in6->sin6_addr, 8);
        (void)inet_ntop(AF_INET6, &in6->sin6_addr, c->address, sizeof c->address);
    }
}

static int read_back(struct http_listener *l)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    char text[INET6_ADDRSTRLEN];
    if (getsockname(l->fd, (struct sockaddr *)&address, &len) < 0)
        return -errno;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address;
    const struct sockaddr_in *in4 = (const struct sockaddr_in *)&address;
    bool six = address.ss_family == AF_INET6;
    const void *raw = six ? (const void *)&in6->sin6_addr : (const void *)&in4->sin_addr;
    if (!inet_ntop(address.ss_family, raw, text, sizeof text))
        return -errno;
    (void)snprintf(l->address, sizeof l->address, six ? "[%s]:%u" : "%s:%u", text,
                   ntohs(six ? in6->sin6_port : in4->sin_port));
    return 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int make_socket(const struct sockaddr_storage *address)
{
    AUTOCLOSE int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (const struct sockaddr *)address, address_len(address)) < 0 ||
        listen(fd, BACKLOG) < 0)
        return -errno;
    return TAKE_FD(fd);
}

int http_listener_open(struct http_listener **ret_listener,
                       const struct http_listener_settings *settings)
{
    struct sockaddr_storage address = {0};
    int r = http_listen_parse(settings->listen, &address);
    if (r < 0)
        return r;
    int fd = make_socket(&address);
    if (fd < 0)
        return fd;
    struct http_listener *l = xcalloc(1, sizeof *l);
    l->settings = *settings;
    l->settings.listen = NULL; /* borrowed for the call */
    l->settings.vhost = NULL;
    l->fd = fd;
    l->poll.data = l->pause.data = l;
    list_init(&l->fresh);
    r = read_back(l);
    if (r >= 0)
        r = uv_poll_init(settings->loop, &l->poll, fd);
    if (r < 0) {
        (void)close(fd);
        free(l);
        return r;
    }
    (void)uv_timer_init(settings->loop, &l->pause);
    l->open_handles = 2;
    if (settings->vhost)
        r = http_listener_start(l, settings->vhost);
    if (r < 0) {
        http_listener_close(l);
        http_listener_free(l);
        return r;
    }
    *ret_listener = l;
    return 0;
}

int http_listener_start(struct http_listener *l, struct lws_vhost *vhost)
{
    assert(!l->closing);
    l->settings.vhost = vhost;
    return uv_poll_start(&l->poll, UV_READABLE, on_readable);
}

const char *http_listener_address(const struct http_listener *l)
{
    return l->address;
}

unsigned http_listener_count(const struct http_listener *l)
{
    return l->count;
}

unsigned http_listener_new_count(const struct http_listener *l)
{
    return l->new_count;
}

/* ---- accepting ------------------------------------------------------------------------------- */

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct http_listener *l = poll->data;
    if (status < 0) {
        pause_accepting(l);
        return;
    }
    for (int i = 0; i < ACCEPTS_AT_ONCE && !l->closing; i++)
        if (!accept_one(l))
            return;
}

/* False: nobody waits, or we cannot take anybody now. */
static bool accept_one(struct http_listener *l)
{
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof address;
    int fd = accept4(l->fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            pause_accepting(l);
        /* Anything else is about one connection that is gone already. */
        return errno == ECONNABORTED || errno == EINTR;
    }
    struct conn *c = xcalloc(1, sizeof *c);
    c->listener = l;
    describe(&address, c);
    if (!has_room(l, c)) {
        (void)close(fd);
        free(c);
        return true;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    adopt(l, c, fd);
    return true;
}

static bool may_complain(struct http_listener *l)
{
    uint64_t now_ms = uv_now(l->settings.loop);
    if (l->complained_ms != 0 && now_ms - l->complained_ms < COMPLAIN_MS)
        return false;
    l->complained_ms = now_ms;
    return true;
}

static unsigned count_of_one(const struct http_listener *l, const uint8_t *key)
{
    unsigned count = 0;
    const struct conn *c;
    LIST_EACH(c, &l->fresh)
    count += memcmp(c->key, key, KEY_BYTES) == 0;
    return count;
}

static bool has_room(struct http_listener *l, const struct conn *c)
{
    const struct http_listener_settings *s = &l->settings;
    const char *why = NULL;
    if (s->most && l->count >= s->most)
        why = "too many connections";
    else if (s->most_new && l->new_count >= s->most_new)
        why = "too many new connections";
    else if (s->most_of_one && count_of_one(l, c->key) >= s->most_of_one)
        why = "too many connections from this address";
    if (!why)
        return true;
    if (may_complain(l))
        log_warn(0, "%s: %s (%s), refusing more", s->what, why, c->address);
    return false;
}

static void adopt(struct http_listener *l, struct conn *c, int fd)
{
    l->count++;
    l->new_count++;
    list_add(&l->fresh, &c->link, c);
    l->adopting = c;
    const lws_adopt_desc_t info = {
        .vh = l->settings.vhost,
        .type = LWS_ADOPT_SOCKET | LWS_ADOPT_ALLOW_SSL |
                (l->settings.raw ? LWS_ADOPT_RAW_FILE_DESC : LWS_ADOPT_HTTP),
        .fd.sockfd = fd,
        .opaque = c,
    };
    struct lws *wsi = lws_adopt_descriptor_vhost_via_info(&info);
    /* It failed before there was a wsi when it has closed the socket already; one whose TLS
     * failed at once goes later, by its handle, and says LWS_CALLBACK_WSI_DESTROY as all others
     * (perhaps it has). */
    if (!wsi && l->adopting == c && fcntl(fd, F_GETFD) < 0) {
        log_debug("%s: a connection from %s was not taken", l->settings.what, c->address);
        list_remove(&c->link);
        l->count--;
        l->new_count--;
        free(c);
    }
    l->adopting = NULL;
}

static void pause_accepting(struct http_listener *l)
{
    if (may_complain(l))
        log_warn(0, "%s: no free descriptors or memory, new connections wait", l->settings.what);
    (void)uv_poll_stop(&l->poll);
    (void)uv_timer_start(&l->pause, on_pause_over, PAUSE_MS, 0);
}

static void on_pause_over(uv_timer_t *timer)
{
    struct http_listener *l = timer->data;
    int r = uv_poll_start(&l->poll, UV_READABLE, on_readable);
    if (r < 0)
        log_err(r, "%s: cannot accept connections any more", l->settings.what);
}

/* ---- of one connection ----------------------------------------------------------------------- */

const char *http_listener_peer(struct lws *wsi)
{
    const struct conn *c = lws_get_opaque_user_data(wsi);
    return c ? c->address : "";
}

static void settle(struct conn *c)
{
    if (!c->link.next)
        return;
    list_remove(&c->link);
    c->listener->new_count--;
}

void http_listener_settled(struct lws *wsi)
{
    struct conn *c = lws_get_opaque_user_data(wsi);
    if (c)
        settle(c);
}

void http_listener_gone(struct lws *wsi)
{
    struct conn *c = lws_get_opaque_user_data(wsi);
    if (!c)
        return;
    lws_set_opaque_user_data(wsi, NULL);
    settle(c);
    c->listener->count--;
    if (c->listener->adopting == c)
        c->listener->adopting = NULL;
    free(c);
}

const struct lws_protocol_vhost_options *http_listener_no_pages(void)
{
    /* Larger than HTTP_SERVICE_BUFFER, where libwebsockets puts its headers together. */
    static char too_long[HTTP_SERVICE_BUFFER + 1024];
    static const struct lws_protocol_vhost_options headers = {.name = "x:", .value = too_long};
    if (!too_long[0])
        memset(too_long, 'x', sizeof too_long - 1);
    return &headers;
}

/* ---- closing --------------------------------------------------------------------------------- */

void http_listener_close(struct http_listener *l)
{
    if (l->closing)
        return;
    l->closing = true;
    uv_close((uv_handle_t *)&l->poll, on_closed);
    uv_close((uv_handle_t *)&l->pause, on_closed);
    (void)close(l->fd);
    l->fd = -1;
}

void http_listener_free(struct http_listener *l)
{
    if (!l)
        return;
    assert(l->closing);
    if (l->count > 0)
        log_debug("%s: %u connections were not counted down", l->settings.what, l->count);
    l->freeing = true;
    if (l->open_handles == 0)
        free(l);
}

static void on_closed(uv_handle_t *handle)
{
    struct http_listener *l = handle->data;
    if (--l->open_handles == 0 && l->freeing)
        free(l);
}
void http_listener_remember(void *ssl_ctx)
{
    /* A console needs two; tests make more in one process. */
    static void *remembered[128];
    for (size_t i = 0; i < ARRAY_SIZE(remembered); i++) {
        if (remembered[i])
            continue;
        remembered[i] = ssl_ctx;
        return;
    }
}

