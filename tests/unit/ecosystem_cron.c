#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ecosystem/cron.h"
#include "ecosystem/zone.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"

static void parse(const char *text, struct cron *c)
{
    char error[CRON_ERROR_TEXT];
    if (cron_parse(text, c, error) < 0)
        fail_msg("%s: %s", text, error);
}

static int64_t utc(const char *text)
{
    struct tm tm = {0};
    assert_non_null(strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm));
    return timegm(&tm);
}

static void expect_next(const char *text, const char *zone, int64_t after, int64_t expected)
{
    struct cron c;
    AUTOZONE struct zone *z = NULL;
    int64_t next = 0;
    parse(text, &c);
    assert_int_equal(zone_load(zone, &z), 0);
    if (!cron_next(&c, z, after, &next) || next != expected)
        fail_msg("%s in %s after %lld: %lld, not %lld", text, zone, (long long)after,
                 (long long)next, (long long)expected);
}

/* tests/fixtures/cron: what croner, which PM2 uses, says of the same. */
static void agrees_with_croner(void **state)
{
    FILE *f = fopen("tests/fixtures/cron/croner-11.txt", "re");
    char line[256];
    int rows = 0;
    assert_non_null(f);
    while (fgets(line, sizeof line, f)) {
        if (*line == '#')
            continue;
        char *rest = line, *pattern = strsep(&rest, "|"), *zone = strsep(&rest, "|");
        AUTOFREE char *name = xstrndup(zone + 1, strlen(zone) - 2);
        int64_t times[4];
        int count = 0;
        for (char *word; (word = strsep(&rest, " \n"));)
            if (*word)
                times[count++] = strtoll(word, NULL, 10);
        for (int i = 1; i < count; i++)
            expect_next(pattern, name, times[i - 1], times[i]);
        rows++;
    }
    (void)fclose(f);
    assert_true(rows > 300);
}

static void comes_once_where_clocks_are_changed(void **state)
{
    static const struct {
        const char *text, *zone, *after, *next;
    } cases[] = {
        /* Forward at 2: what 2 leaves out comes at 3. */
        {"30 2 * * *", "Europe/Berlin", "2026-03-29T00:59:59Z", "2026-03-29T01:00:00Z"},
        {"30 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"},
        {"0,30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z"},
        {"0,30 2 * * *", "Europe/Berlin", "2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"},
        /* Back at 3: the second half past two is none. */
        {"30 2 * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"},
        {"30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"},
        {"0 1,2,3 * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"},
        {"30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", "2026-10-26T01:30:00Z"},
        /* All that the clocks show. */
        {"30 * * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"},
        {"30 * * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"},
        {"*/15 2 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-30T00:00:00Z"},
        /* By half an hour. */
        {"15 2 * * *", "Australia/Lord_Howe", "2026-10-03T10:00:00Z", "2026-10-03T15:30:00Z"},
        /* A day that was left out altogether. */
        {"0 12 30 12 *", "Pacific/Apia", "2011-12-29T00:00:00Z", "2011-12-30T10:00:00Z"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        expect_next(cases[i].text, cases[i].zone, utc(cases[i].after), utc(cases[i].next));
}

static void goes_far_for_a_rare_day(void **state)
{
    expect_next("0 0 29 2 *", "UTC", utc("2096-03-01T00:00:00Z"), utc("2104-02-29T00:00:00Z"));
    expect_next("0 0 29 2 +0", "UTC", utc("2026-01-01T00:00:00Z"), utc("2032-02-29T00:00:00Z"));
    expect_next("59 59 23 31 12 *", "UTC", utc("2026-12-31T23:59:59Z"),
                utc("2027-12-31T23:59:59Z"));
}

static void knows_which_days_are_enough(void **state)
{
    static const struct {
        const char *text;
        bool either;
    } cases[] = {{"0 0 1 * 1", true},   {"0 0 1 * *", false},   {"0 0 * * 1", false},
                 {"0 0 1 * +1", false}, {"0 0 ? * MON", false}, {"0 0 L * 5L", true}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct cron c;
        parse(cases[i].text, &c);
        assert_int_equal(cron_either_day(&c), cases[i].either);
    }
}

static void says_what_is_wrong(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "it is empty or has a quote in it"},
        {"* * * *", "it has 4 fields, and needs 5, or 6 with seconds"},
        {"* * * * * * *", "it has 7 fields, and needs 5, or 6 with seconds"},
        {"60 * * * *", "the minute \"60\" is not from 0 to 59"},
        {"* 24 * * *", "the hour \"24\" is not from 0 to 23"},
        {"* * 0 * *", "the day of the month \"0\" is not from 1 to 31"},
        {"* * * 13 *", "the month \"13\" is not from 1 to 12"},
        {"* * * foo *", "the month \"foo\" is not from 1 to 12"},
        {"* * * january *", "the month \"january\" is not from 1 to 12"},
        {"* * * * 8", "the day of the week \"8\" is not from 0 to 7"},
        {"* * * * MON#6", "the day of the week \"MON#6\" has no number from 1 to 5 behind the #"},
        {"10-5 * * * *", "the minute \"10-5\" is a range that goes backwards"},
        {"5- * * * *", "the minute \"5-\" is a range without a good end"},
        {"-5 * * * *", "the minute \"-5\" is not from 0 to 59"},
        {"*/0 * * * *", "the minute \"*/0\" has a step that cannot be"},
        {"*/70 * * * *", "the minute \"*/70\" has a step that cannot be"},
        {"*/x * * * *", "the minute \"*/x\" has a step that cannot be"},
        {"5/15 * * * *", "the minute \"5/15\" is a step without a range; write */N or FROM-TO/N"},
        {"1,,2 * * * *", "the minute \"1,,2\" has an empty entry"},
        {"1.5 * * * *", "the minute \"1.5\" cannot be understood"},
        {"99999999999999999999 * * * *", "the minute \"99999999999999999999\" is not from 0 to 59"},
        {"0 0 31 2 *", "such a day never comes"},
        {"0 0 30 2 *", "such a day never comes"},
        {"@reboot", "apps start with the host anyway"},
        {"@often", "it has 1 fields, and needs 5, or 6 with seconds"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct cron c;
        char error[CRON_ERROR_TEXT] = "";
        assert_int_equal(cron_parse(cases[i].text, &c, error), ERR_SYNTAX);
        assert_string_equal(error, cases[i].error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_croner),
        cmocka_unit_test(comes_once_where_clocks_are_changed),
        cmocka_unit_test(goes_far_for_a_rare_day),
        cmocka_unit_test(knows_which_days_are_enough),
        cmocka_unit_test(says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
