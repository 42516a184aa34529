#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "agent/inspector/port_check.h"
#include "lib/base/err.h"

static void reads_the_status_once_the_line_is_there(void **state)
{
    const char *reply = "HTTP/1.0 404 Not Found\r\n";
    for (size_t len = 0; len < 13; len++)
        assert_int_equal(port_check_status(reply, len), 0);
    for (size_t len = 13; len <= strlen(reply); len++)
        assert_int_equal(port_check_status(reply, len), 404);
    assert_int_equal(port_check_status("HTTP/1.1 200 OK\r\n", 17), 200);
}

static void refuses_what_is_no_http(void **state)
{
    assert_int_equal(port_check_status("SSH-2.0", 7), ERR_PROTOCOL);
    assert_int_equal(port_check_status("S", 1), ERR_PROTOCOL);
    assert_int_equal(port_check_status("HTTP/1.1 abc OK\r\n", 17), ERR_PROTOCOL);
    assert_int_equal(port_check_status("HTTP/1.1 -04 OK\r\n", 17), ERR_PROTOCOL);
    assert_int_equal(port_check_status("HTTP/1.1x404 OK\r\n", 17), ERR_PROTOCOL);
    assert_int_equal(port_check_status("HTTP/1.1 000 OK\r\n", 17), ERR_PROTOCOL);
}

/* A server that answers each connection with `reply`, or with nothing at all. */
struct server {
    uv_tcp_t listener, peer;
    uv_write_t write;
    const char *reply;
    bool accepted;
};

static void on_connection(uv_stream_t *listener, int status)
{
    struct server *s = listener->data;
    assert_int_equal(uv_tcp_init(listener->loop, &s->peer), 0);
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&s->peer), 0);
    s->accepted = true;
    uv_buf_t b = uv_buf_init((char *)(uintptr_t)s->reply, (unsigned)strlen(s->reply));
    assert_int_equal(uv_write(&s->write, (uv_stream_t *)&s->peer, &b, 1, NULL), 0);
}

static unsigned listen_on(uv_loop_t *loop, struct server *s)
{
    struct sockaddr_in address;
    int len = sizeof address;
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &address), 0);
    assert_int_equal(uv_tcp_init(loop, &s->listener), 0);
    s->listener.data = s;
    assert_int_equal(uv_tcp_bind(&s->listener, (struct sockaddr *)&address, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&s->listener, 1, on_connection), 0);
    assert_int_equal(uv_tcp_getsockname(&s->listener, (struct sockaddr *)&address, &len), 0);
    return ntohs(address.sin_port);
}

static int calls, result;
static struct server server;

static void on_done(void *arg, int r)
{
    calls++;
    result = r;
    uv_close((uv_handle_t *)&server.listener, NULL);
    if (server.accepted)
        uv_close((uv_handle_t *)&server.peer, NULL);
}

/* A NULL reply: nobody listens any more. */
static int check_port(const char *reply, bool cancel)
{
    uv_loop_t loop;
    struct port_check check;
    assert_int_equal(uv_loop_init(&loop), 0);
    server = (struct server){.reply = reply ? reply : ""};
    calls = 0;
    unsigned port = listen_on(&loop, &server);
    if (!reply) {
        uv_close((uv_handle_t *)&server.listener, NULL);
        assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
        unsigned other = listen_on(&loop, &server);
        assert_int_not_equal(other, port);
    }
    assert_int_equal(port_check_start(&check, &loop, port, 50, on_done, NULL), 0);
    assert_int_equal(calls, 0);
    if (cancel)
        port_check_cancel(&check);
    assert_int_equal(calls, 0);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(calls, 1);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    return result;
}

static void tells_the_status(void **state)
{
    assert_int_equal(check_port("HTTP/1.0 404 Not Found\r\n\r\n", false), 404);
    assert_int_equal(check_port("HTTP/1.0 200 OK\r\n\r\n", false), 200);
    assert_int_equal(check_port("hello", false), ERR_PROTOCOL);
}

static void has_a_deadline(void **state)
{
    assert_int_equal(check_port("HTTP/1.0 ", false), UV_ETIMEDOUT);
}

static void tells_that_nobody_listens(void **state)
{
    assert_int_equal(check_port(NULL, false), UV_ECONNREFUSED);
}

static void can_be_cancelled(void **state)
{
    assert_int_equal(check_port("HTTP/1.0 404 Not Found\r\n\r\n", true), ERR_CANCELLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_status_once_the_line_is_there),
        cmocka_unit_test(refuses_what_is_no_http),
        cmocka_unit_test(tells_the_status),
        cmocka_unit_test(has_a_deadline),
        cmocka_unit_test(tells_that_nobody_listens),
        cmocka_unit_test(can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
