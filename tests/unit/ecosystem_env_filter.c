#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "ecosystem/env_filter.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

static void drops_what_its_patterns_name(void **state)
{
    AUTOSTRLIST struct strlist none = {0}, all = {0}, one = {0}, parts = {0};
    strlist_add(&all, "*");
    strlist_add(&one, "HOME");
    env_filter_add_part(&parts, "npm_");
    env_filter_add_part(&parts, "SECRET");
    assert_false(env_filter_drops(&none, "HOME"));
    assert_true(env_filter_drops(&all, "HOME"));
    assert_true(env_filter_drops(&one, "HOME"));
    assert_false(env_filter_drops(&one, "HOMEPATH"));
    assert_true(env_filter_drops(&parts, "npm_config_x"));
    assert_true(env_filter_drops(&parts, "MY_SECRET_KEY"));
    assert_false(env_filter_drops(&parts, "NPM_CONFIG"));
}

static void takes_variables_out_by_their_name_alone(void **state)
{
    AUTOSTRLIST struct strlist env = {0}, parts = {0};
    strlist_add(&env, "A=npm_x");
    strlist_add(&env, "npm_x=1");
    strlist_add(&env, "B=2");
    env_filter_add_part(&parts, "npm_");
    env_filter_apply(&parts, &env);
    assert_int_equal(env.count, 2);
    assert_string_equal(env.items[0], "A=npm_x");
    assert_string_equal(env.items[1], "B=2");
}

static void is_said_as_in_a_file(void **state)
{
    AUTOSTRLIST struct strlist none = {0}, one = {0};
    strlist_add(&one, "HOME");
    AUTOJSON json_t *off = env_filter_to_json(&none), *name = env_filter_to_json(&one);
    assert_true(json_is_false(off));
    assert_string_equal(json_string_value(name), "HOME");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drops_what_its_patterns_name),
        cmocka_unit_test(takes_variables_out_by_their_name_alone),
        cmocka_unit_test(is_said_as_in_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
