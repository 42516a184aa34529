#include "lib/base/json.h"

#include "tests/unit/support.h"

#include <fcntl.h>

#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
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

/* An object in `depth` levels altogether. */
static json_t *parse_levels(unsigned depth, const char *inside)
{
    AUTOBUF struct buf b = BUF_INIT(1 << 20);
    assert_int_equal(buf_addstr(&b, "{\"[[[[\\\"[[\":"), 0);
    for (unsigned i = 1; i < depth; i++)
        assert_int_equal(buf_addstr(&b, i % 2 ? "[" : "{\"a\":"), 0);
    assert_int_equal(buf_addstr(&b, inside), 0);
    for (unsigned i = depth - 1; i > 0; i--)
        assert_int_equal(buf_addc(&b, i % 2 ? ']' : '}'), 0);
    assert_int_equal(buf_addc(&b, '}'), 0);
    return json_object_parse(b.data, b.len);
}

static void takes_as_many_levels_as_the_limit_says(void **state)
{
    AUTOJSON json_t *deepest = parse_levels(LIMIT_JSON_DEPTH, "1");
    assert_non_null(deepest);
    assert_null(parse_levels(LIMIT_JSON_DEPTH + 1, "1"));
    /* Width is not depth, and brackets in a text are none. */
    AUTOBUF struct buf inside = BUF_INIT(4096);
    for (int i = 0; i < 100; i++)
        assert_int_equal(buf_addstr(&inside, "{},[],"), 0);
    assert_int_equal(buf_addstr(&inside, "1"), 0);
    AUTOJSON json_t *wide = parse_levels(LIMIT_JSON_DEPTH - 2, buf_str(&inside));
    assert_non_null(wide);
    AUTOJSON json_t *text = parse_levels(LIMIT_JSON_DEPTH, "\"[[{{\\\"[[\\\\\"");
    assert_non_null(text);
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

static void passes_over_a_variable_whose_name_is_no_text(void **state)
{
    AUTOSTRLIST struct strlist env = {0};
    AUTOFREE char *path = in_folder("stderr");
    AUTOBUF struct buf log = BUF_INIT(10000);
    strlist_add(&env, "N\xff=secret");
    strlist_add(&env, "V=a\xff\xc3\xa9");
    AUTOCLOSE int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    AUTOCLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(setenv("PROCTOR_LOG", "json=debug", 1), 0);
    log_init("tester", LOG_LEVEL_INFO);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    AUTOJSON json_t *j = json_from_env(&env);
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    assert_text(j, "{\"V\":\"a???\"}");
    assert_int_equal(path_read(path, &log), 0);
    assert_non_null(strstr(buf_str(&log), "debug json: "));
    assert_non_null(strstr(buf_str(&log), "is not UTF-8"));
    assert_null(strstr(buf_str(&log), "secret"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_one_object_and_nothing_else),
        cmocka_unit_test(stops_at_nesting_that_is_too_deep),
        cmocka_unit_test(takes_as_many_levels_as_the_limit_says),
        cmocka_unit_test(reads_members_or_the_fallback),
        cmocka_unit_test(sets_members),
        cmocka_unit_test(refuses_to_write_past_the_limit_and_changes_nothing),
        cmocka_unit_test(carries_lists_of_strings),
        cmocka_unit_test(carries_environments),
        cmocka_unit_test_setup_teardown(passes_over_a_variable_whose_name_is_no_text, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
