#include "remote/capture_record.h"

#include "tests/unit/support.h"

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "remote/foreign.h"

#define HEAD                                                                                       \
    "\"id\":\"01890a5d-ac96-774b-bcce-b302099a8057\",\"kind\":\"cpu\",\"app\":\"web\","            \
    "\"instance\":2"

static struct capture_record r;
static char why[256];

static int take(const char *text)
{
    capture_record_clear(&r);
    AUTOJSON json_t *j = json_loads(text, 0, NULL);
    assert_non_null(j);
    return capture_record_take(j, &r, why, sizeof why);
}

static int tear_down(void **state)
{
    capture_record_clear(&r);
    return 0;
}

static void assert_facts(const char *text)
{
    AUTOJSON json_t *wanted = json_loads(text, 0, NULL);
    AUTOFREE char *got = json_dumps(r.facts, 0);
    if (!json_equal(wanted, r.facts))
        fail_msg("%s is not %s", got, text);
}

static void takes_the_fields_of_the_protocol(void **state)
{
    assert_int_equal(
        take("{" HEAD ",\"state\":\"done\",\"pid\":12,\"node_version\":\"20.1.0\",\"bytes\":5,"
             "\"measured_us\":7,\"reason\":\"app_exit\",\"requester\":\"root\",\"created_ms\":1,"
             "\"phase\":\"stored\",\"phases\":[{\"phase\":\"open\",\"at_ms\":3}],\"env\":{\"A\":1},"
             "\"warnings\":[\"size_differs\"],\"error\":{\"name\":\"EIO\",\"message\":\"m\",\"x\":"
             "1}}"),
        0);
    assert_int_equal(r.state, CAPTURE_DONE);
    assert_int_equal(r.instance, 2);
    assert_string_equal(r.app, "web");
    assert_facts(
        "{\"state\":\"done\",\"pid\":12,\"node_version\":\"20.1.0\",\"bytes\":5,\"measured_us\":7,"
        "\"reason\":\"app_exit\",\"phase\":\"stored\",\"phases\":[{\"phase\":\"open\",\"at_ms\":3}]"
        ","
        "\"warnings\":[\"size_differs\"],\"error\":{\"name\":\"EIO\",\"message\":\"m\"}}");
}

static void refuses_what_does_not_say_whose_it_is(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"id\":\"x\",\"kind\":\"cpu\",\"app\":\"web\",\"instance\":2,\"state\":\"done\"}",
        "{" HEAD "}",
        "{" HEAD ",\"state\":\"finished\"}",
        "{" HEAD ",\"state\":3}",
        "{\"id\":\"01890a5d-ac96-774b-bcce-b302099a8057\",\"kind\":\"\",\"app\":\"web\","
        "\"instance\":2,\"state\":\"done\"}",
        "{\"id\":\"01890a5d-ac96-774b-bcce-b302099a8057\",\"kind\":\"cpu\",\"app\":7,\"instance\":"
        "2,\"state\":\"done\"}",
        "{\"id\":\"01890a5d-ac96-774b-bcce-b302099a8057\",\"kind\":\"cpu\",\"app\":\"web\","
        "\"instance\":-1,\"state\":\"done\"}",
        "{\"id\":\"01890a5d-ac96-774b-bcce-b302099a8057\",\"kind\":\"cpu\",\"app\":\"web\","
        "\"instance\":1.5,\"state\":\"done\"}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(take(bad[i]), ERR_INVALID);
        assert_true(strlen(why) > 20);
    }
}

static void leaves_out_what_does_not_fit(void **state)
{
    assert_int_equal(
        take("{" HEAD ",\"state\":\"running\",\"pid\":-1,\"node_version\":{},\"bytes\":\"5\","
             "\"phase\":\"../x\",\"phases\":[{\"phase\":\"A\",\"at_ms\":3},7,{\"phase\":\"open\"}],"
             "\"warnings\":[\"Has Space\",3],\"error\":\"text\"}"),
        0);
    assert_facts("{\"state\":\"running\",\"phases\":[]}");
}

static void hides_control_characters(void **state)
{
    assert_int_equal(take("{" HEAD ",\"state\":\"failed\",\"error\":{\"name\":\"EIO\",\"message\":"
                          "\"a\\u001b[31mb\\u009bc\\nd\\u00e9\"}}"),
                     0);
    assert_string_equal(json_get_string(json_object_get(r.facts, "error"), "message", ""),
                        "a?[31mb?c?d\xc3\xa9");
}

static void bounds_every_list(void **state)
{
    AUTOJSON json_t *j = json_loads("{" HEAD ",\"state\":\"running\"}", 0, NULL);
    json_t *phases = json_array(), *warnings = json_array();
    for (int i = 0; i < 1000; i++) {
        (void)json_array_append_new(phases,
                                    json_pack("{s:s,s:i}", "phase", "open", "at_ms", i + 1));
        (void)json_array_append_new(warnings, json_string("size_differs"));
    }
    (void)json_object_set_new(j, "phases", phases);
    (void)json_object_set_new(j, "warnings", warnings);
    assert_int_equal(capture_record_take(j, &r, why, sizeof why), 0);
    assert_int_equal(json_array_size(json_object_get(r.facts, "phases")), RECORD_PHASES_MAX);
    assert_int_equal(json_array_size(json_object_get(r.facts, "warnings")), RECORD_WARNINGS_MAX);
}

static void knows_which_ends_have_a_result(void **state)
{
    assert_int_equal(take("{" HEAD ",\"state\":\"partial\"}"), 0);
    assert_true(capture_record_has_result(r.state, r.facts));
    assert_true(capture_record_has_result(CAPTURE_DONE, NULL));
    assert_false(capture_record_has_result(CAPTURE_FAILED, r.facts));
    assert_int_equal(take("{" HEAD ",\"state\":\"done\",\"warnings\":[\"result_missing\"]}"), 0);
    assert_false(capture_record_has_result(r.state, r.facts));
}

static void copies_are_cut_between_characters(void **state)
{
    char out[6];
    foreign_copy(out, sizeof out, "abc\xe2\x82\xac");
    assert_string_equal(out, "abc");
    foreign_copy(out, sizeof out, "ab\xe2\x82\xac");
    assert_string_equal(out, "ab\xe2\x82\xac");
    foreign_copy(out, sizeof out, "\xff\x80xyz123");
    assert_string_equal(out, "??xyz");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(takes_the_fields_of_the_protocol),
        TEST(refuses_what_does_not_say_whose_it_is),
        TEST(leaves_out_what_does_not_fit),
        TEST(hides_control_characters),
        TEST(bounds_every_list),
        TEST(knows_which_ends_have_a_result),
        TEST(copies_are_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
