#include "supervisor/cli/log_filter.h"

#include "tests/unit/support.h"

#include "lib/base/err.h"

static bool wants(const struct log_filter *f, const char *text, int64_t time_ms)
{
    return log_filter_wants(
        f, &(struct log_line){.text = text, .len = strlen(text), .time_ms = time_ms});
}

static void time_and_pattern_are_both_asked(void **state)
{
    struct log_filter f = {0};
    char why[LOG_FILTER_TEXT];
    assert_true(wants(&f, "", 0));
    f.since_ms = 10;
    assert_true(wants(&f, "x", 10));
    assert_false(wants(&f, "x", 9));
    assert_false(wants(&f, "x", 0));
    assert_int_equal(log_filter_pattern(&f, "a+b$", false, why), 0);
    assert_true(wants(&f, "xaab", 10));
    assert_false(wants(&f, "xaab", 9));
    assert_false(wants(&f, "AAB", 10));
    assert_false(wants(&f, "aabc", 10));
    /* Nothing behind the line's end is looked at. */
    assert_true(log_filter_wants(&f, &(struct log_line){.text = "aabc", .len = 3, .time_ms = 10}));
    log_filter_clear(&f);
    assert_int_equal(log_filter_pattern(&f, "a+b$", true, why), 0);
    assert_true(wants(&f, "AAB", 0));
    log_filter_clear(&f);
    assert_int_equal(log_filter_pattern(&f, "(", false, why), ERR_SYNTAX);
    assert_true(*why != '\0');
    log_filter_clear(&f);
}

static void gather(void *arg, const struct log_source *source, const struct log_line *line)
{
    (void)buf_add(arg, line->text, line->len);
}

static void assert_last(size_t lines, size_t added, const char *expected)
{
    struct log_last last = {0};
    AUTOBUF struct buf text = BUF_INIT(100);
    for (size_t i = 0; i < added; i++) {
        const char letter = (char)('a' + i);
        struct log_source source = {.line = {.text = &letter, .len = 1}};
        log_last_add(&last, lines, &source);
    }
    log_last_each(&last, gather, &text);
    assert_string_equal(buf_str(&text), expected);
    log_last_clear(&last);
}

static void the_last_are_kept_in_their_order(void **state)
{
    assert_last(0, 3, "");
    assert_last(3, 0, "");
    assert_last(3, 2, "ab");
    assert_last(3, 3, "abc");
    assert_last(3, 5, "cde");
    assert_last(20, 26, "ghijklmnopqrstuvwxyz");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_and_pattern_are_both_asked),
        cmocka_unit_test(the_last_are_kept_in_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
