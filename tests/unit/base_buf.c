#include "lib/base/buf.h"

#include "tests/unit/support.h"

#include "lib/base/err.h"

static void is_an_empty_text_before_anything_was_added(void **state)
{
    struct buf b = BUF_INIT(10);
    assert_string_equal(buf_str(&b), "");
    assert_int_equal(b.len, 0);
    buf_reset(&b);
    buf_consume(&b, 0);
    AUTOFREE char *taken = buf_take(&b);
    assert_string_equal(taken, "");
    buf_clear(&b);
}

static void takes_exactly_its_limit(void **state)
{
    for (size_t limit = 1; limit < 300; limit++) {
        AUTOBUF struct buf b = BUF_INIT(limit);
        for (size_t i = 0; i < limit; i++)
            assert_int_equal(buf_addc(&b, 'x'), 0);
        assert_int_equal(b.len, limit);
        assert_int_equal(buf_addc(&b, 'y'), ERR_TOO_BIG);
        assert_int_equal(strlen(b.data), limit);
        assert_true(b.cap <= limit + 1);
    }
}

static void refuses_past_the_limit_and_changes_nothing(void **state)
{
    AUTOBUF struct buf b = BUF_INIT(8);
    assert_int_equal(buf_addstr(&b, "12345"), 0);
    assert_int_equal(buf_addstr(&b, "6789"), ERR_TOO_BIG);
    assert_int_equal(buf_addf(&b, "%d", 6789), ERR_TOO_BIG);
    assert_int_equal(buf_add(&b, "", SIZE_MAX), ERR_TOO_BIG);
    assert_string_equal(buf_str(&b), "12345");
    assert_int_equal(buf_addf(&b, "%d", 678), 0);
    assert_string_equal(buf_str(&b), "12345678");
}

static void a_limit_of_nothing_takes_nothing(void **state)
{
    AUTOBUF struct buf b = BUF_INIT(0);
    assert_int_equal(buf_add(&b, "", 0), 0);
    assert_int_equal(buf_addc(&b, 'x'), ERR_TOO_BIG);
    assert_string_equal(buf_str(&b), "");
}

static void keeps_bytes_of_any_value(void **state)
{
    AUTOBUF struct buf b = BUF_INIT(1000);
    char all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    assert_int_equal(buf_add(&b, all, sizeof all), 0);
    assert_memory_equal(b.data, all, sizeof all);
    assert_int_equal(b.data[256], 0);
}

static void consumes_from_the_front(void **state)
{
    AUTOBUF struct buf b = BUF_INIT(100);
    assert_int_equal(buf_addstr(&b, "one two"), 0);
    buf_consume(&b, 4);
    assert_string_equal(buf_str(&b), "two");
    buf_consume(&b, 3);
    assert_string_equal(buf_str(&b), "");
    assert_int_equal(buf_addstr(&b, "three"), 0);
    assert_string_equal(buf_str(&b), "three");
}

static void cuts_at_the_end(void **state)
{
    AUTOBUF struct buf b = BUF_INIT(100);
    buf_cut(&b, 0);
    assert_string_equal(buf_str(&b), "");
    assert_int_equal(buf_addstr(&b, "one two"), 0);
    buf_cut(&b, 7);
    assert_string_equal(buf_str(&b), "one two");
    buf_cut(&b, 3);
    assert_string_equal(buf_str(&b), "one");
}

static void is_usable_after_clear_reset_and_take(void **state)
{
    AUTOBUF struct buf b = BUF_INIT(4);
    assert_int_equal(buf_addstr(&b, "1234"), 0);
    buf_reset(&b);
    assert_string_equal(buf_str(&b), "");
    assert_int_equal(buf_addstr(&b, "5678"), 0);
    AUTOFREE char *taken = buf_take(&b);
    assert_string_equal(taken, "5678");
    assert_string_equal(buf_str(&b), "");
    assert_int_equal(buf_addstr(&b, "9abc"), 0);
    buf_clear(&b);
    assert_int_equal(b.limit, 4);
    assert_int_equal(buf_addstr(&b, "5 is too many"), ERR_TOO_BIG);
    assert_int_equal(buf_addstr(&b, "four"), 0);
}

static void counts_what_was_written_into_reserved_space(void **state)
{
    AUTOBUF struct buf b = BUF_INIT(100);
    char *space;
    assert_int_equal(buf_addstr(&b, "ab"), 0);
    assert_int_equal(buf_reserve(&b, 99, &space), ERR_TOO_BIG);
    assert_int_equal(buf_reserve(&b, 98, &space), 0);
    memset(space, 'c', 98);
    buf_added(&b, 3);
    assert_string_equal(buf_str(&b), "abccc");
}

static void assert_json(const char *text, const char *expected)
{
    AUTOBUF struct buf b = BUF_INIT(200);
    assert_int_equal(buf_add_json_string(&b, text), 0);
    assert_string_equal(buf_str(&b), expected);
}

static void writes_json_strings(void **state)
{
    assert_json("", "\"\"");
    assert_json("plain", "\"plain\"");
    assert_json("a\"b\\c\nd\re\tf", "\"a\\\"b\\\\c\\nd\\re\\tf\"");
    assert_json("\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\"");
    assert_json("h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
                "\"h\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
    /* Not UTF-8: a stray byte, an overlong slash, a surrogate, a character that is cut off. */
    assert_json("\xff.\xc0\xaf.\xed\xa0\x80.\xe2\x82", "\"?.\?\?.\?\?\?.\?\?\"");
}

static void refuses_json_strings_past_the_limit(void **state)
{
    for (size_t limit = 0; limit < 9; limit++) {
        AUTOBUF struct buf b = BUF_INIT(limit);
        assert_int_equal(buf_add_json_string(&b, "ab\ncd\"e"), ERR_TOO_BIG);
        assert_true(b.len <= limit);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_an_empty_text_before_anything_was_added),
        cmocka_unit_test(takes_exactly_its_limit),
        cmocka_unit_test(refuses_past_the_limit_and_changes_nothing),
        cmocka_unit_test(a_limit_of_nothing_takes_nothing),
        cmocka_unit_test(keeps_bytes_of_any_value),
        cmocka_unit_test(consumes_from_the_front),
        cmocka_unit_test(cuts_at_the_end),
        cmocka_unit_test(is_usable_after_clear_reset_and_take),
        cmocka_unit_test(counts_what_was_written_into_reserved_space),
        cmocka_unit_test(writes_json_strings),
        cmocka_unit_test(refuses_json_strings_past_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
