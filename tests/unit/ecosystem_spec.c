#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "ecosystem/config_error.h"
#include "ecosystem/option_set.h"
#include "ecosystem/spec.h"
#include "lib/base/auto.h"

static void has_the_documented_defaults(void **state)
{
    AUTOSPEC struct app_spec spec;
    app_spec_init(&spec);
    assert_null(spec.name);
    assert_null(spec.cwd);
    assert_null(spec.interpreter);
    assert_int_equal(spec.instances, 1);
    assert_true(spec.autorestart);
    assert_int_equal(spec.restart_delay_ms, 0);
    assert_int_equal(spec.max_restarts, 16);
    assert_int_equal(spec.min_uptime_ms, 1000);
    assert_int_equal(spec.kill_timeout_ms, 1600);
    assert_int_equal(spec.log_max_size, 32 << 20);
    assert_int_equal(spec.log_rotate_every_ms, 24 * 3600 * 1000);
    assert_int_equal(spec.log_keep, 10);
    assert_int_equal(spec.profiling, PROFILING_ON_DEMAND);
    assert_false(spec.inspector);
    assert_true(spec.env_inherit);
}

static void fill(struct app_spec *spec)
{
    struct config_error error;
    app_spec_init(spec);
    assert_int_equal(app_spec_set(spec, "name", "api", &error), 0);
    assert_int_equal(app_spec_set(spec, "script", "a.js", &error), 0);
    assert_int_equal(app_spec_set(spec, "args", "a b", &error), 0);
    assert_int_equal(app_spec_set(spec, "env", "A=1", &error), 0);
    assert_int_equal(app_spec_set(spec, "instances", "3", &error), 0);
    strlist_add(&app_spec_env_block(spec, "production")->env, "A=2");
    spec->line = 7;
}

static void copies_are_equal_and_independent(void **state)
{
    AUTOSPEC struct app_spec a, b = {0};
    fill(&a);
    app_spec_copy(&b, &a);
    assert_true(app_spec_equal(&a, &b));
    assert_int_equal(b.line, 7);
    b.line = 8;
    assert_true(app_spec_equal(&a, &b));
    env_set(&b.env, "A", "3");
    assert_false(app_spec_equal(&a, &b));
    assert_string_equal(env_get(&a.env, "A"), "1");
    app_spec_copy(&b, &a);
    assert_true(app_spec_equal(&a, &b));
    strlist_add(&app_spec_env_block(&b, "production")->env, "B=1");
    assert_false(app_spec_equal(&a, &b));
}

static void a_change_of_any_kind_of_field_is_seen(void **state)
{
    static const char *const changes[][2] = {
        {"name", "x"},
        {"args", "a"},
        {"env", "B=1"},
        {"instances", "2"},
        {"autorestart", "false"},
        {"kill_timeout", "1"},
        {"log_max_size", "5G"},
        {"log_rotate_every", "0"},
        {"log_keep", "3"},
        {"profiling", "false"},
        {"cwd", "/"},
        {"max_restarts", "1"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        struct config_error error;
        AUTOSPEC struct app_spec a, b;
        fill(&a);
        fill(&b);
        assert_true(app_spec_equal(&a, &b));
        assert_int_equal(app_spec_set(&b, changes[i][0], changes[i][1], &error), 0);
        assert_false(app_spec_equal(&a, &b));
    }
}

static void clearing_twice_is_harmless(void **state)
{
    struct app_spec spec;
    fill(&spec);
    app_spec_clear(&spec);
    app_spec_clear(&spec);
    assert_null(spec.name);
}

static void selects_a_block_once(void **state)
{
    AUTOSPEC struct app_spec spec;
    fill(&spec);
    assert_true(app_spec_select_env(&spec, "production", NULL));
    assert_string_equal(env_get(&spec.env, "A"), "2");
    AUTOFREE char *nearest = NULL;
    assert_false(app_spec_select_env(&spec, "production", &nearest));
    assert_null(nearest);
}

static void names_the_block_that_was_meant(void **state)
{
    static const char *const cases[][2] = {
        {"prod", "production"}, {"prodution", "production"}, {"staging", NULL}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTOSPEC struct app_spec spec;
        AUTOFREE char *nearest = NULL;
        fill(&spec);
        assert_false(app_spec_select_env(&spec, cases[i][0], &nearest));
        assert_true(str_eq(nearest, cases[i][1]));
        assert_string_equal(env_get(&spec.env, "A"), "1");
    }
}

static void knows_good_and_bad_names(void **state)
{
    static const char *const good[] = {"a", "api 1", "ä", "-", "0", "ALL", "a.b"};
    static const char *const bad[] = {"", "all", "a/b", "a\nb", "\x7f", "\xc2\x85", "\xff"};
    char space[NAME_PROBLEM_TEXT], longest[130];
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_null(app_name_problem(good[i], space));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_non_null(app_name_problem(bad[i], space));
    memset(longest, 'x', sizeof longest);
    longest[128] = '\0';
    assert_null(app_name_problem(longest, space));
    longest[128] = 'x';
    longest[129] = '\0';
    assert_string_equal(app_name_problem(longest, space),
                        "a name has at most 128 bytes, this one 129");
}

static void derives_names_from_scripts(void **state)
{
    static const struct {
        const char *script, *name;
        bool is_command;
    } cases[] = {
        {"server.js", "server", false}, {"a/b.c/my app.tar.gz", "my app.tar", false},
        {"bin/www", "www", false},      {".hidden", ".hidden", false},
        {"npm start", "npm", true},     {"A=1 B=2 ./run.sh --x", "run", true},
        {"'a b.sh' x", "a b", true},    {"A=1", "A=1", true},
        {"it's", "it's", true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTOFREE char *name = app_name_from_script(cases[i].script, cases[i].is_command);
        assert_string_equal(name, cases[i].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_the_documented_defaults),
        cmocka_unit_test(copies_are_equal_and_independent),
        cmocka_unit_test(a_change_of_any_kind_of_field_is_seen),
        cmocka_unit_test(clearing_twice_is_harmless),
        cmocka_unit_test(selects_a_block_once),
        cmocka_unit_test(names_the_block_that_was_meant),
        cmocka_unit_test(knows_good_and_bad_names),
        cmocka_unit_test(derives_names_from_scripts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
