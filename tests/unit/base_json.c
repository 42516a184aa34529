#include "lib/base/json.h"

#include "tests/unit/support.h"

#include "lib/base/err.h"
#include "lib/base/str.h"

static json_t *parse(const char *text)
{
    return json_object_parse(text, strlen(text));
}

static void assert_text(const json_t *j, const char *expected)
{
    AUTOBUF struct buf b = BUF_INIT(4096);
    assert_int_equal(json_to_buf(j, &b), 0);
    assert_string_equal(buf_str(&b), expected);
}

static void parses_one_object_and_nothing_else(void **state)
{
    AUTOJSON json_t *j = parse(" {\"a\": [1, {\"b\": null}]} ");
    assert_non_null(j);
    assert_text(j, "{\"a\":[1,{\"b\":null}]}");
    static const char *const wrong[] = {"",
                                        "[]",
                                        "1",
                                        "null",
                                        "\"x\"",
                                        "{",
                                        "{}x",
                                        "{} {}",
                                        "{\"a\":1,\"a\":2}",
                                        "{\"a\":\"\xff\"}",
                                        "{'a':1}"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_null(parse(wrong[i]));
    assert_null(json_object_parse("{}\0", 3));
}

static void stops_at_nesting_that_is_too_deep(void **state)
{
    AUTOBUF struct buf b = BUF_INIT(1 << 20);
    assert_int_equal(buf_addstr(&b, "{\"a\":"), 0);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(buf_addc(&b, '['), 0);
    assert_null(json_object_parse(b.data, b.len));
}

static void reads_members_or_the_fallback(void **state)
{
    AUTOJSON json_t *j = parse("{\"s\":\"x\",\"i\":7,\"d\":1.5,\"b\":true,\"n\":null}");
    assert_string_equal(json_get_string(j, "s", "-"), "x");
    assert_string_equal(json_get_string(j, "i", "-"), "-");
    assert_null(json_get_string(j, "none", NULL));
    assert_int_equal(json_get_int(j, "i", -1), 7);
    assert_int_equal(json_get_int(j, "d", -1), -1);
    assert_int_equal(json_get_int(j, "n", -1), -1);
    assert_true(json_get_number(j, "d", 0) > 1.4 && json_get_number(j, "i", 0) > 6.9);
    assert_true(json_get_number(j, "s", 3) > 2.9);
    assert_true(json_get_bool(j, "b", false));
    assert_true(json_get_bool(j, "i", true));
    assert_int_equal(json_get_int(NULL, "i", 5), 5);
}

static void sets_members(void **state)
{
    AUTOJSON json_t *j = json_object();
    json_set_string(j, "s", "h\xc3\xa9");
    json_set_string(j, "nothing", NULL);
    json_set_string(j, "bytes",
                    "a\xff"
                    "b");
    json_set_int(j, "i", INT64_MIN);
    json_set_bool(j, "b", false);
    assert_text(j,
                "{\"s\":\"h\xc3\xa9\",\"bytes\":\"a?b\",\"i\":-9223372036854775808,\"b\":false}");
}

static void refuses_to_write_past_the_limit_and_changes_nothing(void **state)
{
    AUTOJSON json_t *j = parse("{\"name\":\"a value\",\"list\":[1,2,3]}");
    AUTOBUF struct buf whole = BUF_INIT(100);
    assert_int_equal(json_to_buf(j, &whole), 0);
    for (size_t limit = 3; limit < 3 + whole.len; limit++) {
        AUTOBUF struct buf b = BUF_INIT(limit);
        assert_int_equal(buf_addstr(&b, "old"), 0);
        assert_int_equal(json_to_buf(j, &b), ERR_TOO_BIG);
        assert_string_equal(buf_str(&b), "old");
    }
    AUTOBUF struct buf b = BUF_INIT(whole.len);
    assert_int_equal(json_to_buf(j, &b), 0);
}

static void carries_lists_of_strings(void **state)
{
    AUTOSTRLIST struct strlist list = {0}, back = {0};
    strlist_add(&list, "one");
    strlist_add(&list, "");
    AUTOJSON json_t *j = json_from_strlist(&list);
    assert_text(j, "[\"one\",\"\"]");
    json_to_strlist(j, &back);
    assert_true(strlist_equal(&list, &back));
    strlist_clear(&back);
    AUTOJSON json_t *mixed = parse("{\"l\":[\"a\",1,null,\"b\"]}");
    json_to_strlist(json_object_get(mixed, "l"), &back);
    assert_int_equal(back.count, 2);
    json_to_strlist(json_object_get(mixed, "none"), &back);
    assert_int_equal(back.count, 2);
}

static void carries_environments(void **state)
{
    AUTOSTRLIST struct strlist env = {0}, back = {0};
    env_set(&env, "A", "1=2");
    env_set(&env, "EMPTY", "");
    strlist_add(&env, "no equals sign");
    AUTOJSON json_t *j = json_from_env(&env);
    assert_text(j, "{\"A\":\"1=2\",\"EMPTY\":\"\"}");
    json_to_env(j, &back);
    assert_string_equal(env_get(&back, "A"), "1=2");
    assert_string_equal(env_get(&back, "EMPTY"), "");
    AUTOJSON json_t *mixed = parse("{\"A\":3,\"B\":\"x\"}");
    json_to_env(mixed, &back);
    assert_string_equal(env_get(&back, "A"), "1=2");
    assert_string_equal(env_get(&back, "B"), "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_one_object_and_nothing_else),
        cmocka_unit_test(stops_at_nesting_that_is_too_deep),
        cmocka_unit_test(reads_members_or_the_fallback),
        cmocka_unit_test(sets_members),
        cmocka_unit_test(refuses_to_write_past_the_limit_and_changes_nothing),
        cmocka_unit_test(carries_lists_of_strings),
        cmocka_unit_test(carries_environments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
