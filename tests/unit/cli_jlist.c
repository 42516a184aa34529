#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "lib/base/json.h"
#include "supervisor/cli/jlist.h"

static const struct jlist_host host = {"/h", "me"};

static const char online[] = "{\"name\":\"api\",\"instance\":1,\"pm_id\":4,\"pid\":77,\"status\":"
                             "\"online\",\"restart_time\":2,"
                             "\"unstable_restarts\":1,\"created_at_ms\":1000,\"started_at_ms\":"
                             "2000,\"cpu\":12.345,\"memory\":4096,"
                             "\"node_version\":\"v20.1.2\",\"out_log\":\"/h/logs/"
                             "api-1.out\",\"err_log\":\"/h/logs/api-1.err\","
                             "\"spec\":{\"script\":\"/srv/api.js\",\"cwd\":\"/"
                             "srv\",\"interpreter\":\"/usr/bin/node\",\"args\":[\"a\"],"
                             "\"node_args\":[],\"instances\":2,\"autorestart\":false,\"max_"
                             "restarts\":16},\"env\":{\"A\":\"1\"}}";

/* The first process of a list made from one app. */
static json_t *convert(const char *app_text)
{
    AUTOJSON json_t *app = json_object_parse(app_text, strlen(app_text));
    assert_non_null(app);
    AUTOJSON json_t *apps = json_array();
    (void)json_array_append(apps, app);
    AUTOJSON json_t *list = jlist_from_apps(apps, &host);
    assert_int_equal(json_array_size(list), 1);
    return json_incref(json_array_get(list, 0));
}

static void has_pm2s_members_in_pm2s_order(void **state)
{
    static const char *const keys[] = {"pid", "name", "pm2_env", "pm_id", "monit"};
    AUTOJSON json_t *process = convert(online);
    const char *key;
    json_t *value;
    size_t i = 0;
    json_object_foreach(process, key, value)
    {
        assert_string_equal(key, keys[i++]);
    }
    assert_int_equal(i, 5);
}

static void says_what_a_process_is_and_uses(void **state)
{
    AUTOJSON json_t *process = convert(online);
    assert_int_equal(json_get_int(process, "pid", 0), 77);
    assert_int_equal(json_get_int(process, "pm_id", 0), 4);
    assert_string_equal(json_get_string(process, "name", ""), "api");
    const json_t *monit = json_object_get(process, "monit");
    assert_int_equal(json_get_int(monit, "memory", 0), 4096);
    assert_true(json_get_number(monit, "cpu", 0) == 12.3);
}

static void fills_pm2_env(void **state)
{
    AUTOJSON json_t *process = convert(online);
    const json_t *env = json_object_get(process, "pm2_env");
    assert_string_equal(json_get_string(env, "namespace", ""), "default");
    assert_string_equal(json_get_string(env, "status", ""), "online");
    assert_string_equal(json_get_string(env, "exec_mode", ""), "fork_mode");
    assert_int_equal(json_get_int(env, "instances", 0), 2);
    assert_int_equal(json_get_int(env, "pm_uptime", 0), 2000);
    assert_int_equal(json_get_int(env, "created_at", 0), 1000);
    assert_int_equal(json_get_int(env, "restart_time", 0), 2);
    assert_int_equal(json_get_int(env, "unstable_restarts", 0), 1);
    assert_string_equal(json_get_string(env, "pm_exec_path", ""), "/srv/api.js");
    assert_string_equal(json_get_string(env, "pm_cwd", ""), "/srv");
    assert_string_equal(json_get_string(env, "exec_interpreter", ""), "node");
    assert_int_equal(json_array_size(json_object_get(env, "args")), 1);
    assert_true(json_is_array(json_object_get(env, "node_args")));
    assert_string_equal(json_get_string(env, "pm_out_log_path", ""), "/h/logs/api-1.out");
    assert_string_equal(json_get_string(env, "pm_err_log_path", ""), "/h/logs/api-1.err");
    assert_string_equal(json_get_string(env, "pm_pid_path", ""), "/h/pids/api-1.pid");
    assert_false(json_get_bool(env, "autorestart", true));
    assert_false(json_get_bool(env, "watch", true));
    assert_string_equal(json_get_string(env, "username", ""), "me");
    assert_string_equal(json_get_string(env, "node_version", ""), "20.1.2");
    assert_int_equal(json_get_int(env, "NODE_APP_INSTANCE", 0), 1);
    assert_int_equal(json_get_int(env, "max_restarts", 0), 16);
    assert_string_equal(json_get_string(json_object_get(env, "env"), "A", ""), "1");
    assert_int_equal(strlen(json_get_string(env, "unique_id", "")), 36);
    assert_null(json_object_get(env, "exit_code"));
}

static int64_t exit_code(const char *end)
{
    char text[200];
    (void)snprintf(text, sizeof text, "{\"name\":\"a\",\"exit\":%s}", end);
    AUTOJSON json_t *process = convert(text);
    return json_get_int(json_object_get(process, "pm2_env"), "exit_code", -1);
}

static void an_end_by_signal_is_not_code_0(void **state)
{
    assert_int_equal(exit_code("{\"code\":0}"), 0);
    assert_int_equal(exit_code("{\"code\":3}"), 3);
    assert_int_equal(exit_code("{\"signal\":9}"), 137);
}

static void a_stopped_app_uses_nothing(void **state)
{
    AUTOJSON json_t *process =
        convert("{\"name\":\"a\",\"status\":\"stopped\",\"pid\":0,\"cpu\":3.0,\"memory\":9}");
    const json_t *monit = json_object_get(process, "monit");
    assert_int_equal(json_get_int(monit, "memory", -1), 0);
    assert_true(json_get_number(monit, "cpu", -1) == 0);
}

static void the_id_differs_between_starts(void **state)
{
    AUTOJSON json_t *one = convert("{\"name\":\"a\",\"started_at_ms\":1}");
    AUTOJSON json_t *two = convert("{\"name\":\"a\",\"started_at_ms\":2}");
    assert_string_not_equal(json_get_string(json_object_get(one, "pm2_env"), "unique_id", ""),
                            json_get_string(json_object_get(two, "pm2_env"), "unique_id", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_pm2s_members_in_pm2s_order),
        cmocka_unit_test(says_what_a_process_is_and_uses),
        cmocka_unit_test(fills_pm2_env),
        cmocka_unit_test(an_end_by_signal_is_not_code_0),
        cmocka_unit_test(a_stopped_app_uses_nothing),
        cmocka_unit_test(the_id_differs_between_starts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
