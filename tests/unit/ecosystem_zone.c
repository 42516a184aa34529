/* The C library is the judge: what it says with TZ set must be what we say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ecosystem/zone.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"

static const char *const names[] = {
    "Europe/Berlin",    "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe",
    "Asia/Kolkata",     "Asia/Tehran",      "Africa/Casablanca", "Africa/Cairo",
    "Pacific/Apia",     "Pacific/Chatham",  "America/Nuuk",      "Asia/Gaza",
    "Antarctica/Troll", "Europe/Dublin",    "America/St_Johns",  "UTC",
    "Etc/GMT+5",        "Asia/Pyongyang",   "America/Santiago",  "Atlantic/Azores",
};

static void use_libc(const char *zone)
{
    if (zone)
        (void)setenv("TZ", zone, 1);
    else
        (void)unsetenv("TZ");
    tzset();
}

static int64_t libc_offset(int64_t at)
{
    time_t t = (time_t)at;
    struct tm tm;
    assert_non_null(localtime_r(&t, &tm));
    return tm.tm_gmtoff;
}

static void says_what_the_c_library_says(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        AUTOZONE struct zone *z = NULL;
        int64_t until;
        assert_int_equal(zone_load(names[i], &z), 0);
        use_libc(names[i]);
        /* From 1900 to 2100, at odd hours. */
        for (int64_t at = -2208988800; at < 4102444800; at += 100003)
            if (zone_offset(z, at, &until) != libc_offset(at))
                fail_msg("%s at %lld: %d, not %lld", names[i], (long long)at,
                         zone_offset(z, at, &until), (long long)libc_offset(at));
        use_libc(NULL);
    }
}

static void finds_every_change_to_the_second(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        AUTOZONE struct zone *z = NULL;
        assert_int_equal(zone_load(names[i], &z), 0);
        use_libc(names[i]);
        int64_t at = 1577836800, until;
        for (int changes = 0; at < 4102444800 && changes < 300; changes++) {
            int offset = zone_offset(z, at, &until);
            assert_true(until > at);
            if (until == INT64_MAX)
                break;
            assert_int_equal(libc_offset(until - 1), offset);
            assert_int_equal(libc_offset(until), zone_offset(z, until, &at));
            at = until;
        }
        use_libc(NULL);
    }
}

static void knows_the_calendar(void **state)
{
    for (int64_t at = -62135596800; at < 253402300800; at += 12345677) {
        struct civil c;
        struct tm tm;
        time_t t = (time_t)at;
        civil_from_seconds(at, &c);
        assert_non_null(gmtime_r(&t, &tm));
        assert_int_equal(c.year, tm.tm_year + 1900);
        assert_int_equal(c.month, tm.tm_mon + 1);
        assert_int_equal(c.day, tm.tm_mday);
        assert_int_equal(c.weekday, tm.tm_wday);
        assert_int_equal(c.hour * 3600 + c.minute * 60 + c.second,
                         tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec);
        assert_int_equal(
            civil_seconds(c.year, c.month, c.day) + c.hour * 3600 + c.minute * 60 + c.second, at);
    }
    assert_int_equal(civil_month_days(2000, 2), 29);
    assert_int_equal(civil_month_days(2100, 2), 28);
}

static void takes_the_zone_of_the_host(void **state)
{
    static const char *const hosts[] = {"Asia/Kolkata",
                                        ":Asia/Kolkata",
                                        "CET-1CEST,M3.5.0,M10.5.0/3",
                                        "<+0330>-3:30",
                                        "EST5EDT",
                                        "Nowhere/At_All",
                                        ""};
    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
        AUTOZONE struct zone *z = NULL;
        int64_t until;
        use_libc(hosts[i]);
        assert_int_equal(zone_load(NULL, &z), 0);
        for (int64_t at = 1700000000; at < 1800000000; at += 1000003)
            assert_int_equal(zone_offset(z, at, &until), libc_offset(at));
    }
    use_libc(NULL);
}

static void refuses_names_that_are_none(void **state)
{
    static const char *const bad[] = {
        "",       "Mars/Olympus", "../../etc/passwd", "/etc/localtime",
        "Europe", "zone.tab",     "Europe/Berlin\n",  "a b"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct zone *z = NULL;
        assert_true(zone_load(bad[i], &z) < 0);
        assert_null(z);
    }
}

static void refuses_a_file_that_ends_early(void **state)
{
    struct zone *z = NULL;
    char bytes[8192];
    FILE *f = fopen("/usr/share/zoneinfo/Europe/Berlin", "re");
    assert_non_null(f);
    size_t len = fread(bytes, 1, sizeof bytes, f);
    (void)fclose(f);
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(zone_parse(bytes, cut, &z), ERR_INVALID);
    assert_int_equal(zone_parse(bytes, len, &z), 0);
    zone_free(z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_the_c_library_says),
        cmocka_unit_test(finds_every_change_to_the_second),
        cmocka_unit_test(knows_the_calendar),
        cmocka_unit_test(takes_the_zone_of_the_host),
        cmocka_unit_test(refuses_names_that_are_none),
        cmocka_unit_test(refuses_a_file_that_ends_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
