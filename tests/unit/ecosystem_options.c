#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ecosystem/config_error.h"
#include "ecosystem/option_set.h"
#include "ecosystem/options.h"
#include "ecosystem/spec.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"

static void set(struct app_spec *spec, const char *key, const char *text)
{
    struct config_error error;
    if (app_spec_set(spec, key, text, &error) < 0)
        fail_msg("%s: %s", error.key, error.text);
}

static void refuse(const char *key, const char *text, const char *message)
{
    struct config_error error;
    char space[CONFIG_ERROR_TEXT];
    AUTOSPEC struct app_spec spec;
    app_spec_init(&spec);
    assert_int_equal(app_spec_set(&spec, key, text, &error), ERR_INVALID);
    assert_string_equal(config_error_format(&error, space), message);
}

static void sets_single_options_from_text(void **state)
{
    AUTOSPEC struct app_spec spec;
    app_spec_init(&spec);
    set(&spec, "instances", "4");
    set(&spec, "autorestart", "false");
    set(&spec, "profiling", "false");
    set(&spec, "killTimeout", "2s");
    set(&spec, "args", "-x \"a b\"");
    set(&spec, "name", "api");
    set(&spec, "name", "web");
    set(&spec, "env", "A=1");
    set(&spec, "env", "B==");
    set(&spec, "env", "A=2");
    assert_int_equal(spec.instances, 4);
    assert_false(spec.autorestart);
    assert_int_equal(spec.profiling, PROFILING_OFF);
    assert_int_equal(spec.kill_timeout_ms, 2000);
    assert_int_equal(spec.args.count, 2);
    assert_string_equal(spec.name, "web");
    assert_int_equal(spec.env.count, 2);
    assert_string_equal(env_get(&spec.env, "A"), "2");
    assert_string_equal(env_get(&spec.env, "B"), "=");
}

static void refuses_bad_text_in_one_sentence(void **state)
{
    refuse("instnces", "4",
           "key \"instnces\": there is no such setting; did you mean \"instances\"?");
    refuse("instances", "four", "key \"instances\": expected a number or \"max\", found \"four\"");
    refuse("autorestart", "no", "key \"autorestart\": expected true or false, found \"no\"");
    refuse("env", "A", "key \"env\": expected NAME=value, found \"A\"");
    refuse("env", "=A", "key \"env\": expected NAME=value, found \"=A\"");
    refuse("cwd", "\xff", "key \"cwd\": is not UTF-8");
    refuse("min_uptime", "8d",
           "key \"min_uptime\": expected a time from 0 to 604800000 ms, found \"8d\"");
    refuse("name", "", "key \"name\": a name must not be empty");
}

static void works_out_instances(void **state)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    AUTOSPEC struct app_spec spec;
    app_spec_init(&spec);
    set(&spec, "instances", "max");
    assert_int_equal(spec.instances, cpus);
    set(&spec, "instances", "0");
    assert_int_equal(spec.instances, cpus);
    set(&spec, "instances", "-1");
    assert_int_equal(spec.instances, cpus > 1 ? cpus - 1 : 1);
    set(&spec, "instances", "-9223372036854775808");
    assert_int_equal(spec.instances, 1);
    set(&spec, "instances", "512");
    assert_int_equal(spec.instances, 512);
    refuse("instances", "9223372036854775807",
           "key \"instances\": expected at most 512 instances, found \"9223372036854775807\"");
}

static void leaves_the_field_as_it_was_on_error(void **state)
{
    struct config_error error;
    AUTOSPEC struct app_spec spec;
    app_spec_init(&spec);
    set(&spec, "args", "a b");
    set(&spec, "name", "x");
    assert_true(app_spec_set(&spec, "args", "a 'b", &error) < 0);
    assert_true(app_spec_set(&spec, "name", "a/b", &error) < 0);
    assert_int_equal(spec.args.count, 2);
    assert_string_equal(spec.name, "x");
}

static void refuses_what_the_kernel_would_not_take(void **state)
{
    AUTOBUF struct buf text = BUF_INIT(1 << 20);
    buf_addstr(&text, "A=");
    while (text.len < LIMIT_STRING)
        buf_addc(&text, 'x');
    refuse("env", buf_str(&text),
           "key \"env\": has 131072 bytes, and one string may have at most 131071");
    buf_reset(&text);
    for (unsigned i = 0; i <= LIMIT_LIST; i++)
        buf_addstr(&text, "x ");
    refuse("args", buf_str(&text), "key \"args\": has more than 4096 entries");
}

static void finds_twins_and_aliases_with_their_rank(void **state)
{
    unsigned rank;
    assert_string_equal(option_find("kill_timeout", &rank)->key, "kill_timeout");
    assert_int_equal(rank, 0);
    assert_string_equal(option_find("killTimeout", &rank)->key, "kill_timeout");
    assert_int_equal(rank, 1);
    assert_string_equal(option_find("interpreterArgs", &rank)->key, "node_args");
    assert_int_equal(rank, 3);
    assert_string_equal(option_find("command", &rank)->key, "script");
    assert_null(option_find("killtimeout", NULL));
    assert_null(option_find("kill_timeou", NULL));
    assert_null(option_find("", NULL));
}

static void has_no_name_twice_in_the_table(void **state)
{
    char space[OPTION_EXPECTED_TEXT];
    for (const struct option *o = options; o < options + option_count; o++) {
        assert_ptr_equal(option_find(o->key, NULL), o);
        assert_null(ignored_key_find(o->key));
        for (int i = 0; i < OPTION_ALIASES && o->aliases[i]; i++) {
            assert_ptr_equal(option_find(o->aliases[i], NULL), o);
            assert_null(ignored_key_find(o->aliases[i]));
        }
        size_t len = strlen(o->help);
        assert_true(len > 10 && o->help[len - 1] == '.');
        assert_true(option_expected(o, space)[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_single_options_from_text),
        cmocka_unit_test(refuses_bad_text_in_one_sentence),
        cmocka_unit_test(works_out_instances),
        cmocka_unit_test(leaves_the_field_as_it_was_on_error),
        cmocka_unit_test(refuses_what_the_kernel_would_not_take),
        cmocka_unit_test(finds_twins_and_aliases_with_their_rank),
        cmocka_unit_test(has_no_name_twice_in_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
