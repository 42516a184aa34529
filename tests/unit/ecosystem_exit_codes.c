#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>

#include "ecosystem/exit_codes.h"
#include "lib/base/auto.h"
#include "lib/base/str.h"

static void knows_signals(void **state)
{
    char space[EXIT_CODE_TEXT];
    assert_int_equal(signal_from_text("SIGTERM"), SIGTERM);
    assert_int_equal(signal_from_text("term"), SIGTERM);
    assert_int_equal(signal_from_text("sigusr2"), SIGUSR2);
    assert_int_equal(signal_from_text("9"), SIGKILL);
    assert_int_equal(signal_from_text("40"), 40);
    static const char *const bad[] = {"",   "SIG", "SIGSIGTERM", "0",
                                      "65", "-9",  "SIGTERM ",   "TERMINATE"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(signal_from_text(bad[i]), 0);
    for (int i = 1; i <= SIGRTMAX; i++)
        assert_int_equal(signal_from_text(signal_name(i, space)), i);
}

static void writes_codes_in_one_form(void **state)
{
    static const char *const cases[][2] = {{"0", "0"},          {"00143", "143"}, {"255", "255"},
                                           {"kill", "SIGKILL"}, {"256", NULL},    {"-1", NULL},
                                           {"999", NULL},       {"", NULL},       {"one", NULL}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char space[EXIT_CODE_TEXT];
        bool good = exit_code_normal(cases[i][0], space);
        assert_int_equal(good, cases[i][1] != NULL);
        if (good)
            assert_string_equal(space, cases[i][1]);
    }
}

static void a_crash_is_never_code_zero(void **state)
{
    AUTOSTRLIST struct strlist codes = {0};
    strlist_add(&codes, "0");
    strlist_add(&codes, "9");
    strlist_add(&codes, "SIGTERM");
    assert_true(exit_codes_match(&codes, 0, 0));
    assert_true(exit_codes_match(&codes, 9, 0));
    assert_true(exit_codes_match(&codes, 0, SIGTERM));
    assert_false(exit_codes_match(&codes, 0, SIGKILL));
    assert_false(exit_codes_match(&codes, 15, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_signals),
        cmocka_unit_test(writes_codes_in_one_form),
        cmocka_unit_test(a_crash_is_never_code_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
