#include "supervisor/cli/monit/spark.h"

#include "tests/unit/support.h"

static void bars_rise_with_the_values(void **state)
{
    char out[SPARK_BYTES];
    const double values[] = {-1, 0, 12.5, 50, 99, 100, 1000, 0.1};
    assert_string_equal(spark_draw(values, ARRAY_SIZE(values), 0, 100, true, out), " ▁▂▅███▁");
}

static void ascii_does_without_unicode(void **state)
{
    char out[SPARK_BYTES];
    const double values[] = {-1, 0, 13, 26, 38, 51, 63, 76, 100};
    assert_string_equal(spark_draw(values, ARRAY_SIZE(values), 0, 100, false, out), " _.:-=+*#");
}

static void a_scale_without_room_is_no_division_by_zero(void **state)
{
    char out[SPARK_BYTES];
    const double values[] = {5, 5};
    assert_string_equal(spark_draw(values, 2, 5, 5, false, out), "__");
    assert_string_equal(spark_draw(values, 0, 0, 1, false, out), "");
}

static void no_more_than_there_is_room_for(void **state)
{
    char out[SPARK_BYTES];
    double values[SPARK_MAX + 10];
    for (size_t i = 0; i < ARRAY_SIZE(values); i++)
        values[i] = 100;
    assert_int_equal(strlen(spark_draw(values, ARRAY_SIZE(values), 0, 100, true, out)),
                     SPARK_MAX * 3);
}

static void scales_fit_what_is_measured(void **state)
{
    double low, high;
    const double idle[] = {-1, 0.1, 0.3}, busy[] = {5, 180, -1}, flat[] = {100, 100}, none[] = {-1};
    spark_cpu_scale(idle, ARRAY_SIZE(idle), &low, &high);
    assert_true(low == 0 && high == 10);
    spark_cpu_scale(busy, ARRAY_SIZE(busy), &low, &high);
    assert_true(low == 0 && high == 180);
    spark_memory_scale(flat, ARRAY_SIZE(flat), &low, &high);
    assert_true(low > 90 && low < 100 && high > 100 && high < 110);
    spark_memory_scale(none, ARRAY_SIZE(none), &low, &high);
    assert_true(low == 0 && high == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bars_rise_with_the_values),
        cmocka_unit_test(ascii_does_without_unicode),
        cmocka_unit_test(a_scale_without_room_is_no_division_by_zero),
        cmocka_unit_test(no_more_than_there_is_room_for),
        cmocka_unit_test(scales_fit_what_is_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
