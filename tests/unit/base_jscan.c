#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/jscan.h"

/* Scans a copy that ends where the memory does, so that ASan sees a read past the end. */
struct scan {
    struct jscan s;
    char *copy;
};

static void scan_init(struct scan *scan, const char *text, size_t len, unsigned max_depth)
{
    scan->copy = malloc(len ? len : 1);
    assert_non_null(scan->copy);
    memcpy(scan->copy, text, len);
    jscan_init(&scan->s, scan->copy, len, max_depth);
}

static void scan_clear(struct scan *scan)
{
    free(scan->copy);
}

static enum jscan_error verdict_of(const char *text, size_t len, size_t *ret_pos)
{
    struct scan scan;
    scan_init(&scan, text, len, 64);
    enum jscan_token t;
    while ((t = jscan_next(&scan.s)) != JSCAN_END && t != JSCAN_ERROR)
        continue;
    assert_int_equal(t == JSCAN_ERROR, scan.s.error != JSCAN_OK);
    /* It stays where it ended. */
    assert_int_equal(jscan_next(&scan.s), t);
    *ret_pos = scan.s.error_pos;
    enum jscan_error error = scan.s.error;
    scan_clear(&scan);
    return error;
}

static void check_good(const char *text)
{
    size_t pos;
    if (verdict_of(text, strlen(text), &pos) != JSCAN_OK)
        fail_msg("refused at %zu: %s", pos, text);
}

static void check_bad(const char *text, enum jscan_error expected, size_t expected_pos)
{
    size_t pos = 0;
    enum jscan_error error = verdict_of(text, strlen(text), &pos);
    if (error != expected || pos != expected_pos)
        fail_msg("%s: error %d at %zu, not %d at %zu", text, (int)error, pos, (int)expected,
                 expected_pos);
}

static void takes_what_the_grammar_allows(void **state)
{
    static const char *const texts[] = {
        "0",
        "-0",
        "1",
        "-1",
        "10",
        "1.5",
        "-1.25e10",
        "1E+2",
        "0e0",
        "0.0",
        "1e-400",
        "1e400",
        "123456789012345678901234567890",
        "true",
        "false",
        "null",
        "\"\"",
        "\"a\"",
        "[]",
        "{}",
        " [ ] ",
        "\t\r\n{ }\n",
        "[1,2,3]",
        "[[],[[]],{}]",
        "{\"a\":1}",
        "{\"a\":{\"a\":[]}}",
        "{\"a\":1,\"a\":2}",
        "{\"\":0}",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
        "\"\\uD83D\\uDE00\"",
        "\"\\ud800\"",
        "\"\\u0000\"",
        "\"\x7f\"",
        "\"\xc2\x80\"",
        "\"\xdf\xbf\"",
        "\"\xe0\xa0\x80\"",
        "\"\xed\x9f\xbf\"",
        "\"\xee\x80\x80\"",
        "\"\xef\xbf\xbf\"",
        "\"\xf0\x90\x80\x80\"",
        "\"\xf4\x8f\xbf\xbf\"",
        "[1 , 2 ]",
        "{ \"a\" : 1 , \"b\" : 2 }",
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        check_good(texts[i]);
}

static void refuses_bad_numbers(void **state)
{
    check_bad("01", JSCAN_BAD_NUMBER, 1);
    check_bad("-01", JSCAN_BAD_NUMBER, 2);
    check_bad("-", JSCAN_UNFINISHED, 1);
    check_bad("1.", JSCAN_UNFINISHED, 2);
    check_bad("1e", JSCAN_UNFINISHED, 2);
    check_bad("1e+", JSCAN_UNFINISHED, 3);
    check_bad("[-]", JSCAN_BAD_NUMBER, 2);
    check_bad("[1.]", JSCAN_BAD_NUMBER, 3);
    check_bad("[1.e1]", JSCAN_BAD_NUMBER, 3);
    check_bad("[1e]", JSCAN_BAD_NUMBER, 3);
    check_bad("[1e1.5]", JSCAN_BAD_NUMBER, 4);
    check_bad("[1-2]", JSCAN_BAD_NUMBER, 2);
    check_bad("[--1]", JSCAN_BAD_NUMBER, 2);
    check_bad("[+1]", JSCAN_UNEXPECTED, 1);
    check_bad("[.5]", JSCAN_UNEXPECTED, 1);
    check_bad("[0x10]", JSCAN_UNEXPECTED, 2);
    check_bad("[NaN]", JSCAN_UNEXPECTED, 1);
    check_bad("[Infinity]", JSCAN_UNEXPECTED, 1);
    check_bad("[-Infinity]", JSCAN_BAD_NUMBER, 2);
}

static void refuses_bad_strings(void **state)
{
    check_bad("\"", JSCAN_UNFINISHED, 1);
    check_bad("\"abc", JSCAN_UNFINISHED, 4);
    check_bad("\"abc\\", JSCAN_UNFINISHED, 5);
    check_bad("\"abc\\\"", JSCAN_UNFINISHED, 6);
    check_bad("\"\\u12", JSCAN_UNFINISHED, 5);
    check_bad("\"\\x\"", JSCAN_BAD_STRING, 1);
    check_bad("\"\\u12g4\"", JSCAN_BAD_STRING, 1);
    check_bad("\"\\u123\"", JSCAN_BAD_STRING, 1);
    check_bad("\"\\'\"", JSCAN_BAD_STRING, 1);
    check_bad("\"a\nb\"", JSCAN_BAD_STRING, 2);
    check_bad("\"a\tb\"", JSCAN_BAD_STRING, 2);
    check_bad("\"abcdefghijk\x1f\"", JSCAN_BAD_STRING, 12);
    check_bad("'a'", JSCAN_UNEXPECTED, 0);
    size_t pos;
    assert_int_equal(verdict_of("\"a\0b\"", 5, &pos), JSCAN_BAD_STRING);
    assert_int_equal(pos, 2);
    assert_int_equal(verdict_of("\"\\\0\"", 4, &pos), JSCAN_BAD_STRING);
}

static void refuses_what_is_not_utf8(void **state)
{
    check_bad("\"\x80\"", JSCAN_BAD_STRING, 1);
    check_bad("\"\xc0\xaf\"", JSCAN_BAD_STRING, 1);
    check_bad("\"\xc1\xbf\"", JSCAN_BAD_STRING, 1);
    check_bad("\"\xc3(\"", JSCAN_BAD_STRING, 1);
    check_bad("\"\xe0\x9f\xbf\"", JSCAN_BAD_STRING, 1);
    check_bad("\"\xed\xa0\x80\"", JSCAN_BAD_STRING, 1);
    check_bad("\"\xe2\x82(\"", JSCAN_BAD_STRING, 1);
    check_bad("\"\xf0\x8f\xbf\xbf\"", JSCAN_BAD_STRING, 1);
    check_bad("\"\xf4\x90\x80\x80\"", JSCAN_BAD_STRING, 1);
    check_bad("\"\xf5\x80\x80\x80\"", JSCAN_BAD_STRING, 1);
    check_bad("\"\xff\"", JSCAN_BAD_STRING, 1);
    check_bad("\"12345678\xfe\"", JSCAN_BAD_STRING, 9);
    check_bad("\"\xe2\x82", JSCAN_UNFINISHED, 3);
    check_bad("\xef\xbb\xbf{}", JSCAN_UNEXPECTED, 0);
}

static void refuses_bad_structure(void **state)
{
    check_bad("", JSCAN_UNFINISHED, 0);
    check_bad("  ", JSCAN_UNFINISHED, 2);
    check_bad("[", JSCAN_UNFINISHED, 1);
    check_bad("[1", JSCAN_UNFINISHED, 2);
    check_bad("[1,", JSCAN_UNFINISHED, 3);
    check_bad("{", JSCAN_UNFINISHED, 1);
    check_bad("{\"a\"", JSCAN_UNFINISHED, 4);
    check_bad("{\"a\":", JSCAN_UNFINISHED, 5);
    check_bad("{\"a\":1", JSCAN_UNFINISHED, 6);
    check_bad("tru", JSCAN_UNFINISHED, 3);
    check_bad("[1,]", JSCAN_UNEXPECTED, 3);
    check_bad("[,1]", JSCAN_UNEXPECTED, 1);
    check_bad("[1 2]", JSCAN_UNEXPECTED, 3);
    check_bad("[1}", JSCAN_UNEXPECTED, 2);
    check_bad("{]", JSCAN_UNEXPECTED, 1);
    check_bad("{\"a\":1,}", JSCAN_UNEXPECTED, 7);
    check_bad("{\"a\" 1}", JSCAN_UNEXPECTED, 5);
    check_bad("{\"a\",1}", JSCAN_UNEXPECTED, 4);
    check_bad("{a:1}", JSCAN_UNEXPECTED, 1);
    check_bad("{1:1}", JSCAN_UNEXPECTED, 1);
    check_bad("[a]", JSCAN_UNEXPECTED, 1);
    check_bad("[trux]", JSCAN_UNEXPECTED, 4);
    check_bad("]", JSCAN_UNEXPECTED, 0);
    check_bad("[1]]", JSCAN_TRAILING, 3);
    check_bad("1 2", JSCAN_TRAILING, 2);
    check_bad("{} x", JSCAN_TRAILING, 3);
    check_bad("[\"a\":1]", JSCAN_UNEXPECTED, 4);
    check_bad("// x\n1", JSCAN_UNEXPECTED, 0);
}

static void every_cut_of_a_text_is_unfinished(void **state)
{
    static const char text[] =
        "{\"a\":[1,-2.5e3,\"x\\u00e9\\n\xc3\xa9\",true,null],\"b\":{\"c\":[]}}";
    for (size_t len = 0; len < sizeof text - 1; len++) {
        size_t pos;
        assert_int_equal(verdict_of(text, len, &pos), JSCAN_UNFINISHED);
        assert_int_equal(pos, len);
    }
}

static void depth_is_bounded_exactly(void **state)
{
    char text[2 * 4096 + 1];
    memset(text, '[', 4097);
    memset(text + 4096, ']', 4096);
    struct scan scan;
    scan_init(&scan, text, 2 * 4096, 4096);
    unsigned deepest = 0;
    for (enum jscan_token t; (t = jscan_next(&scan.s)) != JSCAN_END;) {
        assert_int_not_equal(t, JSCAN_ERROR);
        deepest = scan.s.depth > deepest ? scan.s.depth : deepest;
    }
    assert_int_equal(deepest, 4096);
    scan_clear(&scan);

    scan_init(&scan, "[[{\"a\":[0]}]]", 13, 3);
    while (jscan_next(&scan.s) != JSCAN_ERROR)
        continue;
    assert_int_equal(scan.s.error, JSCAN_TOO_DEEP);
    assert_int_equal(scan.s.error_pos, 7);
    scan_clear(&scan);
}

static void gives_tokens_in_order(void **state)
{
    static const char text[] = "{\"k\": [1, -2.5, \"s\", true, false, null, {}], \"l\\n\":\"\"}";
    static const struct {
        enum jscan_token token;
        const char *text;
    } expected[] = {
        {JSCAN_OBJECT, "{"},  {JSCAN_KEY, "k"},        {JSCAN_ARRAY, "["},
        {JSCAN_NUMBER, "1"},  {JSCAN_NUMBER, "-2.5"},  {JSCAN_STRING, "s"},
        {JSCAN_TRUE, "true"}, {JSCAN_FALSE, "false"},  {JSCAN_NULL, "null"},
        {JSCAN_OBJECT, "{"},  {JSCAN_OBJECT_END, "}"}, {JSCAN_ARRAY_END, "]"},
        {JSCAN_KEY, "l\\n"},  {JSCAN_STRING, ""},      {JSCAN_OBJECT_END, "}"},
    };
    struct scan scan;
    scan_init(&scan, text, sizeof text - 1, 8);
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        assert_int_equal(jscan_next(&scan.s), expected[i].token);
        assert_int_equal(scan.s.token_len, strlen(expected[i].text));
        assert_memory_equal(scan.s.start, expected[i].text, scan.s.token_len);
    }
    assert_int_equal(jscan_next(&scan.s), JSCAN_END);
    scan_clear(&scan);
}

static void check_string(const char *text, const char *expected, size_t expected_len)
{
    struct scan scan;
    AUTOBUF struct buf out = BUF_INIT(1000);
    scan_init(&scan, text, strlen(text), 1);
    assert_int_equal(jscan_next(&scan.s), JSCAN_STRING);
    assert_int_equal(jscan_string(&scan.s, &out), 0);
    assert_int_equal(out.len, expected_len);
    if (expected_len > 0)
        assert_memory_equal(out.data, expected, expected_len);
    if (strlen(expected) == expected_len)
        assert_true(jscan_is(&scan.s, expected));
    assert_false(jscan_is(&scan.s, "something else"));
    scan_clear(&scan);
}

static void decodes_strings(void **state)
{
    check_string("\"\"", "", 0);
    check_string("\"plain\"", "plain", 5);
    check_string("\"a\\u0041\\\\\\/\\\"\\b\\f\\n\\r\\tz\"", "aA\\/\"\b\f\n\r\tz", 11);
    check_string("\"\\u00e9\\u20AC\"", "\xc3\xa9\xe2\x82\xac", 5);
    check_string("\"\\ud83d\\ude00!\"", "\xf0\x9f\x98\x80!", 5);
    check_string("\"\\ud83d\"", "\xef\xbf\xbd", 3);
    check_string("\"\\ude00\\ud83d\"", "\xef\xbf\xbd\xef\xbf\xbd", 6);
    check_string("\"\\ud83dx\"", "\xef\xbf\xbdx", 4);
    check_string("\"\\ud83d\\n\"", "\xef\xbf\xbd\n", 4);
    check_string("\"\\ud83d\\u0041\"",
                 "\xef\xbf\xbd"
                 "A",
                 4);
    check_string("\"a\\u0000b\"", "a\0b", 3);
}

static void a_nul_in_a_string_is_not_its_end(void **state)
{
    struct scan scan;
    scan_init(&scan, "\"a\\u0000b\"", 10, 1);
    assert_int_equal(jscan_next(&scan.s), JSCAN_STRING);
    assert_false(jscan_is(&scan.s, "a"));
    assert_false(jscan_is(&scan.s, "ab"));
    scan_clear(&scan);
}

static void respects_the_limit_of_the_buffer(void **state)
{
    struct scan scan;
    AUTOBUF struct buf out = BUF_INIT(3);
    scan_init(&scan, "\"a\\nbc\"", 7, 1);
    assert_int_equal(jscan_next(&scan.s), JSCAN_STRING);
    assert_int_equal(jscan_string(&scan.s, &out), ERR_TOO_BIG);
    scan_clear(&scan);
}

static void check_number(const char *text, bool fits, int64_t expected_int, double expected)
{
    struct scan scan;
    int64_t value = 77;
    scan_init(&scan, text, strlen(text), 1);
    assert_int_equal(jscan_next(&scan.s), JSCAN_NUMBER);
    assert_int_equal(jscan_int(&scan.s, &value), fits);
    assert_true(value == (fits ? expected_int : 77));
    assert_true(jscan_double(&scan.s) == expected);
    scan_clear(&scan);
}

static void reads_numbers(void **state)
{
    check_number("0", true, 0, 0);
    check_number("-0", true, 0, 0);
    check_number("42", true, 42, 42);
    check_number("-42", true, -42, -42);
    check_number("9223372036854775807", true, INT64_MAX, 0x1p63);
    check_number("-9223372036854775808", true, INT64_MIN, -0x1p63);
    check_number("9223372036854775808", false, 0, 0x1p63);
    check_number("-9223372036854775809", false, 0, -0x1p63);
    check_number("1.0", false, 0, 1);
    check_number("1e2", false, 0, 100);
    check_number("1e999", false, 0, HUGE_VAL);
    char many[202] = "1";
    memset(many + 1, '0', 200);
    check_number(many, false, 0, 1e200);
}

struct sink {
    int64_t values[32];
    size_t count;
    size_t stop_after;
};

static bool collect(void *arg, int64_t value)
{
    struct sink *sink = arg;
    assert_true(sink->count < ARRAY_SIZE(sink->values));
    sink->values[sink->count++] = value;
    return sink->count != sink->stop_after;
}

static void reads_integer_arrays(void **state)
{
    static const char text[] = "{\"a\":[1,-2, 3 ,\n0,-0,1.9,-1.9,1e3,123456789012345678,"
                               "1234567890123456789,1e300,-1e300,1E-5],\"b\":[ ],\"c\":[7]}";
    static const int64_t expected[] = {
        1,         -2,        3, 0, 0, 1, -1, 1000, 123456789012345678, 1234567890123456789,
        INT64_MAX, INT64_MIN, 0};
    struct scan scan;
    struct sink sink = {0};
    scan_init(&scan, text, sizeof text - 1, 2);
    jscan_next(&scan.s);
    jscan_next(&scan.s);
    assert_true(jscan_int_array(&scan.s, collect, &sink));
    assert_int_equal(sink.count, ARRAY_SIZE(expected));
    for (size_t i = 0; i < sink.count; i++)
        assert_true(sink.values[i] == expected[i]);
    assert_int_equal(jscan_next(&scan.s), JSCAN_KEY);
    assert_true(jscan_int_array(&scan.s, collect, &sink));
    assert_int_equal(sink.count, ARRAY_SIZE(expected));
    assert_int_equal(jscan_next(&scan.s), JSCAN_KEY);
    assert_true(jscan_int_array(&scan.s, collect, &sink));
    assert_int_equal(sink.values[sink.count - 1], 7);
    assert_int_equal(jscan_next(&scan.s), JSCAN_OBJECT_END);
    assert_int_equal(jscan_next(&scan.s), JSCAN_END);
    scan_clear(&scan);
}

static void check_bad_array(const char *text, enum jscan_error error, size_t pos)
{
    struct scan scan;
    struct sink sink = {0};
    scan_init(&scan, text, strlen(text), 2);
    assert_false(jscan_int_array(&scan.s, collect, &sink));
    if (scan.s.error != error || scan.s.error_pos != pos)
        fail_msg("%s: error %d at %zu", text, (int)scan.s.error, scan.s.error_pos);
    scan_clear(&scan);
    int64_t values[2];
    scan_init(&scan, text, strlen(text), 2);
    int n;
    while ((n = jscan_int_block(&scan.s, values, 2)) > 0)
        continue;
    assert_true(n < 0);
    assert_int_equal(scan.s.error, error);
    assert_int_equal(scan.s.error_pos, pos);
    scan_clear(&scan);
}

static void refuses_anything_but_numbers_in_integer_arrays(void **state)
{
    check_bad_array("{}", JSCAN_UNEXPECTED, 0);
    check_bad_array("", JSCAN_UNFINISHED, 0);
    check_bad_array("[1,\"2\"]", JSCAN_UNEXPECTED, 3);
    check_bad_array("[[1]]", JSCAN_UNEXPECTED, 1);
    check_bad_array("[null]", JSCAN_UNEXPECTED, 1);
    check_bad_array("[1,]", JSCAN_UNEXPECTED, 3);
    check_bad_array("[1 2]", JSCAN_UNEXPECTED, 3);
    check_bad_array("[01]", JSCAN_BAD_NUMBER, 2);
    check_bad_array("[-]", JSCAN_BAD_NUMBER, 2);
    check_bad_array("[1", JSCAN_UNFINISHED, 2);
    check_bad_array("[1,2,", JSCAN_UNFINISHED, 5);
    check_bad_array("[1}", JSCAN_UNEXPECTED, 2);
}

static void an_integer_array_can_be_left_in_its_middle(void **state)
{
    struct scan scan;
    struct sink sink = {.stop_after = 2};
    scan_init(&scan, "[10,20,30]", 10, 1);
    assert_false(jscan_int_array(&scan.s, collect, &sink));
    assert_int_equal(scan.s.error, JSCAN_OK);
    assert_int_equal(scan.s.start - scan.s.text, 4);
    assert_int_equal(jscan_next(&scan.s), JSCAN_NUMBER);
    assert_int_equal(jscan_next(&scan.s), JSCAN_ARRAY_END);
    assert_int_equal(jscan_next(&scan.s), JSCAN_END);
    scan_clear(&scan);
}

static void blocks_give_every_integer_once(void **state)
{
    for (int max = 1; max <= 8; max++) {
        struct scan scan;
        int64_t values[8], expected = 1;
        scan_init(&scan, "[[1,2,3 , 4,5,6],[],[7]]", 24, 2);
        assert_int_equal(jscan_next(&scan.s), JSCAN_ARRAY);
        for (int arrays = 0; arrays < 3; arrays++) {
            int n;
            while ((n = jscan_int_block(&scan.s, values, max)) > 0)
                for (int i = 0; i < n; i++)
                    assert_int_equal(values[i], expected++);
            assert_int_equal(n, 0);
        }
        assert_int_equal(expected, 8);
        assert_int_equal(jscan_next(&scan.s), JSCAN_ARRAY_END);
        assert_int_equal(jscan_next(&scan.s), JSCAN_END);
        scan_clear(&scan);
    }
}

static void skips_and_jumps_over_values(void **state)
{
    static const char text[] =
        "{\"a\":{\"x\":[1,{\"y\":\"]\"}]},\"b\":[ 1,2 ] ,\"c\":[true,[2],\"z\"]}";
    struct scan scan;
    scan_init(&scan, text, sizeof text - 1, 8);
    jscan_next(&scan.s);
    assert_int_equal(jscan_next(&scan.s), JSCAN_KEY);
    assert_true(jscan_skip(&scan.s));
    assert_int_equal(jscan_next(&scan.s), JSCAN_KEY);
    assert_true(jscan_is(&scan.s, "b"));
    assert_true(jscan_jump(&scan.s));
    assert_int_equal(jscan_next(&scan.s), JSCAN_KEY);
    assert_true(jscan_is(&scan.s, "c"));
    assert_int_equal(jscan_next(&scan.s), JSCAN_ARRAY);
    assert_true(jscan_skip(&scan.s));
    assert_true(jscan_skip(&scan.s));
    assert_true(jscan_skip(&scan.s));
    /* There is no further element. */
    assert_false(jscan_skip(&scan.s));
    assert_int_equal(scan.s.error, JSCAN_UNEXPECTED);
    scan_clear(&scan);

    scan_init(&scan, "[1,2", 4, 8);
    assert_false(jscan_jump(&scan.s));
    assert_int_equal(scan.s.error, JSCAN_UNFINISHED);
    scan_clear(&scan);
    scan_init(&scan, "3", 1, 8);
    assert_false(jscan_jump(&scan.s));
    assert_int_equal(scan.s.error, JSCAN_UNEXPECTED);
    scan_clear(&scan);
}

static void gives_line_and_column(void **state)
{
    static const char text[] = "{\n \"a\": 1,\r\n\n\tx }";
    struct jscan s;
    unsigned line, column;
    jscan_init(&s, text, sizeof text - 1, 8);
    while (jscan_next(&s) != JSCAN_ERROR)
        continue;
    jscan_position(&s, s.error_pos, &line, &column);
    assert_int_equal(line, 4);
    assert_int_equal(column, 2);
    jscan_position(&s, 0, &line, &column);
    assert_int_equal(line, 1);
    assert_int_equal(column, 1);
    jscan_position(&s, 1000, &line, &column);
    assert_int_equal(line, 4);
    assert_int_equal(column, 5);
}

static void check_text(const char *text, const char *expected)
{
    struct jscan s;
    char space[64];
    jscan_init(&s, text, strlen(text), 2);
    while (jscan_next(&s) != JSCAN_ERROR)
        continue;
    assert_string_equal(jscan_error_text(&s, space), expected);
}

static void says_what_is_wrong(void **state)
{
    check_text("[x]", "unexpected character 'x'");
    check_text("[\x01]", "unexpected byte 0x01");
    check_text("[\xc3\xa9]", "unexpected byte 0xc3");
    check_text("[", "the text ends too early");
    check_text("[1.x]", "bad number");
    check_text("[[[", "nested deeper than 2 levels");
    check_text("[] ]", "the text should end here, not go on with character ']'");
    check_text("\"\\q\"", "bad escape in a string");
    check_text("\"a\n", "a string has no closing quote on its line");
    check_text("\"\x02\"", "control character 0x02 in a string");
    check_text("\"\xff\"", "a string is not UTF-8");
}

static void finds_specials_at_every_offset_of_a_word(void **state)
{
    for (size_t before = 0; before < 20; before++) {
        for (int c = 1; c < 256; c++) {
            char text[64] = "\"";
            memset(text + 1, 'a', before);
            text[1 + before] = (char)c;
            strcpy(text + 2 + before, "aaaaaaaaaaa\"");
            struct scan scan;
            scan_init(&scan, text, strlen(text), 1);
            bool good = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
            enum jscan_token t = jscan_next(&scan.s);
            if (c == '"')
                assert_int_equal(scan.s.token_len, before);
            else if (good)
                assert_int_equal(scan.s.token_len, before + 12);
            else if (c == '\\')
                assert_int_equal(scan.s.error_pos, before + 1);
            assert_int_equal(t, good || c == '"' ? JSCAN_STRING : JSCAN_ERROR);
            scan_clear(&scan);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_the_grammar_allows),
        cmocka_unit_test(refuses_bad_numbers),
        cmocka_unit_test(refuses_bad_strings),
        cmocka_unit_test(refuses_what_is_not_utf8),
        cmocka_unit_test(refuses_bad_structure),
        cmocka_unit_test(every_cut_of_a_text_is_unfinished),
        cmocka_unit_test(depth_is_bounded_exactly),
        cmocka_unit_test(gives_tokens_in_order),
        cmocka_unit_test(decodes_strings),
        cmocka_unit_test(a_nul_in_a_string_is_not_its_end),
        cmocka_unit_test(respects_the_limit_of_the_buffer),
        cmocka_unit_test(reads_numbers),
        cmocka_unit_test(reads_integer_arrays),
        cmocka_unit_test(refuses_anything_but_numbers_in_integer_arrays),
        cmocka_unit_test(an_integer_array_can_be_left_in_its_middle),
        cmocka_unit_test(blocks_give_every_integer_once),
        cmocka_unit_test(skips_and_jumps_over_values),
        cmocka_unit_test(gives_line_and_column),
        cmocka_unit_test(says_what_is_wrong),
        cmocka_unit_test(finds_specials_at_every_offset_of_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
