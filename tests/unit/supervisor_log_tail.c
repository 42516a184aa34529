/* The end of a log: lines, limits, and any bytes. */
#include "supervisor/log_tail.h"

#include "tests/unit/support.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "supervisor/log_archives.h"

static char *path;
static struct buf text;
static bool cut;

static int set_up(void **state)
{
    if (make_folder(state) < 0)
        return -1;
    path = in_folder("web-0.out");
    buf_init(&text, LIMIT_LOG_TEXT);
    return 0;
}

static int tear_down(void **state)
{
    buf_clear(&text);
    free(path);
    return remove_folder(state);
}

static void write_bytes(const char *bytes, size_t len)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static int tail(unsigned lines, size_t limit)
{
    buf_clear(&text);
    buf_init(&text, limit);
    return log_tail_read(path, lines, &text, &cut);
}

static void assert_tail(const char *file, unsigned lines, const char *expected)
{
    write_bytes(file, strlen(file));
    assert_int_equal(tail(lines, LIMIT_LOG_TEXT), 0);
    assert_string_equal(buf_str(&text), expected);
    assert_false(cut);
}

static void the_last_lines_are_told(void **state)
{
    assert_tail("", 3, "");
    assert_tail("\n", 1, "\n");
    assert_tail("a\n", 1, "a\n");
    assert_tail("a", 1, "a");
    assert_tail("a\nb\nc\n", 2, "b\nc\n");
    assert_tail("a\nb\nc", 2, "b\nc");
    assert_tail("a\nb\nc\n", 3, "a\nb\nc\n");
    assert_tail("a\nb\nc\n", 1000, "a\nb\nc\n");
    assert_tail("a\n\n\n", 2, "\n\n");
}

static void what_was_rotated_just_now_is_told_too(void **state)
{
    AUTOFREE char *older = xasprintf("%s.20261119T000000.000Z", path);
    AUTOFREE char *newest = xasprintf("%s.20261120T000000.000Z", path);
    put_file(older, "older\n");
    put_file(newest, "one\ntwo\nthree\n");
    assert_tail("four\n", 3, "two\nthree\nfour\n");
    assert_tail("", 1, "three\n");
    assert_tail("four\nfive\n", 2, "four\nfive\n");
    assert_int_equal(log_archive_pack(newest, NULL), 0);
    assert_tail("four\n", 3, "two\nthree\nfour\n");
    assert_tail("four\n", 100, "one\ntwo\nthree\nfour\n");
    assert_tail("four", 2, "three\nfour");
    assert_int_equal(tail(100, 11), 0);
    assert_string_equal(buf_str(&text), "three\nfour");
    assert_true(cut);
    /* One that cannot be read is as good as none. */
    AUTOFREE char *packed = xasprintf("%s.zst", newest);
    put_file(packed, "damaged");
    assert_tail("four\n", 3, "four\n");
}

static void a_log_that_is_not_there_is_empty(void **state)
{
    assert_int_equal(tail(5, 100), 0);
    assert_int_equal(text.len, 0);
    assert_false(cut);
}

static void what_does_not_fit_is_left_out_from_the_beginning(void **state)
{
    static const char file[] = "first line\nsecond line\nthird line\n";
    write_bytes(file, strlen(file));
    assert_int_equal(tail(10, 25), 0);
    assert_string_equal(buf_str(&text), "second line\nthird line\n");
    assert_true(cut);
    assert_int_equal(tail(10, 22), 0);
    assert_string_equal(buf_str(&text), "third line\n");
    assert_true(cut);
    /* What was asked for fits: nothing is missing. */
    assert_int_equal(tail(1, 25), 0);
    assert_string_equal(buf_str(&text), "third line\n");
    assert_false(cut);
    /* One line that is longer than all. */
    assert_int_equal(tail(1, 8), 0);
    assert_string_equal(buf_str(&text), "rd line\n");
    assert_true(cut);
}

static void a_cut_is_not_within_a_character(void **state)
{
    static const char file[] = "x\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac";
    write_bytes(file, strlen(file));
    for (size_t limit = 3; limit < strlen(file); limit++) {
        assert_int_equal(tail(1, limit), 0);
        assert_int_equal(text.len, limit / 3 * 3);
        assert_null(strstr(buf_str(&text), "\xef\xbf\xbd"));
        assert_true(cut);
    }
}

static void bytes_that_are_no_text_are_replaced(void **state)
{
    static const char file[] = "a\xff\0\xc3\xa9\xed\xa0\x80\x1b[0m\xe2\x82\n";
    write_bytes(file, sizeof file - 1);
    assert_int_equal(tail(1, 1000), 0);
    assert_string_equal(buf_str(&text),
                        "a\xef\xbf\xbd\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                        "\x1b[0m\xef\xbf\xbd\xef\xbf\xbd\n");
}

static void replaced_bytes_stay_within_the_limit(void **state)
{
    AUTOFREE char *file = xcalloc(1, 400000);
    memset(file, 0xff, 400000);
    write_bytes(file, 400000);
    assert_int_equal(tail(5, LIMIT_LOG_TEXT), 0);
    assert_true(text.len <= LIMIT_LOG_TEXT && text.len > LIMIT_LOG_TEXT / 3);
    assert_true(cut);
    for (size_t i = 100; i < 400000; i += 100)
        file[i] = '\n';
    write_bytes(file, 400000);
    assert_int_equal(tail(1000, LIMIT_LOG_TEXT), 0);
    assert_true(text.len <= LIMIT_LOG_TEXT && text.len > LIMIT_LOG_TEXT / 3);
    assert_true(cut);
    AUTOJSON json_t *j = json_string(buf_str(&text));
    assert_non_null(j);
}

static void only_an_ordinary_file_is_read(void **state)
{
    AUTOFREE char *other = in_folder("other");
    put_file(other, "secret\n");
    assert_int_equal(symlink(other, path), 0);
    assert_int_equal(tail(1, 100), -ELOOP);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(tail(1, 100), ERR_INVALID);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(tail(1, 100), ERR_INVALID);
    assert_int_equal(text.len, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_last_lines_are_told),
        TEST(what_was_rotated_just_now_is_told_too),
        TEST(a_log_that_is_not_there_is_empty),
        TEST(what_does_not_fit_is_left_out_from_the_beginning),
        TEST(a_cut_is_not_within_a_character),
        TEST(bytes_that_are_no_text_are_replaced),
        TEST(replaced_bytes_stay_within_the_limit),
        TEST(only_an_ordinary_file_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
