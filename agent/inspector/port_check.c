#include "agent/inspector/port_check.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"

/* The steps, in the order in which they run. */
static void on_connected(uv_connect_t *connect, int status);
static void on_written(uv_write_t *write, int status);
static void on_space(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf);
static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);
static void on_deadline(uv_timer_t *timer);
static void check_end(struct port_check *p, int result);
static void on_closed(uv_handle_t *handle);

int port_check_start(struct port_check *p, uv_loop_t *loop, unsigned port, unsigned limit_ms,
                     port_check_cb done, void *arg)
{
    struct sockaddr_in address;
    *p = (struct port_check){.done = done, .arg = arg};
    p->tcp.data = p->deadline.data = p->connect.data = p->write.data = p;
    int r = uv_ip4_addr("127.0.0.1", (int)port, &address);
    if (r < 0)
        return r;
    (void)snprintf(p->request, sizeof p->request,
                   "GET /json/list HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n\r\n",
                   port);
    (void)uv_tcp_init(loop, &p->tcp);
    (void)uv_timer_init(loop, &p->deadline);
    p->open_handles = 2;
    (void)uv_timer_start(&p->deadline, on_deadline, limit_ms, 0);
    r = uv_tcp_connect(&p->connect, &p->tcp, (const struct sockaddr *)&address, on_connected);
    /* An error at once comes from the loop like a later one. */
    if (r < 0)
        check_end(p, r);
    return 0;
}

static void on_connected(uv_connect_t *connect, int status)
{
    struct port_check *p = connect->data;
    if (p->ending)
        return;
    uv_buf_t request = uv_buf_init(p->request, (unsigned)strlen(p->request));
    int r = status;
    if (r == 0)
        r = uv_read_start((uv_stream_t *)&p->tcp, on_space, on_read);
    if (r == 0)
        r = uv_write(&p->write, (uv_stream_t *)&p->tcp, &request, 1, on_written);
    if (r < 0)
        check_end(p, r);
}

static void on_written(uv_write_t *write, int status)
{
    struct port_check *p = write->data;
    if (status < 0)
        check_end(p, status);
}

static void on_space(uv_handle_t *handle, size_t suggested, uv_buf_t *ret_buf)
{
    struct port_check *p = handle->data;
    *ret_buf = uv_buf_init(p->reply + p->reply_len, (unsigned)(sizeof p->reply - p->reply_len));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct port_check *p = stream->data;
    if (n < 0) {
        check_end(p, n == UV_EOF ? ERR_PROTOCOL : (int)n);
        return;
    }
    p->reply_len += (size_t)n;
    int status = port_check_status(p->reply, p->reply_len);
    if (status != 0)
        check_end(p, status);
}

static void on_deadline(uv_timer_t *timer)
{
    check_end(timer->data, UV_ETIMEDOUT);
}

void port_check_cancel(struct port_check *p)
{
    check_end(p, ERR_CANCELLED);
}

/* The only way out, from any step.  The first result counts. */
static void check_end(struct port_check *p, int result)
{
    if (p->ending)
        return;
    p->ending = true;
    p->result = result;
    uv_close((uv_handle_t *)&p->deadline, on_closed);
    uv_close((uv_handle_t *)&p->tcp, on_closed);
}

static void on_closed(uv_handle_t *handle)
{
    struct port_check *p = handle->data;
    if (--p->open_handles == 0)
        p->done(p->arg, p->result);
}

int port_check_status(const char *reply, size_t len)
{
    static const char start[] = "HTTP/1.";
    enum {
        START = sizeof start - 1,
        WHOLE = START + 6
    }; /* "HTTP/1.1 404 " and one byte more or less */
    size_t known = len < START ? len : START;
    if (memcmp(reply, start, known) != 0)
        return ERR_PROTOCOL;
    if (len < WHOLE)
        return 0;
    const char *digits = reply + START + 2;
    int status = 0;
    for (int i = 0; i < 3; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return ERR_PROTOCOL;
        status = status * 10 + (digits[i] - '0');
    }
    return reply[START + 1] == ' ' && status >= 100 ? status : ERR_PROTOCOL;
}
