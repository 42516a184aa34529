#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/auto.h"
#include "lib/base/mem.h"
#include "supervisor/cli/text.h"

static void knows_how_wide_text_is(void **state)
{
    assert_int_equal(text_width(""), 0);
    assert_int_equal(text_width("abc"), 3);
    assert_int_equal(text_width("größe"), 5);
    assert_int_equal(text_width("e\xcc\x81"), 1);
    assert_int_equal(text_width("日本"), 4);
    assert_int_equal(text_width("😀!"), 3);
    assert_int_equal(text_width("↺…"), 2);
    assert_int_equal(text_width("\xff\xc3"), 2);
}

static void cuts_at_a_character(void **state)
{
    assert_int_equal(text_fit("abc", 2), 2);
    assert_int_equal(text_fit("abc", 9), 3);
    assert_int_equal(text_fit("日本", 3), 3);
    assert_int_equal(text_fit("日本", 1), 0);
    assert_int_equal(text_fit("e\xcc\x81x", 1), 3);
}

static void safe(const char *text, const char *expected)
{
    AUTOFREE char *s = xstrdup(text);
    text_make_safe(s);
    assert_string_equal(s, expected);
}

static void takes_the_sting_out_of_foreign_text(void **state)
{
    safe("plain ünï 日本\n\tok", "plain ünï 日本\n\tok");
    safe("\x1b[31mred\r\x7f", "?[31mred??");
    safe("a\xc2\x9b"
         "1m",
         "a??1m");
    safe("\xff\xc3(", "?"
                      "?(");
    safe("end\xe6\x97", "end??");
}

static void shows_times_shortly(void **state)
{
    char out[TEXT_SHORT];
    assert_string_equal(text_age(-5, out), "0s");
    assert_string_equal(text_age(59999, out), "59s");
    assert_string_equal(text_age(60000, out), "1m");
    assert_string_equal(text_age(3600000, out), "1h");
    assert_string_equal(text_age(47 * 3600000LL, out), "47h");
    assert_string_equal(text_age(48 * 3600000LL, out), "2d");
    assert_string_equal(text_seconds(999, out), "1.0 s");
    assert_string_equal(text_seconds(200500, out), "3 min 20 s");
    assert_string_equal(text_micros(850, out), "850 us");
    assert_string_equal(text_micros(12400, out), "12.4 ms");
    assert_string_equal(text_micros(1200000, out), "1.2 s");
}

static void shows_sizes_in_at_most_five_characters(void **state)
{
    char out[TEXT_SHORT];
    assert_string_equal(text_bytes(0, out), "0B");
    assert_string_equal(text_bytes(1023, out), "1023B");
    assert_string_equal(text_bytes(1024, out), "1.0K");
    assert_string_equal(text_bytes(51363840, out), "49.0M");
    assert_string_equal(text_bytes(1048575, out), "1.0M");
    assert_string_equal(text_bytes(104857600, out), "100M");
    for (int64_t bytes = 1; bytes < INT64_MAX / 3; bytes += bytes / 2 + 1)
        assert_true(strlen(text_bytes(bytes, out)) <= 5);
}

static void shows_percent_of_a_core(void **state)
{
    char out[TEXT_SHORT];
    assert_string_equal(text_percent(0, out), "0.0%");
    assert_string_equal(text_percent(0.25, out), "0.2%");
    assert_string_equal(text_percent(9.96, out), "10%");
    assert_string_equal(text_percent(399.6, out), "400%");
}

static void shows_the_clock(void **state)
{
    char out[TEXT_SHORT];
    (void)setenv("TZ", "UTC-1", 1);
    tzset();
    assert_string_equal(text_clock(1234567890123, 0, out), "2009-02-14 00:31:30");
    assert_string_equal(text_clock(1234567890123, 1, out), "2009-02-14T00:31:30.123");
    assert_string_equal(text_utc(1234567890123, out), "2009-02-13T23:31:30.123Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_how_wide_text_is),
        cmocka_unit_test(cuts_at_a_character),
        cmocka_unit_test(takes_the_sting_out_of_foreign_text),
        cmocka_unit_test(shows_times_shortly),
        cmocka_unit_test(shows_sizes_in_at_most_five_characters),
        cmocka_unit_test(shows_percent_of_a_core),
        cmocka_unit_test(shows_the_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
