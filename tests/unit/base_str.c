#include "lib/base/str.h"

#include "tests/unit/support.h"

#include "lib/base/err.h"

static void compares_beginnings_and_ends(void **state)
{
    assert_true(str_eq(NULL, NULL));
    assert_false(str_eq(NULL, ""));
    assert_true(str_eq("a", "a"));
    assert_true(str_starts("node20", "node") && str_starts("x", ""));
    assert_false(str_starts("nod", "node"));
    assert_true(str_ends("a.js", ".js") && str_ends("x", ""));
    assert_false(str_ends("js", ".js"));
}

static int to_int(const char *text, int64_t min, int64_t max, int64_t *ret_value)
{
    *ret_value = 77;
    int r = str_to_int(text, min, max, ret_value);
    assert_true(r == 0 || *ret_value == 77);
    return r;
}

static void reads_whole_numbers_within_a_range(void **state)
{
    int64_t v;
    assert_int_equal(to_int("42", 0, 100, &v), 0);
    assert_int_equal(v, 42);
    assert_int_equal(to_int("-5", -5, 5, &v), 0);
    assert_int_equal(v, -5);
    assert_int_equal(to_int("9223372036854775807", 0, INT64_MAX, &v), 0);
    assert_true(v == INT64_MAX);
    assert_int_equal(to_int("-9223372036854775808", INT64_MIN, 0, &v), 0);
    assert_true(v == INT64_MIN);
    assert_int_equal(to_int("9223372036854775808", INT64_MIN, INT64_MAX, &v), -ERANGE);
    assert_int_equal(to_int("101", 0, 100, &v), -ERANGE);
    assert_int_equal(to_int("-1", 0, 100, &v), -ERANGE);
    static const char *const wrong[] = {"",   "-",    "+1",  " 1",  "1 ",
                                        "1x", "0x10", "--1", "1.0", "one"};
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_int_equal(to_int(wrong[i], 0, 100, &v), ERR_SYNTAX);
}

static void assert_duration(const char *text, int64_t expected_us)
{
    int64_t us = -1;
    assert_int_equal(str_to_duration_us(text, 1000, &us), 0);
    assert_true(us == expected_us);
}

static void reads_durations(void **state)
{
    assert_duration("250", 250000);
    assert_duration("250ms", 250000);
    assert_duration("100us", 100);
    assert_duration("1.5s", 1500000);
    assert_duration("1.5 s", 1500000);
    assert_duration("2 sec", 2000000);
    assert_duration("2m", 120000000);
    assert_duration("2min", 120000000);
    assert_duration("2M", 120000000);
    assert_duration("1h", 3600000000);
    assert_duration("1d", 86400000000);
    assert_duration("0", 0);
    assert_duration("0.4us", 0);
}

static void refuses_what_is_no_duration(void **state)
{
    static const char *const wrong[] = {"",    "s",     "1x",   "-1s",  "1.5.5s", "1,5s", " 1s",
                                        "1s ", "1s 1m", "1e3s", "infs", "nan",    "0x10", "."};
    int64_t us = 77;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_int_equal(str_to_duration_us(wrong[i], 1000, &us), ERR_SYNTAX);
    assert_int_equal(str_to_duration_us("106751992d", 1000, &us), -ERANGE);
    assert_int_equal(str_to_duration_us("99999999999999999999999999", 1000, &us), -ERANGE);
    AUTOFREE char *digits = xcalloc(1, 1001);
    memset(digits, '9', 1000);
    assert_true(str_to_duration_us(digits, 1000, &us) < 0);
    assert_int_equal(us, 77);
}

static void reads_sizes(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } rows[] = {
        {"512", 512},        {"512b", 512},        {"512K", 524288},      {"64KiB", 65536},
        {"150M", 157286400}, {"150MB", 157286400}, {"150 MB", 157286400}, {"1.5G", 1610612736},
        {"1g", 1073741824},  {"2GiB", 2147483648}, {"1T", 1099511627776}, {"0", 0},
    };
    int64_t bytes;
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(str_to_size(rows[i].text, &bytes), 0);
        assert_true(bytes == rows[i].bytes);
    }
    assert_int_equal(str_to_size("1P", &bytes), ERR_SYNTAX);
    assert_int_equal(str_to_size("-1", &bytes), ERR_SYNTAX);
    assert_int_equal(str_to_size("M", &bytes), ERR_SYNTAX);
    assert_int_equal(str_to_size("9000000T", &bytes), -ERANGE);
}

static void counts_slips_of_the_pen(void **state)
{
    assert_int_equal(str_distance("", ""), 0);
    assert_int_equal(str_distance("abc", ""), 3);
    assert_int_equal(str_distance("kinds", "kinds"), 0);
    assert_int_equal(str_distance("KINDS", "kinds"), 0);
    assert_int_equal(str_distance("kidns", "kinds"), 1);
    assert_int_equal(str_distance("kind", "kinds"), 1);
    assert_int_equal(str_distance("xinds", "kinds"), 1);
    assert_int_equal(str_distance("ca", "abc"), 3);
    AUTOFREE char *far = xcalloc(1, 66);
    memset(far, 'a', 65);
    assert_int_equal(str_distance(far, far), 64);
    far[64] = '\0';
    assert_int_equal(str_distance(far, far), 0);
}

static void names_the_nearest_candidate(void **state)
{
    static const char *const keys[] = {"kinds", "max_duration", "apps", "legacy"};
    assert_string_equal(str_nearest("kind", keys, 4), "kinds");
    assert_string_equal(str_nearest("max_durration", keys, 4), "max_duration");
    assert_string_equal(str_nearest("app", keys, 4), "apps");
    assert_string_equal(str_nearest("Legacy", keys, 4), "legacy");
    assert_null(str_nearest("port", keys, 4));
    assert_null(str_nearest("something else", keys, 4));
    assert_null(str_nearest("kinds", keys, 0));
    static const char *const numbers[] = {"0", "ls"};
    assert_null(str_nearest("q", numbers, 2));
    assert_null(str_nearest("l", numbers, 2));
    assert_null(str_nearest("lx", numbers, 2));
    assert_null(str_nearest("", numbers, 2));
    assert_string_equal(str_nearest("lss", numbers, 2), "ls");
}

static void nothing_is_near_to_a_very_long_name(void **state)
{
    static const char *const keys[] = {"kinds", "apps"};
    AUTOFREE char *name = xcalloc(1, 1001);
    for (int len = 60; len <= 1000; len += 10) {
        memset(name, 'x', (size_t)len);
        assert_null(str_nearest(name, keys, 2));
    }
}

static void lists_end_with_null(void **state)
{
    AUTOSTRLIST struct strlist a = {0}, b = {0};
    assert_true(strlist_equal(&a, &b));
    strlist_add(&a, "one");
    strlist_addf(&a, "%s-%d", "two", 2);
    strlist_add_taken(&a, xstrdup("three"));
    assert_int_equal(a.count, 3);
    assert_string_equal(a.items[1], "two-2");
    assert_null(a.items[3]);
    assert_false(strlist_equal(&a, &b));
    strlist_copy(&b, &a);
    assert_true(strlist_equal(&a, &b));
    b.items[2][0] = 'T';
    assert_false(strlist_equal(&a, &b));
    strlist_clear(&b);
    assert_null(b.items);
    strlist_add(&b, "again");
    assert_string_equal(b.items[0], "again");
}

static void environments_are_set_and_unset(void **state)
{
    AUTOSTRLIST struct strlist env = {0};
    env_unset(&env, "A");
    assert_null(env_get(&env, "A"));
    env_set(&env, "A", "1");
    env_set(&env, "AB", "2");
    env_set(&env, "C", "");
    env_set(&env, "A", "=x=");
    assert_int_equal(env.count, 3);
    assert_string_equal(env_get(&env, "A"), "=x=");
    assert_string_equal(env_get(&env, "AB"), "2");
    assert_string_equal(env_get(&env, "C"), "");
    assert_null(env_get(&env, "B"));
    assert_string_equal(env.items[0], "A==x=");
    env_unset(&env, "A");
    assert_int_equal(env.count, 2);
    assert_null(env.items[2]);
    env_unset(&env, "C");
    env_unset(&env, "AB");
    assert_int_equal(env.count, 0);
    assert_null(env.items[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compares_beginnings_and_ends),
        cmocka_unit_test(reads_whole_numbers_within_a_range),
        cmocka_unit_test(reads_durations),
        cmocka_unit_test(refuses_what_is_no_duration),
        cmocka_unit_test(reads_sizes),
        cmocka_unit_test(counts_slips_of_the_pen),
        cmocka_unit_test(names_the_nearest_candidate),
        cmocka_unit_test(nothing_is_near_to_a_very_long_name),
        cmocka_unit_test(lists_end_with_null),
        cmocka_unit_test(environments_are_set_and_unset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
