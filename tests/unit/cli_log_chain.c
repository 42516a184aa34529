#include "supervisor/cli/log_chain.h"

#include "tests/unit/support.h"

static struct log_chain chain;
static char *path;

static int set_up(void **state)
{
    if (make_folder(state) < 0)
        return -1;
    path = in_folder("api-0.out");
    return 0;
}

static int tear_down(void **state)
{
    free(path);
    return remove_folder(state);
}

static char *archive(unsigned day)
{
    return xasprintf("%s.202611%02uT000000.000Z", path, day);
}

static void put_archive(unsigned day, const char *text)
{
    AUTOFREE char *file = archive(day);
    put_file(file, text);
}

static void add_text(const char *file, const char *text)
{
    FILE *f = fopen(file, "ae");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* As proctord does it, but for the tail that is carried over: `steps` of link, switch, cut. */
static void rotate(unsigned day, const char *carried, off_t cut_at, unsigned steps)
{
    AUTOFREE char *file = archive(day), *fresh = in_folder("api-0.out.new");
    put_file(fresh, carried);
    assert_int_equal(link(path, file), 0);
    if (steps > 1)
        assert_int_equal(rename(fresh, path), 0);
    if (steps > 2 && cut_at >= 0)
        assert_int_equal(truncate(file, cut_at), 0);
}

static void lines_are(const char *expected, bool rest)
{
    AUTOBUF struct buf b = BUF_INIT(1 << 20);
    struct log_line line;
    for (int more = 1; more > 0; more = log_chain_check(&chain))
        while (log_chain_next(&chain, rest, &line) > 0)
            (void)buf_addf(&b, "%.*s|", (int)line.len, line.text);
    assert_string_equal(buf_str(&b), expected);
}

static void the_tail_goes_back_into_archives(void **state)
{
    put_archive(1, "1\n2\n3\n");
    put_archive(2, "4\n5\n");
    put_archive(3, "6\n");
    put_file(path, "7\n8\n");
    static const char *const expected[] = {
        "",           "8|",           "7|8|",           "6|7|8|",          "5|6|7|8|",
        "4|5|6|7|8|", "3|4|5|6|7|8|", "2|3|4|5|6|7|8|", "1|2|3|4|5|6|7|8|"};
    for (unsigned n = 0; n < ARRAY_SIZE(expected); n++) {
        assert_int_equal(log_chain_open(&chain, path), 0);
        assert_int_equal(log_chain_seek_tail(&chain, n), n);
        lines_are(expected[n], true);
        log_chain_close(&chain);
    }
    assert_int_equal(log_chain_open(&chain, path), 0);
    assert_int_equal(log_chain_seek_tail(&chain, 100), 8);
    lines_are(expected[8], true);
    log_chain_close(&chain);
}

static void several_rotations_between_two_looks(void **state)
{
    put_archive(1, "before\n");
    put_file(path, "1\n2\n");
    assert_int_equal(log_chain_open(&chain, path), 0);
    lines_are("1|2|", false);
    add_text(path, "3\n");
    rotate(2, "", -1, 3);
    add_text(path, "4\n");
    rotate(3, "", -1, 3);
    add_text(path, "5\n");
    rotate(4, "", -1, 3);
    add_text(path, "6\n");
    lines_are("3|4|5|6|", false);
    log_chain_close(&chain);
}

static void a_line_that_was_carried_over_comes_once(void **state)
{
    for (unsigned steps = 2; steps <= 3; steps++) {
        put_file(path, "1\n2 is lo");
        assert_int_equal(log_chain_open(&chain, path), 0);
        lines_are("1|", false);
        rotate(steps, "2 is lo", 2, steps);
        add_text(path, "ng\n");
        lines_are("2 is long|", false);
        log_chain_close(&chain);
    }
}

static void a_rotation_that_is_taken_back_doubles_nothing(void **state)
{
    AUTOFREE char *file = archive(2);
    put_file(path, "1\n2\n");
    assert_int_equal(log_chain_open(&chain, path), 0);
    lines_are("1|2|", false);
    rotate(1, "", -1, 3);
    add_text(path, "3\n");
    rotate(2, "", -1, 1);
    lines_are("3|", false);
    assert_int_equal(unlink(file), 0);
    add_text(path, "4\n");
    lines_are("4|", false);
    rotate(3, "", -1, 3);
    add_text(path, "5\n");
    lines_are("5|", false);
    log_chain_close(&chain);
}

static void a_file_moved_elsewhere_is_read_to_its_end(void **state)
{
    AUTOFREE char *moved = in_folder("moved");
    put_file(path, "1\n");
    assert_int_equal(log_chain_open(&chain, path), 0);
    lines_are("1|", false);
    assert_int_equal(rename(path, moved), 0);
    add_text(moved, "2\n");
    lines_are("2|", false);
    put_file(path, "");
    add_text(moved, "3\n4");
    lines_are("3|", false);
    add_text(path, "5\n");
    lines_are("4|5|", false);
    log_chain_close(&chain);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(the_tail_goes_back_into_archives),
        IN_FOLDER(several_rotations_between_two_looks),
        IN_FOLDER(a_line_that_was_carried_over_comes_once),
        IN_FOLDER(a_rotation_that_is_taken_back_doubles_nothing),
        IN_FOLDER(a_file_moved_elsewhere_is_read_to_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
