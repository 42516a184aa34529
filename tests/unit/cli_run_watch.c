#include "supervisor/cli/run_watch.h"

#include "tests/unit/support.h"

#include "lib/base/json.h"

static json_t *read_list(const char *text)
{
    json_t *list = json_loads(text, 0, NULL);
    assert_non_null(list);
    return list;
}

static void assert_watch(const char *text, bool alive, int code)
{
    AUTOJSON json_t *list = read_list(text);
    assert_int_equal(run_watch_alive(list), alive);
    assert_int_equal(run_watch_code(list), code);
}

static void what_runs_or_will_run_is_waited_for(void **state)
{
    assert_watch("[{\"status\":\"stopped\"},{\"status\":\"online\"}]", true, 0);
    assert_watch("[{\"status\":\"waiting restart\",\"exit\":{\"code\":3}}]", true, 3);
    assert_watch("[{\"status\":\"launching\"}]", true, 0);
    assert_watch("[{\"status\":\"stopping\"}]", true, 0);
    assert_watch("[]", false, 0);
}

static void the_code_is_that_of_the_first_that_failed(void **state)
{
    assert_watch("[{\"status\":\"stopped\",\"exit\":{\"code\":0}}]", false, 0);
    assert_watch("[{\"status\":\"stopped\",\"exit\":{\"code\":0}},{\"status\":\"stopped\",\"exit\":"
                 "{\"code\":7}},"
                 "{\"status\":\"errored\",\"exit\":{\"code\":8}}]",
                 false, 7);
    assert_watch("[{\"status\":\"stopped\",\"exit\":{\"signal\":9}}]", false, 137);
    assert_watch("[{\"status\":\"errored\"}]", false, 1);
    assert_watch("[{\"status\":\"errored\",\"exit\":{\"code\":0}}]", false, 1);
    assert_watch("[{\"status\":\"stopped\"}]", false, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_runs_or_will_run_is_waited_for),
        cmocka_unit_test(the_code_is_that_of_the_first_that_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
