#include "supervisor/cli/pm2_dump.h"

#include "tests/unit/support.h"

#include "lib/base/json.h"
#include "lib/base/str.h"

static struct strlist notes;

static json_t *convert(const char *text)
{
    AUTOSTRLIST struct strlist shell = {0};
    AUTOJSON json_t *dump = json_loads(text, JSON_DECODE_ANY, NULL);
    strlist_add(&shell, "HOME=/home/me");
    strlist_clear(&notes);
    return pm2_dump_convert(dump, &shell, &notes);
}

static const json_t *app(const json_t *root, size_t i)
{
    return json_array_get(json_object_get(root, "apps"), i);
}

static void entries_of_one_name_are_instances(void **state)
{
    AUTOJSON json_t *root = convert("[{\"name\":\"a\",\"pm_exec_path\":\"/a.js\"},"
                                    "{\"name\":\"b\",\"pm_exec_path\":\"/b.js\"},"
                                    "{\"name\":\"a\",\"pm_exec_path\":\"/a.js\"}]");
    assert_int_equal(json_array_size(json_object_get(root, "apps")), 2);
    assert_int_equal(json_get_int(app(root, 0), "instances", 0), 2);
    assert_int_equal(json_get_int(app(root, 1), "instances", 0), 1);
    assert_int_equal(notes.count, 0);
}

static void settings_that_say_something_are_taken(void **state)
{
    AUTOJSON json_t *root = convert("[{\"name\":\"a\",\"pm_exec_path\":\"/a.js\",\"pm_cwd\":\"/"
                                    "srv\",\"args\":[\"x\"],\"node_args\":[],"
                                    "\"exec_interpreter\":\"node\",\"autorestart\":true,\"kill_"
                                    "timeout\":2000,\"restart_delay\":0,"
                                    "\"axm_options\":{},\"vizion\":true}]");
    const json_t *a = app(root, 0);
    assert_string_equal(json_get_string(a, "script", ""), "/a.js");
    assert_string_equal(json_get_string(a, "cwd", ""), "/srv");
    assert_string_equal(json_get_string(a, "interpreter", ""), "node");
    assert_int_equal(json_get_int(a, "kill_timeout", 0), 2000);
    static const char *const absent[] = {"node_args",   "autorestart", "restart_delay",
                                         "axm_options", "vizion",      "env"};
    for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
        assert_null(json_object_get(a, absent[i]));
}

static void of_the_environment_what_is_the_apps_own(void **state)
{
    AUTOJSON json_t *root = convert(
        "[{\"name\":\"a\",\"pm_exec_path\":\"/a.js\",\"env\":{\"HOME\":\"/home/"
        "me\",\"A\":\"1\",\"N\":2,"
        "\"T\":true,\"O\":{},\"PM2_HOME\":\"/x\",\"SHLVL\":\"3\",\"a\":\"{}\",\"Z\":null}}]");
    const json_t *env = json_object_get(app(root, 0), "env");
    assert_int_equal(json_object_size(env), 3);
    assert_string_equal(json_get_string(env, "A", ""), "1");
    assert_string_equal(json_get_string(env, "N", ""), "2");
    assert_string_equal(json_get_string(env, "T", ""), "true");
}

static void what_is_no_dump_is_nothing(void **state)
{
    assert_null(convert("{}"));
    assert_null(convert("7"));
    AUTOJSON json_t *root = convert("[7,{\"name\":\"a\"},{\"pm_exec_path\":\"/x\"},null]");
    assert_int_equal(json_array_size(json_object_get(root, "apps")), 0);
    assert_int_equal(notes.count, 4);
    strlist_clear(&notes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_of_one_name_are_instances),
        cmocka_unit_test(settings_that_say_something_are_taken),
        cmocka_unit_test(of_the_environment_what_is_the_apps_own),
        cmocka_unit_test(what_is_no_dump_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
