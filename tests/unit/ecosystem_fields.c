/* Every setting of an app, under each of its names, with good and bad values: what a file says → what
 * the spec says as JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "ecosystem/config_error.h"
#include "ecosystem/ecosystem.h"
#include "ecosystem/option_set.h"
#include "ecosystem/options.h"
#include "ecosystem/spec_json.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"

struct good {
    const char *key;
    const char *value;
    const char *becomes; /* NULL: the same; "": not in the spec */
};

// clang-format off
static const struct good goods[] = {
    {"name", "\"api\"", NULL}, {"name", "\"ä b\"", NULL},
    {"namespace", "\"shop\"", NULL},
    {"type", "\"job\"", NULL}, {"type", "\"service\"", NULL},
    {"script", "\"a.js\"", NULL}, {"script", "\"npm start\"", NULL},
    {"args", "[\"-p\",80,true]", "[\"-p\",\"80\",\"true\"]"}, {"args", "\"-p 'a b'\"", "[\"-p\",\"a b\"]"}, {"args", "[]", NULL},
    {"cwd", "\"/srv\"", NULL},
    {"interpreter", "\"python3\"", NULL}, {"interpreter", "\"none\"", NULL},
    {"node_args", "\"--max-old-space-size=100 --x\"", "[\"--max-old-space-size=100\",\"--x\"]"}, {"node_args", "[\"--x y\"]", NULL},
    {"source_map_support", "true", NULL},
    {"force", "true", NULL},
    {"uid", "\"www-data\"", NULL}, {"uid", "1000", "\"1000\""}, {"uid", "\"1000\"", NULL}, {"uid", "0", "\"0\""},
    {"gid", "\"www-data\"", NULL}, {"gid", "33", "\"33\""},
    {"depends_on", "[\"db\",\"my cache\"]", NULL}, {"depends_on", "\"my db\"", "[\"my db\"]"},
    {"instances", "3", NULL}, {"instances", "\"3\"", "3"}, {"instances", "-100000", "1"}, {"instances", "1", NULL},
    {"exec_mode", "\"cluster\"", NULL}, {"exec_mode", "\"cluster_mode\"", "\"cluster\""},
    {"exec_mode", "\"fork_mode\"", "\"fork\""}, {"exec_mode", "\"fork\"", NULL}, {"exec_mode", "\"auto\"", NULL},
    {"handover", "true", NULL},
    {"instance_var", "\"N\"", NULL},
    {"increment_var", "\"PORT\"", NULL},
    {"env", "{\"A\":1.50,\"B\":true,\"C\":\"x\",\"D\":[1,\"a\"],\"E\":{\"f\":null}}",
     "{\"A\":\"1.50\",\"B\":\"true\",\"C\":\"x\",\"D\":\"[1,\\\"a\\\"]\",\"E\":\"{\\\"f\\\":null}\"}"},
    {"env_file", "\"my .env\"", "[\"my .env\"]"}, {"env_file", "[\".env\",\".env.local\"]", NULL},
    {"env_inherit", "false", NULL},
    {"filter_env", "true", NULL}, {"filter_env", "false", NULL}, {"filter_env", "\"HOME\"", NULL},
    {"filter_env", "[\"npm_\",\"SECRET\"]", NULL}, {"filter_env", "\"\"", "false"}, {"filter_env", "[]", "false"},
    {"port", "3000", NULL}, {"port", "\"3000\"", "3000"},
    {"append_env_to_name", "true", NULL},
    {"autostart", "false", NULL},
    {"autorestart", "false", NULL}, {"autorestart", "true", NULL},
    {"restart", "\"always\"", NULL}, {"restart", "\"on-failure\"", NULL}, {"restart", "\"never\"", NULL},
    {"stop_exit_codes", "0", "[\"0\"]"}, {"stop_exit_codes", "[0,\"143\",\"SIGTERM\",\"sigint\",\"Kill\"]", "[\"0\",\"143\",\"SIGTERM\",\"SIGINT\",\"SIGKILL\"]"},
    {"stop_exit_codes", "\"0 SIGUSR2\"", "[\"0\",\"SIGUSR2\"]"},
    {"restart_delay", "3000", NULL}, {"restart_delay", "\"3000\"", "3000"}, {"restart_delay", "\"3000ms\"", "3000"},
    {"restart_delay", "\"5s\"", "5000"}, {"restart_delay", "\"1.5s\"", "1500"}, {"restart_delay", "\"2m\"", "120000"}, {"restart_delay", "\"1h\"", "3600000"},
    {"exp_backoff_restart_delay", "100", NULL}, {"exp_backoff_restart_delay", "\"100ms\"", "100"},
    {"max_restarts", "0", NULL}, {"max_restarts", "\"10\"", "10"},
    {"min_uptime", "\"5s\"", "5000"}, {"min_uptime", "100", NULL},
    {"max_memory_restart", "\"150M\"", "157286400"}, {"max_memory_restart", "\"150MB\"", "157286400"}, {"max_memory_restart", "\"150m\"", "157286400"},
    {"max_memory_restart", "\"1.5GB\"", "1610612736"}, {"max_memory_restart", "\"1536K\"", "1572864"}, {"max_memory_restart", "\"1GiB\"", "1073741824"},
    {"max_memory_restart", "104857600", NULL}, {"max_memory_restart", "\"104857600\"", "104857600"}, {"max_memory_restart", "0", NULL},
    {"cron_restart", "\"0 3 * * *\"", NULL}, {"cron_restart", "\"*/10 * * * * *\"", NULL}, {"cron_restart", "\"@daily\"", NULL},
    {"cron_restart", "0", ""}, {"cron_restart", "\"0\"", ""}, {"cron_restart", "false", ""},
    {"cron_timezone", "\"Europe/Berlin\"", NULL}, {"cron_timezone", "\"UTC\"", NULL},
    {"cron_overlap", "\"skip\"", NULL}, {"cron_overlap", "\"restart\"", NULL},
    {"wait_ready", "true", NULL},
    {"listen_timeout", "8000", NULL}, {"listen_timeout", "\"8s\"", "8000"},
    {"kill_signal", "\"SIGTERM\"", NULL}, {"kill_signal", "\"term\"", "\"SIGTERM\""}, {"kill_signal", "15", "\"SIGTERM\""}, {"kill_signal", "\"USR2\"", "\"SIGUSR2\""},
    {"kill_timeout", "\"3000ms\"", "3000"}, {"kill_timeout", "1600.4", "1600"},
    {"shutdown_with_message", "true", NULL},
    {"treekill", "false", NULL},
    {"watch", "true", "[\".\"]"}, {"watch", "false", "[]"}, {"watch", "[\"src\",\"my lib\"]", NULL}, {"watch", "\"src lib\"", "[\"src\",\"lib\"]"},
    {"ignore_watch", "[\"node_modules\",\"\\\\.git\"]", NULL}, {"ignore_watch", "[]", NULL}, {"ignore_watch", "\"a b\"", "[\"a\",\"b\"]"},
    {"watch_delay", "1000", NULL}, {"watch_delay", "\"1s\"", "1000"},
    {"out_file", "\"logs/out.log\"", NULL}, {"out_file", "\"/dev/null\"", NULL},
    {"error_file", "\"~/err.log\"", NULL}, {"error_file", "\"\"", ""},
    {"log_file", "\"all.log\"", NULL}, {"log_file", "true", "\"true\""}, {"log_file", "false", ""}, {"log_file", "\"\"", ""},
    {"merge_logs", "true", NULL},
    {"disable_logs", "true", NULL},
    {"log_type", "\"json\"", NULL}, {"log_type", "\"raw\"", NULL},
    {"log_date_format", "\"YYYY-MM-DD HH:mm Z\"", NULL}, {"log_date_format", "\"\"", ""},
    {"time", "true", NULL},
    {"log_max_size", "\"10M\"", "10485760"},
    {"log_rotate_every", "\"7d\"", "604800000"},
    {"log_keep", "3", NULL},
    {"pid_file", "\"run/api.pid\"", NULL},
    {"profiling", "false", NULL}, {"profiling", "\"always\"", NULL}, {"profiling", "true", "\"on-demand\""},
    {"inspector", "true", NULL},
};

/* A wrong value and how the sentence begins. */
static const struct bad {
    const char *key, *value, *sentence;
} bads[] = {
    {"name", "5", "expected a string, found 5"},
    {"namespace", "\"a/b\"", "a name must not contain '/'"},
    {"type", "\"cron\"", "expected \"service\" or \"job\", found \"cron\""},
    {"script", "[]", "expected a string, found a list"},
    {"args", "{}", "expected a list of strings or one string, found an object"},
    {"cwd", "7", "expected a string, found 7"},
    {"interpreter", "false", "expected a string, found false"},
    {"node_args", "\"'x\"", "a quote is not closed in \"'x\""},
    {"source_map_support", "\"yes\"", "expected true or false, found \"yes\""},
    {"force", "1", "expected true or false, found 1"},
    {"uid", "-1", "expected a name or a number, found -1"},
    {"uid", "1.5", "expected a name or a number, found 1.5"},
    {"uid", "4294967295", "expected a name or a number, found 4294967295"},
    {"gid", "[]", "expected a name or a number, found a list"},
    {"depends_on", "5", "expected a list of names of apps, or one name, found 5"},
    {"depends_on", "[\"a/b\"]", "a name must not contain '/'"},
    {"instances", "\"some\"", "expected a number or \"max\", found \"some\""},
    {"exec_mode", "\"threads\"", "expected \"fork\", \"cluster\" or \"auto\", found \"threads\""},
    {"exec_mode", "1", "expected \"fork\", \"cluster\" or \"auto\", found 1"},
    {"handover", "\"true\"", "expected true or false, found the string \"true\"; write it without quotes"},
    {"instance_var", "\"A=B\"", "a variable's name must not contain '='"},
    {"instance_var", "\"\"", "must not be empty"},
    {"increment_var", "1", "expected the name of a variable, found 1"},
    {"env", "\"A=1\"", "expected an object of names and values, found \"A=1\""},
    {"env_file", "true", "expected the path of a file, or a list of them, found true"},
    {"env_file", "[\"\"]", "has an empty path in it"},
    {"env_inherit", "\"no\"", "expected true or false, found \"no\""},
    {"filter_env", "5", "expected true, false, a string or a list of strings, found 5"},
    {"filter_env", "\"npm_*\"", "a variable's name must not contain '*'"},
    {"port", "65536", "expected a whole number from 0 to 65535, found 65536"},
    {"port", "\"http\"", "expected a whole number, found \"http\""},
    {"append_env_to_name", "\"-x\"", "expected true or false, found \"-x\""},
    {"autostart", "\"false\"", "expected true or false, found the string \"false\"; write it without quotes"},
    {"autorestart", "0", "expected true or false, found 0"},
    {"restart", "true", "expected \"always\", \"on-failure\" or \"never\", found true"},
    {"restart", "\"unless-stopped\"", "expected \"always\", \"on-failure\" or \"never\", found \"unless-stopped\""},
    {"stop_exit_codes", "[256]", "expected exit codes from 0 to 255 and names of signals, found \"256\""},
    {"stop_exit_codes", "[\"SIGFOO\"]", "expected exit codes from 0 to 255 and names of signals, found \"SIGFOO\""},
    {"stop_exit_codes", "-1", "expected exit codes from 0 to 255 and names of signals, found \"-1\""},
    {"restart_delay", "\"soon\"", "expected milliseconds or a time such as \"500ms\", \"5s\" or \"2m\", found \"soon\""},
    {"restart_delay", "-1", "expected a time from 0 to 604800000 ms, found -1"},
    {"exp_backoff_restart_delay", "true", "expected milliseconds or a time"},
    {"max_restarts", "\"5s\"", "expected a whole number, found \"5s\""},
    {"min_uptime", "\"8d\"", "expected a time from 0 to 604800000 ms, found \"8d\""},
    {"max_memory_restart", "\"1 Gigabyte\"", "expected bytes or a size such as \"512K\", \"32M\" or \"1G\", found \"1 Gigabyte\""},
    {"max_memory_restart", "300", "expected 0 or a size of at least 1048576 bytes, found 300"},
    {"cron_restart", "\"0 25 * * *\"", "expected times such as \"0 3 * * *\" or \"@daily\", found \"0 25 * * *\": the hour \"25\" is not from 0 to 23"},
    {"cron_restart", "\"daily\"", "expected times such as \"0 3 * * *\" or \"@daily\", found \"daily\": it has 1 fields, and needs 5, or 6 with seconds"},
    {"cron_restart", "5", "expected times such as"},
    {"cron_timezone", "\"Mars/Olympus\"", "expected a time zone such as \"Europe/Berlin\" or \"UTC\", found \"Mars/Olympus\""},
    {"cron_timezone", "\"../../etc/passwd\"", "expected a time zone such as"},
    {"cron_overlap", "\"queue\"", "expected \"restart\" or \"skip\", found \"queue\""},
    {"wait_ready", "3000", "expected true or false, found 3000"},
    {"listen_timeout", "\"3x\"", "expected milliseconds or a time"},
    {"kill_signal", "\"SIGFOO\"", "expected a signal such as \"SIGTERM\" or 15, found \"SIGFOO\""},
    {"kill_signal", "0", "expected a signal such as \"SIGTERM\" or 15, found 0"},
    {"kill_signal", "false", "expected a signal such as \"SIGTERM\" or 15, found false"},
    {"kill_timeout", "\"\"", "expected milliseconds or a time"},
    {"shutdown_with_message", "\"shutdown\"", "expected true or false, found \"shutdown\""},
    {"treekill", "null", "expected true or false, found null"},
    {"watch", "1", "expected true, false or a list of paths, found 1"},
    {"watch", "[{}]", "expected only strings in the list, found an object"},
    {"ignore_watch", "true", "expected a list of strings or one string, found true"},
    {"watch_delay", "[]", "expected milliseconds or a time"},
    {"out_file", "true", "expected the path of a file, found true"},
    {"error_file", "5", "expected the path of a file, found 5"},
    {"log_file", "3", "expected the path of a file, true or false, found 3"},
    {"merge_logs", "\"1\"", "expected true or false, found \"1\""},
    {"disable_logs", "{}", "expected true or false, found an object"},
    {"log_type", "\"xml\"", "expected \"raw\" or \"json\", found \"xml\""},
    {"log_date_format", "true", "expected a string, found true"},
    {"time", "\"HH\"", "expected true or false, found \"HH\""},
    {"log_max_size", "10", "expected 0 or a size of at least 4096 bytes, found 10"},
    {"log_rotate_every", "\"daily\"", "expected milliseconds or a time"},
    {"log_keep", "0", "expected a whole number from 1 to 100000, found 0"},
    {"pid_file", "{}", "expected the path of a file, found an object"},
    {"profiling", "\"on\"", "expected \"on-demand\", false or \"always\", found \"on\""},
    {"inspector", "\"9229\"", "expected true or false, found \"9229\""},
};
// clang-format on

/* kill_timeout → killTimeout */
static char *twin_of(const char *key)
{
    char *twin = xstrdup(key), *to = twin;
    for (const char *from = key; *from; from++)
        *to++ = *from == '_' && from[1] ? (char)toupper((unsigned char)*++from) : *from;
    *to = '\0';
    return twin;
}

static struct ecosystem *load(const char *name, const char *value, struct config_error *error)
{
    struct ecosystem *eco = NULL;
    bool is_script = option_find(name, NULL) == option_find("script", NULL);
    AUTOFREE char *text =
        xasprintf("{%s\"%s\":\n%s}", is_script ? "" : "\"script\":\"a.js\",", name, value);
    (void)ecosystem_load_text("apps.json", text, strlen(text), &eco, NULL, error);
    return eco;
}

static void becomes(const char *name, const struct option *o, const struct good *g)
{
    struct config_error error;
    char space[CONFIG_ERROR_TEXT];
    AUTOECO struct ecosystem *eco = load(name, g->value, &error);
    if (!eco)
        fail_msg("%s: %s: %s", name, g->value, config_error_format(&error, space));
    AUTOJSON json_t *spec = app_spec_to_json(&eco->apps[0]);
    json_t *member = json_object_get(spec, o->key);
    AUTOFREE char *text = member ? json_dumps(member, JSON_COMPACT | JSON_ENCODE_ANY) : xstrdup("");
    assert_string_equal(text, g->becomes ? g->becomes : g->value);
}

static void takes_good_values_under_every_name(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(goods); i++) {
        const struct option *o = option_find(goods[i].key, NULL);
        assert_non_null(o);
        const char *name = o->key;
        for (int alias = 0; name; alias++) {
            AUTOFREE char *twin = twin_of(name);
            becomes(name, o, &goods[i]);
            becomes(twin, o, &goods[i]);
            name = alias < OPTION_ALIASES ? o->aliases[alias] : NULL;
        }
    }
}

static void refuses_bad_values_with_their_place(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(bads); i++) {
        struct config_error error;
        AUTOECO struct ecosystem *eco = load(bads[i].key, bads[i].value, &error);
        if (eco)
            fail_msg("%s: %s is accepted", bads[i].key, bads[i].value);
        assert_int_equal(error.line, 2);
        assert_string_equal(error.file, "apps.json");
        assert_string_equal(error.key, bads[i].key);
        if (!str_starts(error.text, bads[i].sentence))
            assert_string_equal(error.text, bads[i].sentence);
    }
}

/* A new row of the table needs its rows here. */
static void has_an_example_of_each_setting(void **state)
{
    for (const struct option *o = options; o < options + option_count; o++) {
        bool good = false, bad = false;
        for (size_t i = 0; i < ARRAY_SIZE(goods); i++)
            good |= str_eq(goods[i].key, o->key);
        for (size_t i = 0; i < ARRAY_SIZE(bads); i++)
            bad |= str_eq(bads[i].key, o->key);
        if (!good || !bad)
            fail_msg("there is no example of %s", o->key);
    }
}

/* Resolved enough to be sent. */
static void comes_back_from_a_message_equal(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(goods); i++) {
        static const char *const resolved[][2] = {
            {"name", "api"}, {"script", "/a.js"}, {"cwd", "/"}, {"interpreter", "none"}};
        const struct option *o = option_find(goods[i].key, NULL);
        struct config_error error;
        char text[256];
        AUTOSPEC struct app_spec back = {0};
        AUTOECO struct ecosystem *eco = load(goods[i].key, goods[i].value, &error);
        struct app_spec *spec = &eco->apps[0];
        for (size_t j = 0; j < ARRAY_SIZE(resolved); j++)
            assert_int_equal(app_spec_set(spec, resolved[j][0], resolved[j][1], &error), 0);
        if (spec->exec_mode == EXEC_AUTO)
            spec->exec_mode = EXEC_FORK;
        if (o->type == OPTION_PATH || o->type == OPTION_LOG_FILE || o->type == OPTION_FILES)
            continue;
        AUTOJSON json_t *j = app_spec_to_json(spec);
        if (app_spec_from_json(j, &back, text, sizeof text) < 0)
            fail_msg("%s: %s", goods[i].key, text);
        if (!app_spec_equal(spec, &back))
            fail_msg("%s: %s does not come back", goods[i].key, goods[i].value);
    }
}

static void a_copy_and_a_change_of_each_setting_are_seen(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(goods); i++) {
        const struct option *o = option_find(goods[i].key, NULL);
        struct config_error error;
        AUTOECO struct ecosystem *eco = load(goods[i].key, goods[i].value, &error);
        AUTOSPEC struct app_spec copy = {0};
        app_spec_copy(&copy, &eco->apps[0]);
        assert_true(app_spec_equal(&copy, &eco->apps[0]));
        AUTOECO struct ecosystem *other = load("script", "\"other.js\"", &error);
        bool changed = !app_spec_field_equal(o, &copy, &other->apps[0]);
        if (changed)
            assert_false(app_spec_equal(&copy, &other->apps[0]));
    }
}

/* What is not acted on says so, unless it asks for what happens anyway. */
static void warns_of_each_setting_that_nobody_acts_on(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(goods); i++) {
        const struct option *o = option_find(goods[i].key, NULL);
        struct config_error error;
        AUTOECO struct ecosystem *eco = load(goods[i].key, goods[i].value, &error);
        bool asks = !app_spec_field_equal(o, &eco->apps[0], &eco->defaults);
        bool warned = eco->warnings.count > 0 &&
                      strstr(eco->warnings.items[0], "is not acted on yet") != NULL;
        assert_int_equal(warned, asks && !o->acts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_good_values_under_every_name),
        cmocka_unit_test(refuses_bad_values_with_their_place),
        cmocka_unit_test(has_an_example_of_each_setting),
        cmocka_unit_test(comes_back_from_a_message_equal),
        cmocka_unit_test(a_copy_and_a_change_of_each_setting_are_seen),
        cmocka_unit_test(warns_of_each_setting_that_nobody_acts_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
