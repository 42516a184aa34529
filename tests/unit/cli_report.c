#include "supervisor/cli/report.h"

#include "tests/unit/support.h"

#include "lib/base/json.h"

static void what_may_be_secret_becomes_its_size(void **state)
{
    AUTOJSON json_t *j = json_loads(
        "{\"list\":{\"apps\":[{\"name\":\"a\",\"env\":{\"A\":\"x\",\"B\":\"y\"},\"spec\":{\"args\":"
        "[\"--pw=x\"],"
        "\"script\":\"/s\"},\"error\":\"gave up; stderr ended with:\\nsecret\"}]},"
        "\"why\":[{\"exits\":[{\"code\":1,\"stderr\":\"secret\"}],\"error\":\"exited\"}]}",
        0, NULL);
    AUTOJSON json_t *expected = json_loads(
        "{\"list\":{\"apps\":[{\"name\":\"a\",\"env\":2,\"spec\":{\"args\":1,\"script\":\"/s\"},"
        "\"error\":\"gave "
        "up\"}]},\"why\":[{\"exits\":[{\"code\":1,\"stderr\":6}],\"error\":\"exited\"}]}",
        0, NULL);
    assert_non_null(j);
    report_strip(j);
    assert_true(json_equal(j, expected));
}

static void what_is_nothing_stays(void **state)
{
    AUTOJSON json_t *text = json_string("env");
    report_strip(text);
    report_strip(NULL);
    assert_string_equal(json_string_value(text), "env");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_be_secret_becomes_its_size),
        cmocka_unit_test(what_is_nothing_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
