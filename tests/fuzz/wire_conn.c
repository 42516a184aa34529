/* Any bytes, in pieces, from a peer that then goes: a connection that peeks takes the same messages out of them as one that reads. */
#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "lib/base/buf.h"
#include "lib/wire/conn.h"
#include "lib/wire/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct end {
    struct conn conn;
    struct buf log;
    bool closed;
};

static void on_msg(struct conn *c, struct msg *m)
{
    struct end *e = c->arg;
    (void)buf_addf(&e->log, "%d %s %s\n", (int)m->kind, m->method ? m->method : "-",
                   m->id ? m->id : "-");
    if (m->kind == MSG_REQUEST)
        (void)conn_result(c, m->id, NULL, -1);
}

static void on_closed(struct conn *c, int reason)
{
    struct end *e = c->arg;
    e->closed = true;
}

static void run(struct end *e, bool peeking, const uint8_t *data, size_t size)
{
    int fds[2];
    uv_loop_t loop;
    size_t first = size > 0 ? data[0] % size : 0;
    *e = (struct end){.log = BUF_INIT(4 << 20)};
    assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0 &&
           uv_loop_init(&loop) == 0);
    int r = peeking ? conn_open_peeking(&e->conn, &loop, fds[0], false, on_msg, on_closed, e)
                    : conn_open(&e->conn, &loop, fds[0], on_msg, on_closed, e);
    assert(r == 0);
    (void)send(fds[1], data, first, MSG_NOSIGNAL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    if (!e->closed)
        (void)send(fds[1], data + first, size - first, MSG_NOSIGNAL);
    (void)close(fds[1]);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert(e->closed && uv_loop_close(&loop) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct end reads, peeks;
    if (size > 100000)
        return 0;
    run(&reads, false, data, size);
    run(&peeks, true, data, size);
    assert(strcmp(buf_str(&reads.log), buf_str(&peeks.log)) == 0);
    buf_clear(&reads.log);
    buf_clear(&peeks.log);
    return 0;
}
