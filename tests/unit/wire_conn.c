#include "lib/wire/conn.h"

#include "tests/unit/support.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "lib/wire/msg.h"

/* One end of a connection, and what happened to it. */
struct end {
    struct conn conn;
    struct buf log; /* "method id file-content\n" per message */
    unsigned messages;
    unsigned closed;
    int reason;
    unsigned close_at; /* conn_close() inside the callback of this message; 0: never */
};

static uv_loop_t loop;
static struct end a, b;
static int peer; /* the other side of `a` when it is no conn */
static bool peeking;
static int fds_before;

/* ---- the ends -------------------------------------------------------------------------------- */

static void on_msg(struct conn *c, struct msg *m)
{
    struct end *e = c->arg;
    char text[32] = "";
    e->messages++;
    (void)buf_addf(&e->log, "%s %s",
                   m->method               ? m->method
                   : m->kind == MSG_RESULT ? "result"
                                           : "error",
                   m->id ? m->id : json_get_string(m->params, "id", "-"));
    for (int fd; (fd = msg_take_fd(m)) >= 0;) {
        assert_true(pread(fd, text, sizeof text - 1, 0) >= 0);
        (void)buf_addf(&e->log, " %s", text);
        (void)close(fd);
    }
    (void)buf_addc(&e->log, '\n');
    if (e->messages == e->close_at)
        conn_close(c);
}

static void on_closed(struct conn *c, int reason)
{
    struct end *e = c->arg;
    e->closed++;
    e->reason = reason;
}

static void open_end(struct end *e, int fd)
{
    *e = (struct end){0};
    buf_init(&e->log, 1 << 20);
    int r = peeking ? conn_open_peeking(&e->conn, &loop, fd, false, on_msg, on_closed, e)
                    : conn_open(&e->conn, &loop, fd, on_msg, on_closed, e);
    assert_int_equal(r, 0);
}

static void turn(void)
{
    for (int i = 0; i < 4; i++)
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    /* It looks again after some milliseconds. */
    for (int i = 0; i < 2 && (a.conn.half || b.conn.half); i++)
        (void)uv_run(&loop, UV_RUN_ONCE);
}

/* The conn `a` with a raw peer. */
static void open_raw(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    open_end(&a, fds[0]);
    peer = fds[1];
}

/* Two conns that talk to each other. */
static void open_both(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    open_end(&a, fds[0]);
    open_end(&b, fds[1]);
    peer = -1;
}

static void shut(struct end *e, int reason)
{
    conn_close(&e->conn);
    turn();
    assert_int_equal(e->closed, 1);
    assert_int_equal(e->reason, reason);
    buf_clear(&e->log);
}

static void shut_raw(int reason)
{
    shut(&a, reason);
    (void)close(peer);
}

/* The first loop opens descriptors that stay. */
static int warm_up(void **state)
{
    return uv_loop_init(&loop) < 0 ? -1 : loop_end(&loop);
}

static int set_up(void **state)
{
    a = b = (struct end){0};
    fds_before = count_fds();
    return uv_loop_init(&loop);
}

static int set_up_peeking(void **state)
{
    peeking = true;
    return set_up(state);
}

static int tear_down(void **state)
{
    peeking = false;
    if (loop_end(&loop) != 0)
        return -1;
    return count_fds() == fds_before ? 0 : -1;
}

static int make_file(const char *text)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    return fd;
}

static void send_bytes(const char *data, size_t len, const int *fds, size_t count)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(16 * sizeof(int))];
    } control = {.bytes = ""};
    struct iovec iov = {.iov_base = (char *)data, .iov_len = len};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
    if (len == 0)
        return;
    if (count > 0) {
        mh.msg_control = &control;
        mh.msg_controllen = CMSG_SPACE(count * sizeof(int));
        control.head = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                        .cmsg_type = SCM_RIGHTS,
                                        .cmsg_len = CMSG_LEN(count * sizeof(int))};
        memcpy(CMSG_DATA(&control.head), fds, count * sizeof(int));
    }
    assert_int_equal(sendmsg(peer, &mh, MSG_NOSIGNAL), (ssize_t)len);
}

static void send_text(const char *text)
{
    send_bytes(text, strlen(text), NULL, 0);
}

/* ---- receiving ------------------------------------------------------------------------------- */

static const char three[] = "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":\"ping\"}\n"
                            "{\"jsonrpc\":\"2.0\",\"id\":\"2\",\"result\":{}}\n"
                            "{\"jsonrpc\":\"2.0\",\"method\":\"stop\",\"params\":{}}\n";
static const char three_log[] = "ping 1\nresult 2\nstop -\n";

static void messages_arrive_whole_wherever_they_are_split(void **state)
{
    open_raw();
    for (size_t at = 0; at < sizeof three; at++) {
        buf_reset(&a.log);
        send_bytes(three, at, NULL, 0);
        turn();
        send_bytes(three + at, sizeof three - 1 - at, NULL, 0);
        turn();
        assert_string_equal(buf_str(&a.log), three_log);
    }
    shut_raw(0);
}

static void messages_arrive_byte_by_byte(void **state)
{
    open_raw();
    for (size_t at = 0; at < sizeof three - 1; at++) {
        send_bytes(three + at, 1, NULL, 0);
        turn();
    }
    assert_string_equal(buf_str(&a.log), three_log);
    shut_raw(0);
}

static void a_descriptor_belongs_to_its_message_wherever_it_is_split(void **state)
{
    static const char with[] = "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":\"take\",\"fds\":2}\n";
    int fds[2] = {make_file("one"), make_file("two")};
    open_raw();
    for (size_t at = 1; at < sizeof with - 1; at++) {
        buf_reset(&a.log);
        send_text(three);
        send_bytes(with, at, fds, 2);
        turn();
        send_bytes(with + at, sizeof with - 1 - at, NULL, 0);
        send_text(three);
        send_bytes(with, sizeof with - 1, (int[]){fds[1], fds[0]}, 2);
        turn();
        AUTOFREE char *expected =
            xasprintf("%stake 1 one two\n%stake 1 two one\n", three_log, three_log);
        assert_string_equal(buf_str(&a.log), expected);
    }
    (void)close(fds[0]);
    (void)close(fds[1]);
    shut_raw(0);
}

static void a_promised_descriptor_that_does_not_come_ends_it(void **state)
{
    open_raw();
    send_text("{\"jsonrpc\":\"2.0\",\"method\":\"take\",\"fds\":1}\n");
    turn();
    assert_int_equal(a.messages, 0);
    shut_raw(ERR_PROTOCOL);
}

static void descriptors_that_nobody_asked_for_are_closed_and_counted(void **state)
{
    int fds[4] = {make_file("1"), make_file("2"), make_file("3"), make_file("4")};
    open_raw();
    for (int i = 0; i < 4; i++)
        send_bytes(three, sizeof three - 1, fds, 4);
    turn();
    assert_int_equal(a.closed, 0);
    send_bytes(three, sizeof three - 1, fds, 4);
    turn();
    for (int i = 0; i < 4; i++)
        (void)close(fds[i]);
    shut_raw(ERR_TOO_BIG);
}

static void garbage_ends_it(void **state)
{
    static const struct {
        const char *text;
        int reason;
    } rows[] = {
        {"hello\n", ERR_SYNTAX},
        {"\n", ERR_SYNTAX},
        {"{}\n", ERR_PROTOCOL},
        {"GET / HTTP/1.1\r\n\r\n", ERR_SYNTAX},
        {"{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"x\"}\n", ERR_PROTOCOL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        open_raw();
        AUTOFREE char *text = xasprintf("%s%s%s", three, rows[i].text, three);
        send_text(text);
        turn();
        assert_string_equal(buf_str(&a.log), three_log);
        assert_int_equal(a.closed, 1);
        shut_raw(rows[i].reason);
    }
}

/* Sends as much as the socket takes per turn. */
static void send_much(const char *data, size_t len)
{
    size_t done = 0;
    while (done < len && !a.closed) {
        ssize_t n = send(peer, data + done, len - done, MSG_DONTWAIT | MSG_NOSIGNAL);
        done += n > 0 ? (size_t)n : 0;
        turn();
    }
}

static void a_line_of_the_limit_passes_and_one_byte_more_does_not(void **state)
{
    static const char head[] = "{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":{\"t\":\"";
    AUTOFREE char *line = xcalloc(1, LIMIT_CONTROL_LINE + 2);
    for (size_t extra = 0; extra < 2; extra++) {
        size_t len = LIMIT_CONTROL_LINE + extra;
        memset(line, 'x', len);
        memcpy(line, head, sizeof head - 1);
        memcpy(line + len - 4, "\"}}\n", 4);
        open_raw();
        send_much(line, len);
        turn();
        assert_int_equal(a.messages, 1 - extra);
        shut_raw(extra ? ERR_TOO_BIG : 0);
    }
}

static void the_end_of_the_stream_is_told_once(void **state)
{
    open_raw();
    send_text(three);
    send_text("{\"jsonrpc\":");
    (void)shutdown(peer, SHUT_WR);
    turn();
    assert_string_equal(buf_str(&a.log), three_log);
    assert_int_equal(a.closed, 1);
    shut_raw(UV_EOF);
}

static void it_may_be_closed_inside_the_callback(void **state)
{
    for (unsigned at = 1; at <= 3; at++) {
        int fd = make_file("x");
        open_raw();
        a.close_at = at;
        send_text(three);
        send_bytes(three, sizeof three - 1, &fd, 1);
        turn();
        assert_int_equal(a.messages, at);
        assert_int_equal(a.closed, 1);
        (void)close(fd);
        shut_raw(0);
    }
}

/* ---- sending --------------------------------------------------------------------------------- */

static void messages_and_descriptors_arrive_in_order(void **state)
{
    AUTOFREE char *text = xcalloc(1, 200001);
    memset(text, 'x', 200000);
    AUTOJSON json_t *large = json_pack("{s:s}", "text", text);
    AUTOBUF struct buf expected = BUF_INIT(100000);
    open_both();
    for (int i = 0; i < 20; i++) {
        char id[16], content[16];
        (void)snprintf(id, sizeof id, "%d", i);
        (void)snprintf(content, sizeof content, "f%d", i);
        bool with = i % 3 != 1;
        json_t *params = i % 4 == 2 ? large : NULL;
        if (i % 2)
            assert_int_equal(
                conn_request(&a.conn, id, "put", params, with ? make_file(content) : -1), 0);
        else
            assert_int_equal(conn_result(&a.conn, id, params, with ? make_file(content) : -1), 0);
        (void)buf_addf(&expected, "%s %s%s%s\n", i % 2 ? "put" : "result", id, with ? " " : "",
                       with ? content : "");
    }
    assert_int_equal(conn_notify(&a.conn, "last", NULL), 0);
    (void)buf_addstr(&expected, "last -\n");
    for (int i = 0; i < 200 && b.messages < 21; i++)
        turn();
    assert_string_equal(buf_str(&b.log), buf_str(&expected));
    shut(&a, 0);
    shut(&b, UV_EOF);
}

static void errors_and_progress_name_their_request(void **state)
{
    open_both();
    AUTOJSON json_t *params = json_pack("{s:s}", "phase", "open");
    assert_int_equal(conn_progress(&a.conn, "r1", params), 0);
    assert_null(json_object_get(params, "id"));
    assert_int_equal(conn_error(&a.conn, "r1", ERR_BUSY, NULL, NULL), 0);
    turn();
    assert_string_equal(buf_str(&b.log), "progress r1\nerror r1\n");
    shut(&a, 0);
    shut(&b, UV_EOF);
}

static void a_peer_that_does_not_read_is_cut_off_at_the_limit(void **state)
{
    AUTOFREE char *text = xcalloc(1, (1 << 20) + 1);
    memset(text, 'x', 1 << 20);
    AUTOJSON json_t *params = json_pack("{s:s}", "text", text);
    open_raw();
    int r = 0, sent = 0;
    while ((r = conn_request(&a.conn, "1", "put", params, make_file("x"))) == 0) {
        assert_in_range(sent, 0, 16);
        sent++;
        turn();
    }
    assert_int_equal(r, ERR_TOO_BIG);
    assert_true(sent >= 15);
    assert_true(a.conn.out.len <= LIMIT_CONTROL_QUEUE);
    /* Nothing more is queued, and its descriptor is closed all the same. */
    int fd = make_file("y");
    assert_int_equal(conn_result(&a.conn, "1", NULL, fd), -EPIPE);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_int_equal(conn_error(&a.conn, "1", ERR_BUSY, NULL, NULL), -EPIPE);
    turn();
    assert_int_equal(a.closed, 1);
    shut_raw(ERR_TOO_BIG);
}

static void closing_after_the_flush_sends_everything_first(void **state)
{
    AUTOFREE char *text = xcalloc(1, (3 << 20) + 1);
    memset(text, 'x', 3 << 20);
    AUTOJSON json_t *params = json_pack("{s:s}", "text", text);
    open_both();
    assert_int_equal(conn_request(&a.conn, "1", "put", params, make_file("x")), 0);
    assert_int_equal(conn_request(&a.conn, "2", "put", params, -1), 0);
    conn_close_after_flush(&a.conn);
    assert_int_equal(a.closed, 0);
    for (int i = 0; i < 1000 && !b.closed; i++)
        turn();
    assert_string_equal(buf_str(&b.log), "put 1 x\nput 2\n");
    shut(&a, 0);
    shut(&b, UV_EOF);
    /* With nothing queued it ends at once. */
    open_raw();
    conn_close_after_flush(&a.conn);
    turn();
    assert_int_equal(a.closed, 1);
    shut_raw(0);
}

static size_t resident_bytes(void)
{
    AUTOFCLOSE FILE *f = fopen("/proc/self/statm", "re");
    unsigned long pages = 0;
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*u %lu", &pages), 1);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void a_large_message_leaves_no_memory_behind(void **state)
{
#ifdef __SANITIZE_ADDRESS__
    const bool keeps_what_was_freed = true;
#else
    const bool keeps_what_was_freed = getenv("PROCTOR_VALGRIND") != NULL;
#endif
    const size_t slack = keeps_what_was_freed ? 1 << 30 : 1 << 20;
    AUTOFREE char *text = xcalloc(1, 501);
    memset(text, 'x', 500);
    open_both();
    assert_int_equal(conn_notify(&a.conn, "first", NULL), 0);
    turn();
    size_t before = resident_bytes();
    json_t *large = json_object(), *list = json_array();
    (void)json_object_set_new(large, "list", list);
    for (int i = 0; i < 6000; i++)
        (void)json_array_append_new(list, json_pack("{s:s}", "text", text));
    assert_int_equal(conn_request(&a.conn, "1", "put", large, -1), 0);
    json_decref(large);
    assert_true(a.conn.out.cap > 3000000);
    for (int i = 0; i < 200 && b.messages < 2; i++)
        turn();
    assert_int_equal(a.conn.out.cap, 0);
    assert_int_equal(b.conn.in.cap, 0);
    assert_in_range(resident_bytes(), 0, before + slack);
    /* They go on, and what is small is kept. */
    assert_int_equal(conn_request(&a.conn, "2", "put", NULL, make_file("x")), 0);
    turn();
    assert_string_equal(buf_str(&b.log), "first -\nput 1\nput 2 x\n");
    assert_true(a.conn.out.cap > 0 && b.conn.in.cap > 0);
    shut(&a, 0);
    shut(&b, UV_EOF);
}

/* ---- errors that pass ------------------------------------------------------------------------ */

/* A socket on which nobody receives, with as many descriptors on their way as this user may have. */
static int exhaust_descriptors(int *ret_other_end)
{
    int fds[2];
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = ""};
    struct iovec iov = {.iov_base = (char *)"x", .iov_len = 1};
    struct msghdr mh = {.msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = &control,
                        .msg_controllen = sizeof control.bytes};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        return -errno;
    control.head = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(&control.head), &fds[0], sizeof(int));
    *ret_other_end = fds[1];
    for (int i = 0; i < 1000; i++)
        if (sendmsg(fds[0], &mh, MSG_NOSIGNAL) < 0)
            return errno == ETOOMANYREFS ? fds[0] : -errno;
    return -ENOSPC;
}

/* The kernel counts per user and lets root do what it likes: this runs as nobody.  Its exit code is the line at fault. */
static int send_while_exhausted(void)
{
    enum { NOBODY = 65534, CANNOT = 255 };
    int other = -1;
    struct rlimit limit = {.rlim_cur = 40, .rlim_max = 40};
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
        return CANNOT;
    open_both();
    int full = exhaust_descriptors(&other);
    if (full < 0)
        return CANNOT;
    if (conn_request(&a.conn, "1", "put", NULL, make_file("one")) < 0)
        return __LINE__ % CANNOT;
    if (conn_request(&a.conn, "2", "put", NULL, -1) < 0)
        return __LINE__ % CANNOT;
    for (int i = 0; i < 20; i++, (void)usleep(2000))
        turn();
    if (a.closed || b.messages > 0)
        return __LINE__ % CANNOT;
    /* Waiting for the next try costs nothing. */
    clock_t cpu = clock();
    for (int i = 0; i < 10; i++)
        (void)uv_run(&loop, UV_RUN_ONCE);
    if (clock() - cpu > CLOCKS_PER_SEC / 20)
        return __LINE__ % CANNOT;
    (void)close(full);
    (void)close(other);
    for (int i = 0; i < 500 && b.messages < 2; i++, (void)usleep(2000))
        turn();
    if (!str_eq(buf_str(&b.log), "put 1 one\nput 2\n"))
        return __LINE__ % CANNOT;
    /* Closing while it waits for the next try. */
    full = exhaust_descriptors(&other);
    if (conn_request(&a.conn, "3", "put", NULL, make_file("three")) < 0)
        return __LINE__ % CANNOT;
    turn();
    conn_close(&a.conn);
    turn();
    conn_close(&b.conn);
    turn();
    return a.closed == 1 && b.closed == 1 && loop_end(&loop) == 0 ? 0 : __LINE__ % CANNOT;
}

static void an_error_of_sending_that_passes_is_waited_for(void **state)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        (void)uv_loop_fork(&loop);
        _exit(send_while_exhausted());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 255)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_peer_that_went_away_ends_it_without_a_signal(void **state)
{
    AUTOFREE char *text = xcalloc(1, (3 << 20) + 1);
    memset(text, 'x', 3 << 20);
    AUTOJSON json_t *params = json_pack("{s:s}", "text", text);
    open_raw();
    assert_int_equal(conn_request(&a.conn, "1", "put", params, make_file("x")), 0);
    turn();
    (void)close(peer);
    peer = -1;
    assert_int_equal(conn_notify(&a.conn, "more", NULL), 0);
    turn();
    assert_int_equal(a.closed, 1);
    assert_true(a.reason == -EPIPE || a.reason == -ECONNRESET || a.reason == UV_EOF);
    shut(&a, a.reason);
}

static void the_last_words_of_a_peer_that_went_away_are_heard(void **state)
{
    AUTOFREE char *text = xcalloc(1, (3 << 20) + 1);
    memset(text, 'x', 3 << 20);
    AUTOJSON json_t *params = json_pack("{s:s}", "text", text);
    for (int way = 0; way < 3; way++) {
        open_raw();
        /* It goes with a request unread, with one still in our queue, or with both. */
        if (way != 1) {
            assert_int_equal(conn_notify(&a.conn, "unread", NULL), 0);
            turn();
        }
        send_text(three);
        for (int i = 0; i < 100; i++)
            send_text("{\"jsonrpc\":\"2.0\",\"method\":\"word\",\"params\":{\"text\":\"............"
                      "....\"}}\n");
        send_text(three);
        if (way != 0)
            assert_int_equal(conn_notify(&a.conn, "queued", params), 0);
        (void)close(peer);
        peer = -1;
        turn();
        assert_int_equal(a.messages, 106);
        assert_int_equal(a.closed, 1);
        shut(&a, a.reason);
    }
}

static void closing_is_asynchronous_and_twice_is_fine(void **state)
{
    open_raw();
    conn_close(&a.conn);
    conn_close(&a.conn);
    conn_close_after_flush(&a.conn);
    assert_int_equal(a.closed, 0);
    turn();
    assert_int_equal(a.closed, 1);
    shut_raw(0);
}

static void knows_who_is_at_the_other_end(void **state)
{
    pid_t pid = 0;
    uid_t uid = 77;
    open_raw();
    assert_int_equal(conn_peer(&a.conn, &pid, &uid), 0);
    assert_int_equal(pid, getpid());
    assert_int_equal(uid, getuid());
    shut_raw(0);
}

static void a_descriptor_that_cannot_be_watched_is_refused_and_closed(void **state)
{
    int fd = make_file("x");
    struct end e = {0};
    assert_true(conn_open(&e.conn, &loop, fd, on_msg, on_closed, &e) < 0);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    turn();
    assert_int_equal(e.closed, 0);
}

/* ---- peeking --------------------------------------------------------------------------------- */

/* What is in the socket of `a`, unread. */
static size_t unread(void)
{
    int bytes = 0;
    assert_int_equal(ioctl(a.conn.fd, FIONREAD, &bytes), 0);
    return (size_t)bytes;
}

/* The supervisor dies while it does the message: another one takes the socket over. */
static int heir = -1;
static void on_last_msg(struct conn *c, struct msg *m)
{
    on_msg(c, m);
    assert_int_equal(conn_result(c, m->id, NULL, -1), 0);
    if (heir < 0)
        heir = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);
    /* What a death does not do. */
    c->peeking = false;
    conn_close(c);
}

static void a_message_that_was_being_done_is_done_again(void **state)
{
    static const char with[] = "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":\"take\",\"fds\":1}\n";
    char answer[400] = "";
    int fd = make_file("one");
    open_raw();
    heir = -1;
    a.conn.on_msg = on_last_msg;
    send_bytes(with, strlen(with), &fd, 1);
    send_text(three);
    (void)close(fd);
    turn();
    assert_int_equal(a.closed, 1);
    assert_string_equal(buf_str(&a.log), "take 1 one\n");
    buf_clear(&a.log);
    a = (struct end){0};
    buf_init(&a.log, 1 << 20);
    assert_int_equal(conn_open_peeking(&a.conn, &loop, heir, true, on_msg, on_closed, &a), 0);
    assert_int_equal(unread(), strlen(with) + strlen(three));
    turn();
    assert_string_equal(buf_str(&a.log), "take 1 one\nping 1\nresult 2\nstop -\n");
    assert_int_equal(unread(), 0);
    assert_true(read(peer, answer, sizeof answer - 1) > 0);
    assert_string_equal(answer, "\n{\"method\":\"restarted\",\"params\":{},\"jsonrpc\":\"2.0\"}\n");
    shut_raw(0);
}

static void on_asked(struct conn *c, struct msg *m)
{
    char answer[200] = "";
    on_msg(c, m);
    assert_int_equal(conn_result(c, m->id, NULL, -1), 0);
    /* Neither sent nor taken out. */
    assert_int_equal(recv(peer, answer, sizeof answer, MSG_DONTWAIT), -1);
    assert_true(unread() > 0);
}

static void the_answer_is_sent_before_the_question_is_taken_out(void **state)
{
    char answer[200] = "";
    open_raw();
    a.conn.on_msg = on_asked;
    send_text("{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":\"ping\"}\n");
    while (a.messages == 0)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_true(recv(peer, answer, sizeof answer, MSG_DONTWAIT) > 0);
    assert_int_equal(unread(), 0);
    shut_raw(0);
}

static void half_a_line_stays_where_it_is_and_costs_nothing(void **state)
{
    open_raw();
    send_bytes(three, 50, NULL, 0);
    turn();
    assert_int_equal(a.messages, 1);
    assert_true(unread() > 0);
    /* The loop has only the timer's wake-ups until it gives up waiting. */
    clock_t cpu = clock();
    unsigned wakes = 0;
    for (; unread() > 0; wakes++)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_in_range(wakes, 5, 40);
    assert_true(clock() - cpu < CLOCKS_PER_SEC / 20);
    send_text(three + 50);
    turn();
    assert_string_equal(buf_str(&a.log), three_log);
    shut_raw(0);
}

static void half_a_line_of_a_peer_that_has_gone_ends_at_once(void **state)
{
    open_raw();
    send_bytes(three, 50, NULL, 0);
    turn();
    (void)close(peer);
    peer = -1;
    turn();
    turn();
    assert_int_equal(a.closed, 1);
    shut(&a, UV_EOF);
}

/* All sizes around that of one look, with a descriptor: then the kernel shows no more than the first piece. */
static void long_lines_come_whole(void **state)
{
    static const size_t sizes[] = {1000, 32600, 32768, 33000, 70000, 250000, 3000000};
    open_both();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int with_fd = 0; with_fd < 2; with_fd++) {
            AUTOFREE char *text = xcalloc(1, sizes[i] + 1);
            memset(text, 'x', sizes[i]);
            AUTOJSON json_t *params = json_pack("{s:s}", "text", text);
            buf_reset(&b.log);
            b.messages = 0;
            assert_int_equal(conn_notify(&a.conn, "before", NULL), 0);
            assert_int_equal(
                conn_request(&a.conn, "1", "put", params, with_fd ? make_file("f") : -1), 0);
            assert_int_equal(conn_notify(&a.conn, "after", NULL), 0);
            for (int n = 0; n < 2000 && b.messages < 3; n++)
                turn();
            assert_string_equal(buf_str(&b.log), with_fd ? "before -\nput 1 f\nafter -\n"
                                                         : "before -\nput 1\nafter -\n");
        }
    shut(&a, 0);
    shut(&b, UV_EOF);
}

static void the_rest_of_a_torn_line_is_forgiven_once(void **state)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    peer = fds[1];
    a = (struct end){0};
    buf_init(&a.log, 1 << 20);
    assert_int_equal(conn_open_peeking(&a.conn, &loop, fds[0], true, on_msg, on_closed, &a), 0);
    send_text("of a line\"}}\n");
    send_text(three);
    turn();
    assert_string_equal(buf_str(&a.log), three_log);
    assert_int_equal(a.closed, 0);
    send_text("of a line\"}}\n");
    turn();
    assert_int_equal(a.closed, 1);
    shut_raw(ERR_SYNTAX);
}

static const char restarted[] = "\n{\"jsonrpc\":\"2.0\",\"method\":\"restarted\"}\n";

static void a_torn_line_is_forgiven_before_restarted(void **state)
{
    open_raw();
    conn_forgive_torn(&a.conn);
    for (size_t at = 0; at < sizeof three; at++) {
        buf_reset(&a.log);
        send_bytes(three, at, NULL, 0);
        turn();
        send_text(restarted);
        turn();
        assert_int_equal(a.closed, 0);
        size_t len = a.log.len;
        assert_true(len >= 12 && str_eq(buf_str(&a.log) + len - 12, "restarted -\n"));
    }
    send_text("half\n{\"jso");
    send_text(restarted);
    turn();
    assert_int_equal(a.closed, 0);
    send_text("half\n");
    send_text(three);
    turn();
    assert_int_equal(a.closed, 1);
    shut_raw(ERR_SYNTAX);
    open_raw();
    conn_forgive_torn(&a.conn);
    send_text("half\n");
    while (!a.closed)
        (void)uv_run(&loop, UV_RUN_ONCE);
    shut_raw(ERR_SYNTAX);
}

static void on_last_words(struct conn *c, struct msg *m)
{
    on_msg(c, m);
    (void)conn_request(c, "x", "ping", NULL, make_file("x"));
}

static void the_queue_of_a_peer_that_went_away_is_dropped_after_its_words(void **state)
{
    open_raw();
    a.conn.on_msg = on_last_words;
    send_text(three);
    (void)close(peer);
    peer = -1;
    turn();
    assert_int_equal(a.messages, 3);
    assert_int_equal(a.closed, 1);
    shut(&a, a.reason);
}

#define ON_LOOP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#define PEEKING(test) cmocka_unit_test_setup_teardown(test, set_up_peeking, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_LOOP(messages_arrive_whole_wherever_they_are_split),
        ON_LOOP(messages_arrive_byte_by_byte),
        ON_LOOP(a_descriptor_belongs_to_its_message_wherever_it_is_split),
        ON_LOOP(a_promised_descriptor_that_does_not_come_ends_it),
        ON_LOOP(descriptors_that_nobody_asked_for_are_closed_and_counted),
        ON_LOOP(garbage_ends_it),
        ON_LOOP(a_line_of_the_limit_passes_and_one_byte_more_does_not),
        ON_LOOP(the_end_of_the_stream_is_told_once),
        ON_LOOP(it_may_be_closed_inside_the_callback),
        ON_LOOP(messages_and_descriptors_arrive_in_order),
        ON_LOOP(errors_and_progress_name_their_request),
        ON_LOOP(a_peer_that_does_not_read_is_cut_off_at_the_limit),
        ON_LOOP(closing_after_the_flush_sends_everything_first),
        ON_LOOP(a_large_message_leaves_no_memory_behind),
        ON_LOOP(an_error_of_sending_that_passes_is_waited_for),
        ON_LOOP(a_peer_that_went_away_ends_it_without_a_signal),
        ON_LOOP(the_last_words_of_a_peer_that_went_away_are_heard),
        ON_LOOP(closing_is_asynchronous_and_twice_is_fine),
        ON_LOOP(knows_who_is_at_the_other_end),
        ON_LOOP(a_descriptor_that_cannot_be_watched_is_refused_and_closed),
        PEEKING(messages_arrive_whole_wherever_they_are_split),
        PEEKING(messages_arrive_byte_by_byte),
        PEEKING(a_promised_descriptor_that_does_not_come_ends_it),
        PEEKING(garbage_ends_it),
        PEEKING(a_line_of_the_limit_passes_and_one_byte_more_does_not),
        PEEKING(the_end_of_the_stream_is_told_once),
        PEEKING(it_may_be_closed_inside_the_callback),
        PEEKING(messages_and_descriptors_arrive_in_order),
        PEEKING(a_peer_that_does_not_read_is_cut_off_at_the_limit),
        PEEKING(closing_after_the_flush_sends_everything_first),
        PEEKING(the_last_words_of_a_peer_that_went_away_are_heard),
        PEEKING(a_message_that_was_being_done_is_done_again),
        PEEKING(the_answer_is_sent_before_the_question_is_taken_out),
        PEEKING(half_a_line_stays_where_it_is_and_costs_nothing),
        PEEKING(half_a_line_of_a_peer_that_has_gone_ends_at_once),
        PEEKING(long_lines_come_whole),
        PEEKING(the_rest_of_a_torn_line_is_forgiven_once),
        PEEKING(the_queue_of_a_peer_that_went_away_is_dropped_after_its_words),
        ON_LOOP(a_torn_line_is_forgiven_before_restarted),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
