#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/base/json.h"
#include "supervisor/cli/capture_select.h"

/* api-0 and api-1 run, api-2 is stopped. */
static json_t *three(void)
{
    return json_pack("[{s:s,s:i,s:i},{s:s,s:i,s:i},{s:s,s:i,s:i}]", "name", "api", "instance", 0,
                     "pid", 100, "name", "api", "instance", 1, "pid", 200, "name", "api",
                     "instance", 2, "pid", 0);
}

static size_t chosen(const json_t *apps, int64_t instance, int64_t owner, int64_t *ret_first)
{
    const struct capture_choice choice = {instance, owner};
    AUTOJSON json_t *result = capture_select(apps, &choice);
    *ret_first = json_get_int(json_array_get(result, 0), "instance", -1);
    return json_array_size(result);
}

static void takes_all_instances_that_run(void **state)
{
    int64_t first;
    AUTOJSON json_t *apps = three();
    assert_int_equal(chosen(apps, -1, 0, &first), 2);
    assert_int_equal(first, 0);
}

static void takes_the_one_asked_for(void **state)
{
    int64_t first;
    AUTOJSON json_t *apps = three();
    assert_int_equal(chosen(apps, 1, 0, &first), 1);
    assert_int_equal(first, 1);
    assert_int_equal(chosen(apps, 7, 0, &first), 0);
}

static void takes_the_one_that_a_pid_belongs_to(void **state)
{
    int64_t first;
    AUTOJSON json_t *apps = three();
    assert_int_equal(chosen(apps, -1, 200, &first), 1);
    assert_int_equal(first, 1);
    assert_int_equal(chosen(apps, 0, 200, &first), 0);
}

static void one_that_does_not_run_is_left_to_the_supervisor(void **state)
{
    int64_t first;
    AUTOJSON json_t *apps = three();
    assert_int_equal(chosen(apps, 2, 0, &first), 1);
    assert_int_equal(first, 2);
    AUTOJSON json_t *stopped =
        json_pack("[{s:i,s:i},{s:i,s:i}]", "instance", 0, "pid", 0, "instance", 1, "pid", 0);
    assert_int_equal(chosen(stopped, -1, 0, &first), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_all_instances_that_run),
        cmocka_unit_test(takes_the_one_asked_for),
        cmocka_unit_test(takes_the_one_that_a_pid_belongs_to),
        cmocka_unit_test(one_that_does_not_run_is_left_to_the_supervisor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
