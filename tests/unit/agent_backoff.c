#include "agent/backoff.h"

#include "tests/unit/support.h"

static void doubles_up_to_a_minute(void **state)
{
    static const int64_t ceilings[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000};
    struct backoff b = {0};
    for (size_t i = 0; i < ARRAY_SIZE(ceilings); i++)
        assert_int_equal(backoff_next(&b, UINT32_MAX), ceilings[i]);
}

static void waits_any_part_of_the_time(void **state)
{
    for (unsigned failures = 0; failures < 10; failures++) {
        struct backoff low = {0}, middle = {0};
        int64_t ceiling = 0;
        for (unsigned i = 0; i <= failures; i++) {
            struct backoff high = low;
            ceiling = backoff_next(&high, UINT32_MAX);
            assert_int_equal(backoff_next(&low, 0), 0);
            int64_t half = backoff_next(&middle, UINT32_C(1) << 31);
            assert_in_range(half, ceiling / 2, ceiling / 2 + 1);
        }
    }
}

static void begins_anew_after_a_success(void **state)
{
    struct backoff b = {0};
    for (unsigned i = 0; i < 20; i++)
        (void)backoff_next(&b, 7);
    backoff_reset(&b);
    assert_int_equal(backoff_next(&b, UINT32_MAX), BACKOFF_FIRST_MS);
}

static void waits_minutes_after_a_refusal(void **state)
{
    assert_int_equal(backoff_refused(0), 5 * 60 * 1000);
    assert_int_equal(backoff_refused(UINT32_MAX), 10 * 60 * 1000);
    assert_in_range(backoff_refused(UINT32_C(1) << 31), 449000, 451000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_up_to_a_minute),
        cmocka_unit_test(waits_any_part_of_the_time),
        cmocka_unit_test(begins_anew_after_a_success),
        cmocka_unit_test(waits_minutes_after_a_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
