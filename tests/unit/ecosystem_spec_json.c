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
#include "ecosystem/spec_json.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"

static const char good[] = "{\"name\":\"api\",\"script\":\"/s/a.js\",\"cwd\":\"/s\","
                           "\"interpreter\":\"/usr/bin/node\"}";

static void set(struct app_spec *spec, const char *key, const char *text)
{
    struct config_error error;
    assert_int_equal(app_spec_set(spec, key, text, &error), 0);
}

/* The good object with one member replaced by `member`; "" removes `key`. */
static void refuse(const char *key, const char *value, const char *message)
{
    AUTOJSON json_t *j = json_loads(good, 0, NULL);
    json_object_del(j, key);
    if (*value)
        json_object_set_new(j, key, json_loads(value, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL));
    struct app_spec spec;
    char text[256];
    assert_int_equal(app_spec_from_json(j, &spec, text, sizeof text), ERR_INVALID);
    assert_string_equal(text, message);
}

static void comes_back_as_it_was(void **state)
{
    AUTOSPEC struct app_spec spec, back = {0};
    char text[256];
    app_spec_init(&spec);
    set(&spec, "name", "api");
    set(&spec, "script", "/s/a.js");
    set(&spec, "cwd", "/s");
    set(&spec, "interpreter", "none");
    set(&spec, "args", "a 'b c' ä");
    set(&spec, "node_args", "--x");
    set(&spec, "env", "A=1");
    set(&spec, "env", "B=x=y");
    set(&spec, "instances", "5");
    set(&spec, "autorestart", "false");
    set(&spec, "restart_delay", "3s");
    set(&spec, "max_restarts", "3");
    set(&spec, "min_uptime", "5");
    set(&spec, "kill_timeout", "1m");
    set(&spec, "log_max_size", "5G");
    set(&spec, "log_rotate_every", "12h");
    set(&spec, "log_keep", "3");
    set(&spec, "inspector", "true");
    set(&spec, "env_inherit", "false");
    set(&spec, "exec_mode", "cluster");
    static const char *const profiling[] = {"on-demand", "false", "always"};
    for (size_t i = 0; i < ARRAY_SIZE(profiling); i++) {
        set(&spec, "profiling", profiling[i]);
        AUTOJSON json_t *j = app_spec_to_json(&spec);
        app_spec_clear(&back);
        assert_int_equal(app_spec_from_json(j, &back, text, sizeof text), 0);
        assert_true(app_spec_equal(&spec, &back));
    }
}

static void has_the_keys_of_the_table(void **state)
{
    AUTOSPEC struct app_spec spec;
    app_spec_init(&spec);
    set(&spec, "kill_timeout", "2s");
    set(&spec, "env", "A=1");
    AUTOJSON json_t *j = app_spec_to_json(&spec);
    assert_int_equal(json_get_int(j, "kill_timeout", 0), 2000);
    assert_string_equal(json_get_string(json_object_get(j, "env"), "A", ""), "1");
    assert_string_equal(json_get_string(j, "profiling", ""), "on-demand");
    assert_null(json_object_get(j, "name"));
}

static void fills_defaults_and_ignores_unknown_members(void **state)
{
    AUTOJSON json_t *j = json_loads(good, 0, NULL);
    json_object_set_new(j, "from_the_future", json_integer(1));
    AUTOSPEC struct app_spec spec = {0};
    char text[256];
    assert_int_equal(app_spec_from_json(j, &spec, text, sizeof text), 0);
    assert_int_equal(spec.max_restarts, 16);
    assert_int_equal(spec.instances, 1);
}

static void refuses_what_is_not_resolved(void **state)
{
    refuse("name", "", "key \"name\": missing");
    refuse("script", "", "app \"api\": key \"script\": missing");
    refuse("cwd", "", "app \"api\": key \"cwd\": missing");
    refuse("interpreter", "", "app \"api\": key \"interpreter\": missing");
    refuse("script", "\"a.js\"",
           "app \"api\": key \"script\": expected an absolute path, found \"a.js\"");
    refuse("cwd", "\"./x\"", "app \"api\": key \"cwd\": expected an absolute path, found \"./x\"");
    refuse("interpreter", "\"node\"",
           "app \"api\": key \"interpreter\": expected an absolute path, found \"node\"");
}

static void checks_types_and_ranges_again(void **state)
{
    refuse("name", "\"a/b\"",
           "app \"a/b\": key \"name\": a name must not contain '/', because log files are named "
           "after it");
    refuse("name", "5", "key \"name\": expected a string, found 5");
    refuse("cwd", "\"/a\\u0000b\"", "app \"api\": key \"cwd\": contains a NUL character");
    refuse("instances", "1000",
           "app \"api\": key \"instances\": expected at most 512 instances, found 1000");
    refuse("max_restarts", "1.5",
           "app \"api\": key \"max_restarts\": expected a whole number, found 1.5");
    refuse("out_file", "\"x.log\"",
           "app \"api\": key \"out_file\": expected an absolute path, found \"x.log\"");
    refuse("env_file", "[\".env\"]",
           "app \"api\": key \"env_file\": expected an absolute path, found \".env\"");
    refuse("env", "{\"A\":\"\\u0000\"}", "app \"api\": key \"env.A\": contains a NUL character");
    refuse("args", "[null]",
           "app \"api\": key \"args\": expected only strings in the list, found null");
    refuse("autorestart", "0", "app \"api\": key \"autorestart\": expected true or false, found 0");
}

static void refuses_what_is_no_object(void **state)
{
    AUTOJSON json_t *j = json_array();
    struct app_spec spec;
    char text[16];
    assert_int_equal(app_spec_from_json(j, &spec, text, sizeof text), ERR_INVALID);
    assert_string_equal(text, "an app must …");
    assert_int_equal(app_spec_from_json(NULL, &spec, text, sizeof text), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_as_it_was),
        cmocka_unit_test(has_the_keys_of_the_table),
        cmocka_unit_test(fills_defaults_and_ignores_unknown_members),
        cmocka_unit_test(refuses_what_is_not_resolved),
        cmocka_unit_test(checks_types_and_ranges_again),
        cmocka_unit_test(refuses_what_is_no_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
