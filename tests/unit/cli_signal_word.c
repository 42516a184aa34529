#include "supervisor/cli/signal_word.h"

#include "tests/unit/support.h"

#include <signal.h>

static void takes_names_in_any_case_and_numbers(void **state)
{
    assert_int_equal(signal_word("HUP"), SIGHUP);
    assert_int_equal(signal_word("SIGHUP"), SIGHUP);
    assert_int_equal(signal_word("sigusr2"), SIGUSR2);
    assert_int_equal(signal_word("term"), SIGTERM);
    assert_int_equal(signal_word("9"), SIGKILL);
    assert_int_equal(signal_word("64"), 64);
}

static void refuses_the_rest(void **state)
{
    static const char *const words[] = {"", "SIG", "0", "65", "-1", "HUPS", "SIGSIGHUP", "1x"};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        assert_int_equal(signal_word(words[i]), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_names_in_any_case_and_numbers),
        cmocka_unit_test(refuses_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
