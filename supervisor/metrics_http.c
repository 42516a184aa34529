#include "supervisor/metrics_http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "supervisor/http_request.h"
#include "supervisor/loopback.h"
#include "supervisor/metrics_view.h"
#include "supervisor/supervisor.h"

enum { READ_BYTES = 2048, BACKLOG = 64, HEAD_ROOM = 512, ACCEPT_AGAIN_MS = 100 };

struct metrics_listener {
    uv_poll_t poll;
    uv_timer_t again; /* when there was no descriptor left for a connection */
    struct metrics_http *http;
    char address[SETTINGS_ADDRESS];
    int fd;
    unsigned open_handles;
};

/* One connection: its request is read, answered, and what comes after that is thrown away until its end. */
struct reader {
    struct list link;
    struct metrics_http *http;
    uv_tcp_t tcp;
    uv_timer_t deadline;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct buf in, out;
    char space[READ_BYTES];
    unsigned open_handles;
    bool answered, closing;
};

/* The steps of a connection, in the order in which they run. */
static void on_connection(uv_poll_t *poll, int status, int events);
static void on_accept_again(uv_timer_t *timer);
static void on_space(uv_handle_t *handle, size_t size, uv_buf_t *ret_buf);
static void on_bytes(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);
static void answer(struct reader *r, int status, bool head_only);
static void on_answered(uv_write_t *write, int status);
static void on_shut_down(uv_shutdown_t *shutdown, int status);
static void on_deadline(uv_timer_t *timer);
static void reader_end(struct reader *r);
static void on_reader_closed(uv_handle_t *handle);

/* ---- listening --------------------------------------------------------------------------------- */

static void on_listener_closed(uv_handle_t *handle)
{
    struct metrics_listener *l = handle->data;
    if (--l->open_handles > 0)
        return;
    (void)close(l->fd);
    free(l);
}

static void stop_listening(struct metrics_http *h)
{
    struct metrics_listener *l = h->listener;
    h->listener = NULL;
    if (!l)
        return;
    uv_close((uv_handle_t *)&l->poll, on_listener_closed);
    uv_close((uv_handle_t *)&l->again, on_listener_closed);
}

static int bind_to(const struct sockaddr_storage *address)
{
    int one = 1;
    AUTOCLOSE int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)address, loopback_size(address)) < 0 ||
        listen(fd, BACKLOG) < 0)
        return -errno;
    return TAKE_FD(fd);
}

/* The socket of the supervisor before us, unless it listens elsewhere. */
static int take_socket(struct metrics_http *h, const struct sockaddr_storage *address)
{
    AUTOCLOSE int fd = keep_take(&h->sup->keep, "metrics.http");
    if (fd >= 0 && loopback_is(fd, address))
        return TAKE_FD(fd);
    if (fd >= 0)
        keep_drop(&h->sup->keep, "metrics.http");
    return bind_to(address);
}

static int start_listening(struct metrics_http *h, const char *text)
{
    struct sockaddr_storage address;
    int r = loopback_parse(text, &address);
    AUTOCLOSE int fd = r < 0 ? -1 : take_socket(h, &address);
    if (r < 0 || fd < 0)
        return r < 0 ? r : fd;
    r = keep_store(&h->sup->keep, fd, "metrics.http");
    if (r < 0)
        return r;
    struct metrics_listener *l = xcalloc(1, sizeof *l);
    (void)snprintf(l->address, sizeof l->address, "%s", text);
    l->http = h;
    l->open_handles = 2;
    l->poll.data = l->again.data = l;
    r = uv_poll_init(&h->sup->loop, &l->poll, fd);
    if (r < 0) {
        keep_drop(&h->sup->keep, "metrics.http");
        free(l);
        return r;
    }
    (void)uv_timer_init(&h->sup->loop, &l->again);
    stop_listening(h);
    l->fd = TAKE_FD(fd);
    h->listener = l;
    log_info("what processes use can be read at http://%s/metrics", text);
    return uv_poll_start(&l->poll, UV_READABLE, on_connection);
}

void metrics_http_init(struct metrics_http *h, struct supervisor *sup)
{
    *h = (struct metrics_http){.sup = sup};
    list_init(&h->readers);
}

int metrics_http_listen(struct metrics_http *h, const char *address,
                        char reterr_text[SETTINGS_TEXT])
{
    if (h->listener && str_eq(h->listener->address, address))
        return 0;
    if (!*address) {
        stop_listening(h);
        keep_drop(&h->sup->keep, "metrics.http");
        return 0;
    }
    int r = start_listening(h, address);
    if (r < 0)
        (void)snprintf(reterr_text, SETTINGS_TEXT, "\"metrics_listen\": cannot listen on %s: %s",
                       address, err_str(r));
    return r;
}

void metrics_http_close(struct metrics_http *h)
{
    struct reader *r;
    stop_listening(h);
    LIST_EACH(r, &h->readers)
    reader_end(r);
}

/* ---- one connection ---------------------------------------------------------------------------- */

static void reader_start(struct metrics_http *h, int fd)
{
    struct reader *r = xcalloc(1, sizeof *r);
    r->http = h;
    r->open_handles = 2;
    buf_init(&r->in, LIMIT_METRICS_HEAD + READ_BYTES);
    buf_init(&r->out, LIMIT_METRICS_TEXT + HEAD_ROOM);
    (void)uv_tcp_init(&h->sup->loop, &r->tcp);
    (void)uv_timer_init(&h->sup->loop, &r->deadline);
    r->tcp.data = r->deadline.data = r->write.data = r;
    list_add(&h->readers, &r->link, r);
    if (uv_tcp_open(&r->tcp, fd) < 0) {
        (void)close(fd);
        reader_end(r);
        return;
    }
    (void)uv_timer_start(&r->deadline, on_deadline, LIMIT_METRICS_READER_MS, 0);
    if (uv_read_start((uv_stream_t *)&r->tcp, on_space, on_bytes) < 0)
        reader_end(r);
}

/* One that comes while all places are taken is closed at once: it would wait without an end otherwise. */
static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct metrics_listener *l = poll->data;
    int fd;
    while ((fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        if (list_count(&l->http->readers) < LIMIT_METRICS_READERS)
            reader_start(l->http, fd);
        else
            (void)close(fd);
    }
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
        return;
    log_warn(-errno, "a connection that asks for metrics cannot be taken now");
    (void)uv_poll_stop(&l->poll);
    (void)uv_timer_start(&l->again, on_accept_again, ACCEPT_AGAIN_MS, 0);
}

static void on_accept_again(uv_timer_t *timer)
{
    struct metrics_listener *l = timer->data;
    (void)uv_poll_start(&l->poll, UV_READABLE, on_connection);
}

static void on_space(uv_handle_t *handle, size_t size, uv_buf_t *ret_buf)
{
    struct reader *r = handle->data;
    *ret_buf = uv_buf_init(r->space, sizeof r->space);
}

static void on_bytes(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct reader *r = stream->data;
    bool head_only = false;
    if (n < 0)
        reader_end(r);
    if (n <= 0 || r->answered)
        return;
    int status = 431;
    if (buf_add(&r->in, buf->base, (size_t)n) == 0)
        status = http_request_status(buf_str(&r->in), r->in.len, &head_only);
    if (status != 0)
        answer(r, status, head_only);
}

static void answer(struct reader *r, int status, bool head_only)
{
    AUTOBUF struct buf body = BUF_INIT(LIMIT_METRICS_TEXT);
    r->answered = true;
    if (status == 200 && metrics_text(r->http->sup, &body) < 0)
        status = 500;
    if (status != 200) {
        buf_reset(&body);
        (void)buf_addf(&body, "%s\n", http_request_reason(status));
    }
    int error =
        buf_addf(&r->out,
                 "HTTP/1.1 %d %s\r\nContent-Type: text/plain%s; charset=utf-8\r\n"
                 "Content-Length: %zu\r\nConnection: close\r\n%s\r\n",
                 status, http_request_reason(status), status == 200 ? "; version=0.0.4" : "",
                 body.len, status == 405 ? "Allow: GET, HEAD\r\n" : "");
    if (error == 0 && !head_only)
        error = buf_add(&r->out, body.data, body.len);
    uv_buf_t bytes = uv_buf_init(r->out.data, (unsigned)r->out.len);
    if (error < 0 || uv_write(&r->write, (uv_stream_t *)&r->tcp, &bytes, 1, on_answered) < 0)
        reader_end(r);
}

/* Closing now would throw away what it has not read yet, if it has sent more than its request. */
static void on_answered(uv_write_t *write, int status)
{
    struct reader *r = write->data;
    if (r->closing)
        return;
    if (status < 0 || uv_shutdown(&r->shutdown, (uv_stream_t *)&r->tcp, on_shut_down) < 0)
        reader_end(r);
}

/* The reader ends it now, or the deadline does. */
static void on_shut_down(uv_shutdown_t *shutdown, int status)
{
}

static void on_deadline(uv_timer_t *timer)
{
    reader_end(timer->data);
}

static void reader_end(struct reader *r)
{
    if (r->closing)
        return;
    r->closing = true;
    list_remove(&r->link);
    uv_close((uv_handle_t *)&r->tcp, on_reader_closed);
    uv_close((uv_handle_t *)&r->deadline, on_reader_closed);
}

static void on_reader_closed(uv_handle_t *handle)
{
    struct reader *r = handle->data;
    if (--r->open_handles > 0)
        return;
    buf_clear(&r->in);
    buf_clear(&r->out);
    free(r);
}
