#include "supervisor/cli/since_word.h"

#include "tests/unit/support.h"

#include <time.h>

#include "lib/base/err.h"

enum { HOUR_MS = 3600 * 1000 };
/* 2026-11-20 12:00:00 UTC */
static const int64_t noon_ms = 1795176000000;

static int64_t since(const char *text)
{
    int64_t ms = -1;
    assert_int_equal(since_word(text, noon_ms, &ms), 0);
    return ms;
}

static void a_duration_is_ago(void **state)
{
    assert_int_equal(since("90"), noon_ms - 90000);
    assert_int_equal(since("500ms"), noon_ms - 500);
    assert_int_equal(since("10m"), noon_ms - 600000);
    assert_int_equal(since("1.5h"), noon_ms - 3 * HOUR_MS / 2);
    assert_int_equal(since("2d"), noon_ms - 48 * HOUR_MS);
    assert_int_equal(since("99999d"), 0);
}

static void a_clock_is_the_last_time_it_was_that(void **state)
{
    assert_int_equal(since("11:30"), noon_ms - HOUR_MS / 2);
    assert_int_equal(since("11:59:50"), noon_ms - 10000);
    assert_int_equal(since("13:00"), noon_ms - 23 * HOUR_MS);
}

static void a_date_is_itself(void **state)
{
    assert_int_equal(since("2026-11-20"), noon_ms - 12 * HOUR_MS);
    assert_int_equal(since("2026-11-20 11:00"), noon_ms - HOUR_MS);
    assert_int_equal(since("2026-11-20T11:00"), noon_ms - HOUR_MS);
    assert_int_equal(since("2026-11-20T11:00:01"), noon_ms - HOUR_MS + 1000);
    assert_int_equal(since("2026-11-20T11:00:01Z"), noon_ms - HOUR_MS + 1000);
    (void)setenv("TZ", "UTC-2", 1);
    tzset();
    assert_int_equal(since("2026-11-20T11:00:01"), noon_ms - 3 * HOUR_MS + 1000);
    assert_int_equal(since("2026-11-20T11:00:01Z"), noon_ms - HOUR_MS + 1000);
    (void)setenv("TZ", "UTC", 1);
    tzset();
}

static void the_rest_is_refused(void **state)
{
    static const char *const words[] = {"",    "x",          "-5",    "5x",          "d",
                                        "5y",  "2026-13-01", "25:00", "12:00Z",      "2026-11-20 x",
                                        "now", "12:",        "-1d",   "2026-11-20TZ"};
    int64_t ms;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        assert_int_equal(since_word(words[i], noon_ms, &ms), ERR_SYNTAX);
}

int main(void)
{
    (void)setenv("TZ", "UTC", 1);
    tzset();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_duration_is_ago),
        cmocka_unit_test(a_clock_is_the_last_time_it_was_that),
        cmocka_unit_test(a_date_is_itself),
        cmocka_unit_test(the_rest_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
