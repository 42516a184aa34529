#include "lib/base/err.h"

#include "tests/unit/support.h"

#include <uv.h>

static const int ours[] = {
#define X(name, value, json, text) value,
    ERR_LIST(X)
#undef X
};

static void all_codes_of_libuv_are_above_ours(void **state)
{
#define X(name, text) assert_true((int)UV_##name > (int)ERR_FAILED);
    UV_ERRNO_MAP(X)
#undef X
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
        assert_int_equal(ours[i], ERR_FAILED - (int)i);
}

static void names_of_ours_round_trip(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(ours); i++) {
        assert_int_equal(err_from_name(err_name(ours[i])), ours[i]);
        assert_true(strlen(err_str(ours[i])) > 0);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(err_name(ours[i]), err_name(ours[j]));
    }
}

static void names_of_errno_round_trip(void **state)
{
    for (int e = 1; e < 134; e++) {
        if (strerrorname_np(e) == NULL)
            continue;
        assert_int_equal(err_from_name(err_name(-e)), -e);
        assert_string_equal(err_str(-e), strerror(e));
    }
    assert_string_equal(err_name(-ENOENT), "ENOENT");
    assert_string_equal(err_name(UV_EPIPE), "EPIPE");
}

static void every_code_of_libuv_has_a_text(void **state)
{
#define X(name, text)                                                                              \
    assert_true(strlen(err_name(UV_##name)) > 0);                                                  \
    assert_true(strlen(err_str(UV_##name)) > 0);
    UV_ERRNO_MAP(X)
#undef X
    assert_string_equal(err_name(UV_EOF), "EOF");
    assert_string_equal(err_str(UV_EOF), "end of file");
    assert_int_equal(err_from_name("EOF"), UV_EOF);
}

static void unknown_codes_and_names_have_an_answer(void **state)
{
    assert_string_equal(err_name(0), "OK");
    assert_string_equal(err_str(7), "success");
    assert_string_equal(err_name(-999999), "UNKNOWN");
    assert_string_equal(err_str(-999999), "unknown error");
    assert_string_equal(err_name(INT32_MIN + 1), "UNKNOWN");
    assert_int_equal(err_from_name("no such name"), ERR_FAILED);
    assert_int_equal(err_from_name(""), ERR_FAILED);
    assert_int_equal(err_from_name("enoent"), ERR_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_codes_of_libuv_are_above_ours),
        cmocka_unit_test(names_of_ours_round_trip),
        cmocka_unit_test(names_of_errno_round_trip),
        cmocka_unit_test(every_code_of_libuv_has_a_text),
        cmocka_unit_test(unknown_codes_and_names_have_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
