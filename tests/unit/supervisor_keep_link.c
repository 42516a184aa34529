/* The keeper's part is played by the test, at the other end of the socket. */
#include "supervisor/keep_link.h"

#include "tests/unit/support.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "lib/base/err.h"
#include "lib/base/path.h"

static struct keep_link link_;
static uv_loop_t loop;
static int keeper;
static int fds_before;
static struct keep_msg exits[8];
static unsigned exit_count, gone_count;
static char names[256];

static int set_up(void **state)
{
    exit_count = gone_count = 0;
    names[0] = '\0';
    keeper = -1;
    link_ = (struct keep_link){.sock = -1};
    if (uv_loop_init(&loop) < 0)
        return -1;
    fds_before = count_fds();
    return 0;
}

static int tear_down(void **state)
{
    keep_link_close(&link_);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    keep_link_clear(&link_);
    if (keeper >= 0)
        (void)close(keeper);
    assert_int_equal(count_fds(), fds_before);
    return uv_loop_close(&loop);
}

/* ---- the keeper ------------------------------------------------------------------------------ */

static int make_pair(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    keeper = fds[0];
    return fds[1];
}

static void say(enum keep_type type, const char *name, int fd)
{
    struct keep_msg msg = {.version = KEEP_VERSION, .type = type};
    (void)snprintf(msg.name, sizeof msg.name, "%s", name);
    assert_int_equal(keep_send(keeper, &msg, fd), 0);
}

static void say_exit(uint64_t seq, pid_t pid)
{
    struct keep_msg msg = {.version = KEEP_VERSION,
                           .type = KEEP_EXIT,
                           .seq = seq,
                           .pid = pid,
                           .code = CLD_EXITED,
                           .status = 3};
    assert_int_equal(keep_send(keeper, &msg, -1), 0);
}

static void say_synced(uint32_t flags)
{
    struct keep_msg msg = {.version = KEEP_VERSION,
                           .type = KEEP_SYNCED,
                           .flags = flags,
                           .starts = 4,
                           .status = 9,
                           .at_ms = 1234};
    assert_int_equal(keep_send(keeper, &msg, -1), 0);
}

/* A descriptor whose content is `text`. */
static int text_fd(const char *text)
{
    int fd = memfd_create("text", MFD_CLOEXEC);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    return fd;
}

static void say_text(const char *name, const char *text)
{
    AUTOCLOSE int fd = text_fd(text);
    say(KEEP_FD, name, fd);
}

static void assert_text(int fd, const char *text)
{
    char got[64] = "";
    assert_true(fd >= 0);
    assert_true(pread(fd, got, sizeof got - 1, 0) >= 0);
    assert_string_equal(got, text);
}

/* The next message that the keeper gets. */
static struct keep_msg heard(enum keep_type type, const char *name, const char *text)
{
    struct keep_msg msg;
    AUTOCLOSE int fd = -1;
    struct pollfd wait = {.fd = keeper, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 5000), 1);
    assert_int_equal(keep_receive(keeper, &msg, &fd), 1);
    assert_int_equal(msg.type, type);
    assert_string_equal(msg.name, name);
    if (text)
        assert_text(fd, text);
    else
        assert_int_equal(fd, -1);
    return msg;
}

static void heard_nothing(void)
{
    struct pollfd wait = {.fd = keeper, .events = POLLIN};
    assert_int_equal(poll(&wait, 1, 0), 0);
}

static void open_empty(void)
{
    int sock = make_pair();
    say_synced(0);
    assert_int_equal(keep_link_open(&link_, sock), 0);
}

static void on_exit_told(void *arg, const struct keep_msg *msg)
{
    assert_string_equal(arg, "arg");
    exits[exit_count++] = *msg;
}

static void on_gone(void *arg)
{
    gone_count++;
}

static void watch(void)
{
    assert_int_equal(keep_link_watch(&link_, &loop, on_exit_told, on_gone, (void *)"arg"), 0);
}

static void turn(void)
{
    for (int i = 0; i < 4; i++)
        (void)uv_run(&loop, UV_RUN_NOWAIT);
}

/* ---- storing --------------------------------------------------------------------------------- */

static void without_a_keeper_nothing_is_stored(void **state)
{
    AUTOBUF struct buf out = BUF_INIT(100);
    assert_int_equal(keep_link_open(&link_, -1), 0);
    assert_false(keep_link_again(&link_));
    assert_int_equal(keep_store(&link_, 0, "a"), 0);
    assert_int_equal(keep_put(&link_, "x", 1, "b"), 0);
    assert_int_equal(keep_take(&link_, "a"), -1);
    assert_int_equal(keep_get(&link_, &out, "b"), -ENOENT);
    keep_drop(&link_, "*");
    keep_up(&link_);
    watch();
    keep_drop_untaken(&link_);
}

static void what_is_stored_is_sent_under_its_name(void **state)
{
    open_empty();
    assert_int_equal(link_.starts, 4);
    assert_int_equal(link_.last_status, 9);
    assert_int_equal(link_.last_ended_ms, 1234);
    AUTOCLOSE int fd = text_fd("pipe");
    assert_int_equal(keep_store(&link_, fd, "i%d.out.%c", 7, 'r'), 0);
    (void)heard(KEEP_STORE, "i7.out.r", "pipe");
    /* It is the caller's own, and nothing that came from the keeper. */
    assert_int_equal(keep_take(&link_, "i7.out.r"), -1);
    keep_drop(&link_, "i7.out.r");
    (void)heard(KEEP_DROP, "i7.out.r", NULL);
    keep_drop(&link_, "i7.out.r");
    keep_drop(&link_, "unknown");
    heard_nothing();
    assert_text(fd, "pipe");
}

static void a_star_drops_all_names_that_begin_so(void **state)
{
    open_empty();
    AUTOCLOSE int fd = text_fd("x");
    static const char *const all[] = {"i7.out.r", "i71.pid", "i7.err", "i7.pid", "i8.pid"};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        assert_int_equal(keep_store(&link_, fd, "%s", all[i]), 0);
        (void)heard(KEEP_STORE, all[i], "x");
    }
    assert_int_equal(link_.count, 5);
    keep_drop(&link_, "i7.*");
    (void)heard(KEEP_DROP, "i7.*", NULL);
    assert_int_equal(link_.count, 2);
    keep_drop(&link_, "i9.*");
    heard_nothing();
}

static void names_that_cannot_be_are_refused(void **state)
{
    open_empty();
    AUTOCLOSE int fd = text_fd("x");
    char name[KEEP_NAME + 1];
    memset(name, 'n', sizeof name);
    name[KEEP_NAME] = '\0';
    assert_int_equal(keep_store(&link_, fd, "%s", name), -ENAMETOOLONG);
    assert_int_equal(keep_store(&link_, fd, "a b"), -EINVAL);
    assert_int_equal(keep_put(&link_, "x", 1, "%s", name), -ENAMETOOLONG);
    assert_int_equal(keep_take(&link_, "%s", name), -1);
    keep_drop(&link_, "%s", name);
    heard_nothing();
    assert_int_equal(link_.count, 0);
    assert_int_equal(keep_store(&link_, 999999, "bad"), -EBADF);
    assert_int_equal(link_.count, 0);
}

static void a_record_is_replaced_as_a_whole(void **state)
{
    AUTOBUF struct buf out = BUF_INIT(10);
    open_empty();
    int before = count_fds();
    assert_int_equal(keep_put(&link_, "first", 5, "c/%s.json", "id"), 0);
    (void)heard(KEEP_STORE, "c/id.json", "first");
    assert_int_equal(keep_put(&link_, "2nd", 3, "c/id.json"), 0);
    (void)heard(KEEP_STORE, "c/id.json", "2nd");
    assert_int_equal(count_fds(), before + 1);
    assert_int_equal(keep_get(&link_, &out, "c/id.json"), 0);
    assert_string_equal(buf_str(&out), "2nd");
    assert_int_equal(keep_put(&link_, "more than ten bytes", 19, "c/id.json"), 0);
    buf_reset(&out);
    assert_int_equal(keep_get(&link_, &out, "c/id.json"), ERR_TOO_BIG);
    assert_int_equal(keep_put(&link_, "", 0, "c/id.json"), 0);
    buf_reset(&out);
    assert_int_equal(keep_get(&link_, &out, "c/id.json"), 0);
    assert_int_equal(out.len, 0);
    keep_drop(&link_, "c/id.json");
    assert_int_equal(keep_get(&link_, &out, "c/id.json"), -ENOENT);
    assert_int_equal(count_fds(), before);
}

/* ---- getting back ---------------------------------------------------------------------------- */

static void on_name(void *arg, const char *name)
{
    (void)strcat(strcat(names, name), " ");
}

static void what_was_stored_comes_back_once(void **state)
{
    AUTOBUF struct buf out = BUF_INIT(100);
    int sock = make_pair();
    say_text("i7.out.r", "pipe");
    say_text("state", "{}");
    say_text("c/b.json", "B");
    say_text("c/a.json", "A");
    say_text("left", "over");
    say_synced(KEEP_AGAIN | KEEP_SAFE);
    assert_int_equal(keep_link_open(&link_, sock), 0);
    assert_true(keep_link_again(&link_));
    assert_int_equal(link_.flags, KEEP_AGAIN | KEEP_SAFE);
    AUTOCLOSE int fd = keep_take(&link_, "i7.out.r");
    assert_text(fd, "pipe");
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(keep_take(&link_, "i7.out.r"), -1);
    assert_int_equal(keep_get(&link_, &out, "state"), 0);
    assert_string_equal(buf_str(&out), "{}");
    keep_each(&link_, "c/", on_name, NULL);
    assert_string_equal(names, "c/a.json c/b.json ");
    buf_reset(&out);
    assert_int_equal(keep_get(&link_, &out, "c/a.json"), 0);
    assert_int_equal(keep_get(&link_, &out, "c/b.json"), 0);
    assert_string_equal(buf_str(&out), "AB");
    keep_drop_untaken(&link_);
    (void)heard(KEEP_DROP, "left", NULL);
    heard_nothing();
    assert_int_equal(link_.count, 4);
    /* Taken, it is the caller's, and still stored. */
    keep_drop(&link_, "i7.*");
    (void)heard(KEEP_DROP, "i7.*", NULL);
    assert_text(fd, "pipe");
}

static void a_keeper_that_breaks_off_is_an_error(void **state)
{
    int sock = make_pair();
    say_text("state", "{}");
    (void)close(keeper);
    keeper = -1;
    assert_true(keep_link_open(&link_, sock) < 0);
}

/* ---- exits ----------------------------------------------------------------------------------- */

static void exits_are_told_in_order_and_acknowledged(void **state)
{
    int sock = make_pair();
    say_exit(5, 100);
    say_exit(6, 101);
    say_synced(KEEP_AGAIN);
    assert_int_equal(keep_link_open(&link_, sock), 0);
    say_exit(7, 102);
    watch();
    assert_int_equal(exit_count, 0);
    turn();
    assert_int_equal(exit_count, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(exits[i].pid, 100 + i);
        assert_int_equal(exits[i].status, 3);
        assert_int_equal(heard(KEEP_ACK, "", NULL).seq, 5 + i);
    }
    say_exit(8, 103);
    say(KEEP_STORE, "unknown here", -1);
    turn();
    assert_int_equal(exit_count, 4);
    assert_int_equal(gone_count, 0);
}

static void a_dead_keeper_is_told_after_its_last_words(void **state)
{
    open_empty();
    watch();
    turn();
    assert_int_equal(keep_put(&link_, "1", 1, "unread"), 0); /* makes the end a reset */
    say_exit(1, 100);
    (void)close(keeper);
    keeper = -1;
    turn();
    assert_int_equal(exit_count, 1);
    assert_int_equal(gone_count, 1);
    /* What is stored now is for the next one. */
    assert_int_equal(keep_put(&link_, "2", 1, "record"), 0);
    AUTOCLOSE int fd = text_fd("x");
    assert_int_equal(keep_store(&link_, fd, "fd"), 0);
    assert_int_equal(link_.count, 3);
    turn();
    assert_int_equal(gone_count, 1);
}

static void a_keeper_without_descriptors_refuses(void **state)
{
    struct rlimit before, small;
    open_empty();
    AUTOCLOSE int fd = text_fd("x");
    assert_int_equal(keep_store(&link_, fd, "first"), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    small = before;
    small.rlim_cur = 33;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
    int r = keep_store(&link_, fd, "second");
    int again = keep_store(&link_, fd, "first");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(r, -EMFILE);
    assert_int_equal(again, 0);
    assert_int_equal(link_.count, 1);
}

/* The other end's process is who made the pair, so it is made by a child. */
static pid_t start_stuck_keeper(int *ret_sock)
{
    int carry = make_pair();
    pid_t pid = fork();
    if (pid == 0) {
        int fds[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
            _exit(1);
        int passed_on = keeper;
        keeper = fds[0];
        say_synced(0);
        struct keep_msg msg = {.version = KEEP_VERSION, .type = KEEP_FD};
        (void)keep_send(passed_on, &msg, fds[1]);
        (void)close(fds[1]);
        for (;;)
            pause();
    }
    struct keep_msg msg;
    assert_int_equal(keep_receive(carry, &msg, ret_sock), 1);
    (void)close(carry);
    return pid;
}

static void a_stuck_keeper_is_ended(void **state)
{
    int sock, status;
    pid_t pid = start_stuck_keeper(&sock);
    assert_int_equal(keep_link_open(&link_, sock), 0);
    assert_int_equal(link_.keeper_pid, pid);
    watch();
    turn();
    AUTOCLOSE int fd = text_fd("x");
    for (int i = 0; i < 100000 && !link_.gone; i++)
        assert_int_equal(keep_store(&link_, fd, "name%d", i % 50), 0);
    assert_true(link_.gone);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    turn();
    assert_int_equal(gone_count, 1);
    assert_int_equal(link_.count, 50);
}

/* Nor does it leave anything open, however often it is tried. */
static void without_a_program_for_it_there_is_no_next_keeper(void **state)
{
    AUTOFREE char *program = path_sibling("proctor-keeper");
    if (access(program, X_OK) == 0)
        skip();
    open_empty();
    int fd = text_fd("kept");
    assert_int_equal(keep_store(&link_, fd, "i1.out"), 0);
    int open_before = count_fds();
    for (int i = 0; i < 3; i++)
        assert_true(keep_link_become(&link_, "/nowhere") < 0);
    assert_int_equal(count_fds(), open_before);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    keep_drop(&link_, "i1.out");
    (void)close(fd);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN(without_a_keeper_nothing_is_stored),
        RUN(what_is_stored_is_sent_under_its_name),
        RUN(a_star_drops_all_names_that_begin_so),
        RUN(names_that_cannot_be_are_refused),
        RUN(a_record_is_replaced_as_a_whole),
        RUN(what_was_stored_comes_back_once),
        RUN(a_keeper_that_breaks_off_is_an_error),
        RUN(exits_are_told_in_order_and_acknowledged),
        RUN(a_dead_keeper_is_told_after_its_last_words),
        RUN(a_keeper_without_descriptors_refuses),
        RUN(a_stuck_keeper_is_ended),
        RUN(without_a_program_for_it_there_is_no_next_keeper),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
