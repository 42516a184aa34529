#include "supervisor/logstream.h"

#include "tests/unit/support.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/loop.h"
#include "supervisor/keep_link.h"

#define PATH "0f2c936f-b1cd-4ac9-aab3-f63b0f33d55e"
#define URL "ws://127.0.0.1:38291/" PATH "\n"
#define HELP "For help, see: https://nodejs.org/en/docs/inspector\n"

static uv_loop_t loop;
static struct logstream stream;
static struct slot_stream kept;
static struct keep_link no_keeper = {.sock = -1};
static char *path;
static int fds_before;
static unsigned closed, cut;

static void on_closed(void *arg)
{
    closed++;
}

static enum stderr_answer confirm(void *arg, unsigned port, const char *uuid, bool urgent)
{
    return port == 38291;
}

static void seen(void *arg, enum inspector_line kind, unsigned port, const char *uuid)
{
    cut++;
}

static void open_stream(void)
{
    assert_int_equal(logstream_open(&stream, &loop, path, 65536, &no_keeper, "i0.out", &kept), 0);
    stderr_lines_init(&stream.lines, confirm, seen, NULL);
}

static int warm_up(void **state)
{
    (void)setenv("PROCTOR_LOG", "error", 1);
    return uv_loop_init(&loop) < 0 ? -1 : loop_end(&loop);
}

static int set_up(void **state)
{
    fds_before = count_fds();
    closed = cut = 0;
    if (make_folder(state) < 0 || uv_loop_init(&loop) < 0)
        return -1;
    path = in_folder("out.log");
    return 0;
}

static int tear_down(void **state)
{
    free(path);
    if (loop_end(&loop) != 0 || count_fds() != fds_before)
        return -1;
    return remove_folder(state);
}

static void close_stream(void)
{
    logstream_close(&stream, on_closed, NULL);
    assert_int_equal(closed, 0);
    while (!closed)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(closed, 1);
    assert_no_child();
}

/* As the app does it, but without blocking: how much was taken. */
static size_t app_writes(const char *data, size_t len)
{
    (void)fcntl(stream.pipe_write, F_SETFL, O_NONBLOCK);
    ssize_t n = write(stream.pipe_write, data, len);
    return n > 0 ? (size_t)n : 0;
}

static void app_says(const char *text)
{
    assert_int_equal(app_writes(text, strlen(text)), strlen(text));
}

static void run_for_ms(unsigned ms)
{
    uint64_t end = uv_hrtime() + ms * 1000000u;
    while (uv_hrtime() < end) {
        (void)uv_run(&loop, UV_RUN_NOWAIT);
        (void)usleep(500);
    }
}

/* ---- every byte ------------------------------------------------------------------------------ */

enum { MUCH = 700000 };

/* Lines of different lengths, some of which begin like the inspector's. */
static char *make_lines(void)
{
    AUTOBUF struct buf b = BUF_INIT(2 * MUCH);
    for (int i = 0; b.len < MUCH; i++) {
        assert_int_equal(buf_addf(&b, "%d %.*s\n", i, i % 97,
                                  "................................................"
                                  "................................................."),
                         0);
        if (i % 50 == 0)
            assert_int_equal(buf_addstr(&b, "Debugger listening on ws://127.0.0.1:1/" PATH
                                            "\nFor help\nDebugger a"),
                             0);
    }
    return buf_take(&b);
}

/* Says it in pieces of many sizes; `toggle`: watch goes on and off all the time. */
static void assert_all_arrives(bool watch, bool toggle)
{
    AUTOFREE char *text = make_lines();
    size_t len = strlen(text), done = 0;
    open_stream();
    logstream_watch(&stream, watch);
    for (int i = 0; done < len; i++) {
        size_t piece = (size_t)(i * 7919) % 9000 + 1;
        done += app_writes(text + done, piece < len - done ? piece : len - done);
        if (toggle && i % 3 == 0)
            logstream_watch(&stream, i % 2 == 0);
        (void)uv_run(&loop, i % 4 ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    }
    logstream_drain(&stream);
    assert_int_equal(stream.offset, (int64_t)len);
    close_stream();
    assert_file(path, text);
    assert_int_equal(cut, 0);
}

static void all_bytes_arrive_in_order(void **state)
{
    assert_all_arrives(false, false);
}

static void all_bytes_arrive_in_order_while_watched(void **state)
{
    assert_all_arrives(true, false);
}

static void all_bytes_arrive_in_order_while_watch_goes_on_and_off(void **state)
{
    assert_all_arrives(false, true);
}

static void a_file_that_exists_is_continued(void **state)
{
    put_file(path, "from before\n");
    open_stream();
    app_says("one\n");
    run_for_ms(30);
    assert_file(path, "from before\none\n");
    app_says("two\n");
    logstream_drain(&stream);
    close_stream();
    assert_file(path, "from before\none\ntwo\n");
}

static void the_pipe_outlives_its_writers(void **state)
{
    open_stream();
    for (int i = 0; i < 3; i++) {
        int writer = dup(stream.pipe_write);
        assert_int_equal(write(writer, "process\n", 8), 8);
        (void)close(writer);
        run_for_ms(15);
    }
    close_stream();
    assert_file(path, "process\nprocess\nprocess\n");
}

static void a_file_that_cannot_be_opened_is_an_error(void **state)
{
    AUTOFREE char *elsewhere = in_folder("elsewhere"), *index = in_folder("out.log.idx");
    assert_int_equal(symlink(elsewhere, path), 0);
    assert_int_equal(logstream_open(&stream, &loop, path, 65536, &no_keeper, "i0.out", &kept),
                     -ELOOP);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(logstream_open(&stream, &loop, path, 65536, &no_keeper, "i0.out", &kept),
                     ERR_NO_FILE);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(index, 0700), 0);
    assert_int_equal(logstream_open(&stream, &loop, path, 65536, &no_keeper, "i0.out", &kept),
                     -EISDIR);
    AUTOFREE char *deep = in_folder("none/out.log");
    assert_int_equal(logstream_open(&stream, &loop, deep, 65536, &no_keeper, "i0.out", &kept),
                     -ENOENT);
}

static void files_are_for_their_owner_only(void **state)
{
    AUTOFREE char *index = in_folder("out.log.idx");
    struct stat st;
    open_stream();
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(index, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    close_stream();
}

/* ---- the inspector's lines ------------------------------------------------------------------- */

static void the_inspectors_lines_are_cut_while_watched(void **state)
{
    open_stream();
    app_says("one\n");
    run_for_ms(15);
    logstream_watch(&stream, true);
    stream.lines.attach_expected = 1;
    app_says("two\nhalf Debugger listening on " URL);
    run_for_ms(15);
    app_says(HELP "Debugger att");
    run_for_ms(15);
    app_says("ached.\na line\nDebugger ending on " URL HELP);
    run_for_ms(15);
    logstream_watch(&stream, false);
    app_says("Debugger listening on " URL);
    logstream_drain(&stream);
    close_stream();
    assert_file(path, "one\ntwo\nhalf a line\nDebugger listening on " URL);
    assert_int_equal(cut, 5);
}

static void an_unfinished_line_is_let_go_after_a_while(void **state)
{
    open_stream();
    logstream_watch(&stream, true);
    app_says("name? Debugger lis");
    run_for_ms(20);
    assert_file(path, "name? ");
    for (int i = 0; i < 100 && stream.offset < 18; i++)
        run_for_ms(10);
    assert_file(path, "name? Debugger lis");
    close_stream();
}

static void draining_lets_everything_go(void **state)
{
    open_stream();
    logstream_watch(&stream, true);
    app_says("last words\nDebugger lis");
    logstream_drain(&stream);
    assert_file(path, "last words\nDebugger lis");
    close_stream();
}

/* ---- the index ------------------------------------------------------------------------------- */

static void the_index_says_when_which_output_came(void **state)
{
    AUTOFREE char *index = in_folder("out.log.idx");
    int64_t began = loop_wall_ms(), offsets[5] = {0}, last_ms = 0, last_offset = 0;
    bool found[5] = {false};
    open_stream();
    for (int i = 0; i < 5; i++) {
        offsets[i] = stream.offset;
        app_says("a line of output\n");
        run_for_ms(20);
    }
    close_stream();
    AUTOBUF struct buf b = BUF_INIT(100000);
    assert_int_equal(path_read(index, &b), 0);
    assert_int_equal(b.len % 16, 0);
    assert_true(b.len >= 5 * 16);
    for (size_t at = 0; at < b.len; at += 16) {
        int64_t record[2];
        memcpy(record, b.data + at, sizeof record);
        assert_true(record[0] >= began && record[0] <= loop_wall_ms() && record[0] >= last_ms);
        assert_true(record[1] >= last_offset && record[1] <= stream.offset);
        last_ms = record[0];
        last_offset = record[1];
        for (int i = 0; i < 5; i++)
            found[i] |= record[1] == offsets[i];
    }
    for (int i = 0; i < 5; i++)
        assert_true(found[i]);
}

/* ---- what happens to the file from outside --------------------------------------------------- */

static void a_file_cut_short_from_outside_is_continued_at_its_end(void **state)
{
    open_stream();
    app_says("before the cut\n");
    run_for_ms(15);
    assert_int_equal(truncate(path, 0), 0);
    app_says("after\n");
    run_for_ms(15);
    assert_file(path, "after\n");
    assert_int_equal(truncate(path, 3), 0);
    app_says("again\n");
    logstream_drain(&stream);
    close_stream();
    assert_file(path, "aftagain\n");
}

/* ---- the tail -------------------------------------------------------------------------------- */

static char *tail_from(int64_t from)
{
    AUTOBUF struct buf b = BUF_INIT(100000);
    logstream_tail(&stream, from, &b);
    assert_true(b.len <= LIMIT_STDERR_TAIL);
    return buf_take(&b);
}

static void the_tail_is_the_last_whole_lines(void **state)
{
    open_stream();
    AUTOFREE char *nothing = tail_from(0);
    assert_string_equal(nothing, "");
    app_says("one\ntwo\n");
    logstream_drain(&stream);
    AUTOFREE char *all = tail_from(0), *second = tail_from(4), *none = tail_from(8);
    assert_string_equal(all, "one\ntwo\n");
    assert_string_equal(second, "two\n");
    assert_string_equal(none, "");
    for (int i = 0; i < 1000; i++)
        app_says("a line\n");
    app_says("the last\n");
    logstream_drain(&stream);
    AUTOFREE char *long_tail = tail_from(4);
    assert_true(strlen(long_tail) > LIMIT_STDERR_TAIL - 7);
    assert_int_equal(strncmp(long_tail, "a line\n", 7), 0);
    assert_string_equal(long_tail + strlen(long_tail) - 9, "the last\n");
    close_stream();
}

static void a_tail_of_a_file_cut_short_is_what_is_left(void **state)
{
    open_stream();
    for (int i = 0; i < 1000; i++)
        app_says("a line\n");
    logstream_drain(&stream);
    int64_t from = stream.offset;
    assert_int_equal(truncate(path, 0), 0);
    app_says("new\n");
    logstream_drain(&stream);
    AUTOFREE char *tail = tail_from(from);
    assert_string_equal(tail, "new\n");
    close_stream();
}

static void a_tail_without_a_newline_is_given_all_the_same(void **state)
{
    static char text[9001];
    memset(text, 'y', 9000);
    open_stream();
    app_says(text);
    logstream_drain(&stream);
    AUTOFREE char *tail = tail_from(0);
    assert_int_equal(strlen(tail), LIMIT_STDERR_TAIL);
    close_stream();
}

#define ON_LOOP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_LOOP(all_bytes_arrive_in_order),
        ON_LOOP(all_bytes_arrive_in_order_while_watched),
        ON_LOOP(all_bytes_arrive_in_order_while_watch_goes_on_and_off),
        ON_LOOP(a_file_that_exists_is_continued),
        ON_LOOP(the_pipe_outlives_its_writers),
        ON_LOOP(a_file_that_cannot_be_opened_is_an_error),
        ON_LOOP(files_are_for_their_owner_only),
        ON_LOOP(the_inspectors_lines_are_cut_while_watched),
        ON_LOOP(an_unfinished_line_is_let_go_after_a_while),
        ON_LOOP(draining_lets_everything_go),
        ON_LOOP(the_index_says_when_which_output_came),
        ON_LOOP(a_file_cut_short_from_outside_is_continued_at_its_end),
        ON_LOOP(the_tail_is_the_last_whole_lines),
        ON_LOOP(a_tail_of_a_file_cut_short_is_what_is_left),
        ON_LOOP(a_tail_without_a_newline_is_given_all_the_same),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
