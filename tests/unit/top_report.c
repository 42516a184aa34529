#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/profile/profile.h"
#include "lib/profile/table.h"
#include "supervisor/cli/top/place.h"
#include "supervisor/cli/top/report.h"

static const char cpu_text[] =
    "{\"nodes\":[{\"id\":1,\"callFrame\":{\"functionName\":\"(root)\"},\"children\":[2,3,4]},"
    "{\"id\":2,\"callFrame\":{\"functionName\":\"(idle)\"}},"
    "{\"id\":3,\"callFrame\":{\"functionName\":\"(garbage collector)\"}},"
    "{\"id\":4,\"callFrame\":{\"functionName\":\"handle\",\"url\":\"file:///srv/app/lib/a%20b.js\","
    "\"lineNumber\":9,\"columnNumber\":4},\"children\":[5]},"
    "{\"id\":5,\"callFrame\":{\"functionName\":\"\",\"url\":\"node:internal/"
    "\\\"q\\\"\",\"lineNumber\":0}}],"
    "\"startTime\":0,\"endTime\":2000000,\"samples\":[2,3,4,5],"
    "\"timeDeltas\":[0,1000000,100000,300000]}";

static void make_report(struct buf *out, const char *text, size_t limit, unsigned width, bool json)
{
    struct profile p;
    struct profile_error error;
    struct profile_table t;
    assert_int_equal(profile_read(&p, text, strlen(text), &error), 0);
    assert_int_equal(profile_table_init(&t, &p, PROFILE_BY_SELF), 0);
    struct report report = {
        .profile = &p, .table = &t, .limit = limit, .width = width, .cwd = "/srv/app"};
    assert_int_equal(json ? report_json(out, &report) : report_text(out, &report), 0);
    profile_table_clear(&t);
    profile_clear(&p);
}

static void prints_a_table(void **state)
{
    AUTOBUF struct buf out = BUF_INIT(1 << 20);
    make_report(&out, cpu_text, 20, 0, false);
    assert_string_equal(
        buf_str(&out),
        "CPU profile: 2.00 s, 4 samples, idle 50.0 %.\n"
        "100 % below is the time that was not idle, 1.00 s: gc 10.0 %, program 0.0 %.\n\n"
        "    SELF  SELF %    TOTAL TOTAL %   FUNCTION             LOCATION\n"
        "600.0 ms   60.0% 600.0 ms   60.0%   (anonymous)          node:internal/\"q\":1\n"
        "300.0 ms   30.0% 900.0 ms   90.0%   handle               lib/a b.js:10\n"
        "100.0 ms   10.0% 100.0 ms   10.0%   (garbage collector)\n");
}

static void says_how_many_rows_are_left_out(void **state)
{
    AUTOBUF struct buf out = BUF_INIT(1 << 20);
    make_report(&out, cpu_text, 1, 0, false);
    assert_non_null(strstr(buf_str(&out), "\n1 of 3 functions; -n N shows more.\n"));
    assert_null(strstr(buf_str(&out), "handle"));
}

static void fits_the_width_of_a_terminal(void **state)
{
    for (unsigned width = 56; width < 120; width++) {
        AUTOBUF struct buf out = BUF_INIT(1 << 20);
        make_report(&out, cpu_text, 20, width, false);
        const char *line = strstr(buf_str(&out), "    SELF");
        for (; *line; line = strchr(line, '\n') + 1) {
            char copy[256];
            (void)snprintf(copy, sizeof copy, "%.*s", (int)strcspn(line, "\n"), line);
            assert_in_range(place_width(copy), 0, width);
        }
    }
    AUTOBUF struct buf out = BUF_INIT(1 << 20);
    make_report(&out, cpu_text, 20, 60, false);
    assert_non_null(strstr(buf_str(&out), "(anonymous)   …nal/\"q\":1\n"));
    assert_non_null(strstr(buf_str(&out), "(garbage co…\n"));
}

static void prints_json(void **state)
{
    AUTOBUF struct buf out = BUF_INIT(1 << 20);
    make_report(&out, cpu_text, 2, 0, true);
    assert_string_equal(
        buf_str(&out),
        "{\"version\":1,\"kind\":\"cpu\",\"unit\":\"us\",\"duration_us\":2000000,\"samples\":4,"
        "\"all\":2000000,\"idle\":1000000,\"program\":0,\"gc\":100000,\"functions\":["
        "{\"function\":\"\",\"url\":\"node:internal/"
        "\\\"q\\\"\",\"line\":1,\"column\":0,\"role\":\"\","
        "\"self\":600000,\"total\":600000},"
        "{\"function\":\"handle\",\"url\":\"file:///srv/app/lib/"
        "a%20b.js\",\"line\":10,\"column\":5,\"role\":\"\","
        "\"self\":300000,\"total\":900000}]}\n");
}

static void a_heap_profile_counts_bytes(void **state)
{
    static const char text[] =
        "{\"head\":{\"callFrame\":{\"functionName\":\"(root)\"},\"children\":["
        "{\"callFrame\":{\"functionName\":\"f\"},\"selfSize\":3145728},"
        "{\"callFrame\":{\"functionName\":\"g\"},\"selfSize\":1048575}]}}";
    AUTOBUF struct buf out = BUF_INIT(1 << 20), json = BUF_INIT(1 << 20);
    make_report(&out, text, 20, 0, false);
    assert_non_null(strstr(buf_str(&out), "Heap profile: 4.0 MB sampled"));
    assert_non_null(strstr(buf_str(&out), "   3.0 MB   75.0%    3.0 MB   75.0%   f\n"));
    assert_non_null(strstr(buf_str(&out), "1024.0 KB   25.0% 1024.0 KB   25.0%   g\n"));
    make_report(&json, text, 20, 0, true);
    assert_non_null(
        strstr(buf_str(&json), "\"kind\":\"heap\",\"unit\":\"bytes\",\"duration_us\":0,"));
    assert_non_null(strstr(buf_str(&json), "\"self\":3145728,\"total\":3145728"));
}

static void a_profile_without_time_divides_by_nothing(void **state)
{
    static const char text[] =
        "{\"nodes\":[{\"id\":1,\"callFrame\":{\"functionName\":\"f\"}}],\"samples\":[],"
        "\"timeDeltas\":[],\"startTime\":3,\"endTime\":3}";
    AUTOBUF struct buf out = BUF_INIT(1 << 20);
    make_report(&out, text, 20, 0, false);
    assert_non_null(strstr(buf_str(&out), "CPU profile: 0.0 ms, 0 samples, idle 0.0 %."));
    assert_non_null(strstr(buf_str(&out), "  0.0 ms    0.0%   0.0 ms    0.0%   f\n"));
}

static void check_location(const char *url, uint32_t line, const char *cwd, const char *expected)
{
    AUTOBUF struct buf out = BUF_INIT(1000);
    struct function f = {.name = "", .url = url, .line = line};
    assert_int_equal(place_add_location(&out, &f, cwd), 0);
    assert_string_equal(buf_str(&out), expected);
}

static void locations_are_short_and_harmless(void **state)
{
    check_location("", 7, "/a", "");
    check_location("file:///a/b.js", 0, "/x", "/a/b.js");
    check_location("file:///a/b.js", 3, "/a", "b.js:3");
    check_location("/a/b.js", 3, "/a", "b.js:3");
    check_location("/ab/c.js", 3, "/a", "/ab/c.js:3");
    check_location("/a/", 3, "/a", "/a/:3");
    check_location("/a/b.js", 3, "/", "/a/b.js:3");
    check_location("node:fs", 3, "/a", "node:fs:3");
    check_location("file:///a/%62%c3%a9%0a%00%zz%", 1, "/a", "b\xc3\xa9?%00%zz%:1");
    check_location("file:///%ff\x1b[2J\xc2\x9b", 0, "/a", "/??[2J?");
}

static void cuts_texts_by_characters(void **state)
{
    const char *text = "a\xc3\xa9\xe2\x82\xac z";
    assert_int_equal(place_width(text), 5);
    assert_string_equal(place_tail(text, 3), "\xe2\x82\xac z");
    assert_string_equal(place_tail(text, 9), text);
    assert_string_equal(place_tail(text, 0), "");
    assert_int_equal(place_head_end(text, 2) - text, 3);
    assert_int_equal(place_head_end(text, 9) - text, 8);
}

static void json_strings_are_escaped(void **state)
{
    AUTOBUF struct buf out = BUF_INIT(100), full = BUF_INIT(4);
    assert_int_equal(buf_add_json_string(&out, "a\"\\\n\r\t\x01\x1f\x7f\xc3\xa9\xff\xe2\x82"), 0);
    assert_string_equal(buf_str(&out), "\"a\\\"\\\\\\n\\r\\t\\u0001\\u001f\x7f\xc3\xa9?"
                                       "??\"");
    buf_reset(&out);
    assert_int_equal(buf_add_json_string(&out, ""), 0);
    assert_string_equal(buf_str(&out), "\"\"");
    assert_int_equal(buf_add_json_string(&full, "abc"), ERR_TOO_BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_a_table),
        cmocka_unit_test(says_how_many_rows_are_left_out),
        cmocka_unit_test(fits_the_width_of_a_terminal),
        cmocka_unit_test(prints_json),
        cmocka_unit_test(a_heap_profile_counts_bytes),
        cmocka_unit_test(a_profile_without_time_divides_by_nothing),
        cmocka_unit_test(locations_are_short_and_harmless),
        cmocka_unit_test(cuts_texts_by_characters),
        cmocka_unit_test(json_strings_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
